"""The newest events in bounded memory, and waiting for the next."""

import json
import threading
import time

from bridge.observe.page.journal import Journal, News


def add(journal: Journal, name: str, *, time_ms: int = 0, now_ms: int = 10**12) -> None:
    journal.add({"target": name}, time_ms=time_ms, now_ms=now_ms)


def names(news: News) -> list[str]:
    return [json.loads(line)["target"] for line in news.lines]


def test_what_came_after_an_event_is_told_in_its_order() -> None:
    journal = Journal()
    for name in "abc":
        add(journal, name)

    assert names(journal.after(1, seconds=0, most=10)) == ["b", "c"]
    assert journal.after(1, seconds=0, most=10).number == 3
    assert names(journal.after(3, seconds=0, most=10)) == []


def test_only_so_many_are_kept_and_the_others_are_counted() -> None:
    journal = Journal(most=5)
    for number in range(20):
        add(journal, str(number))

    news = journal.after(0, seconds=0, most=10)
    assert (names(news), news.missed) == (["15", "16", "17", "18", "19"], 15)
    few = journal.after(10, seconds=0, most=2)
    assert (names(few), few.missed) == (["18", "19"], 8)
    none = journal.after(0, seconds=0, most=0)
    assert (none.number, none.lines, none.missed) == (20, (), 20)


def test_the_newest_are_those_written_last_in_whatever_order_they_came() -> None:
    journal = Journal(most=3)
    for name, time_ms in (("old", 1), ("new", 9), ("older", 0), ("newer", 10), ("middle", 5)):
        add(journal, name, time_ms=time_ms)

    assert names(journal.newest()) == ["newer", "new", "middle"]


def test_an_event_from_the_future_does_not_stay_the_newest_for_ever() -> None:
    journal = Journal(most=2)
    add(journal, "from the year 9999", time_ms=10**15, now_ms=100)
    add(journal, "a", time_ms=200, now_ms=200)
    add(journal, "b", time_ms=300, now_ms=300)

    assert names(journal.newest()) == ["b", "a"]


def test_who_waits_is_woken_by_the_next_event() -> None:
    journal = Journal()
    threading.Timer(0.05, lambda: add(journal, "a")).start()
    began = time.monotonic()

    assert names(journal.after(0, seconds=5, most=10)) == ["a"]
    assert time.monotonic() - began < 4


def test_who_waits_in_vain_gets_nothing() -> None:
    assert Journal().after(0, seconds=0.01, most=10) == News(0, (), 0)


def test_a_line_holds_its_number_and_no_line_break() -> None:
    journal = Journal()
    journal.add({"target": "a\nb\r\u2028"}, time_ms=0, now_ms=0)
    [line] = journal.newest().lines

    assert json.loads(line) == {"target": "a\nb\r\u2028", "number": 1}
    assert not {"\n", "\r"} & set(line)
