"""Several threads that help one: everything is done once, on behalf of the event, and an error ends it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bridge.consumer.hands import Hands
from bridge.consumer.work import Current
from bridge.errors import Abandoned, Away
from tests.unit.consumer.doubles import EVENTS, PATIENCE, work


@pytest.mark.parametrize("number", [0, 1, 7])
def test_everything_is_done_once(number: int) -> None:
    done, lock = Counter[int](), threading.Lock()

    def do(item: int) -> None:
        with lock:
            done[item] += 1

    with closing(Hands(number, current=Current())) as hands, ThreadPoolExecutor(4) as pool:
        each = [pool.submit(hands.each, range(start, start + 500), do) for start in range(0, 2_000, 500)]
        for one in each:
            one.result(PATIENCE)
    assert done == Counter(range(2_000))


def test_they_work_at_the_same_time_on_behalf_of_the_event_and_are_free_afterwards() -> None:
    current, together = Current(), threading.Barrier(3)
    event = EVENTS["target_sidereal"]
    marks, threads = set[str](), set[str]()

    def do(_item: int) -> None:
        together.wait(PATIENCE)
        marks.update(current.headers().values())
        threads.add(threading.current_thread().name)

    with closing(Hands(2, current=current)) as hands:
        with current.at(event):
            hands.each(range(3), do)
            expected = set(current.headers().values())
        assert len(threads) == 3
        assert marks == expected != set()

        hands.each(range(3), lambda _item: (together.wait(PATIENCE), marks.update(current.headers().values())))
        assert marks == expected, "a hand was still at the event before"


def test_what_is_given_up_stops_the_hands_too() -> None:
    current, event = Current(), work("a")

    def do(item: int) -> None:
        if item == 2:
            event.cancelled = True
        current.require()

    with closing(Hands(3, current=current)) as hands, current.at(event.events[0], event), pytest.raises(Abandoned):
        hands.each(range(1_000), do)


def test_after_an_error_nothing_more_is_begun_and_what_was_begun_has_ended() -> None:
    begun, ended, both = list[int](), list[int](), threading.Barrier(2)

    def do(item: int) -> None:
        begun.append(item)
        if item < 2:
            both.wait(PATIENCE)
        if item == 0:
            raise Away("the TOM is away")
        time.sleep(0.001)
        ended.append(item)

    with closing(Hands(1, current=Current())) as hands, pytest.raises(Away, match="the TOM is away"):
        hands.each(range(5_000), do)
    assert {0, 1} <= set(begun)
    assert len(begun) < 1_000
    assert set(begun) - {0} == set(ended)


def test_a_hand_that_comes_late_finds_nothing_to_do() -> None:
    """All hands are at something else: the one who asks does it alone, and does not wait for them."""
    busy, leave = threading.Event(), threading.Event()
    done: list[int] = []

    def stay(item: int) -> None:
        if item == 0:
            busy.set()
        leave.wait(PATIENCE)

    with closing(Hands(1, current=Current())) as hands, ThreadPoolExecutor(1) as pool:
        other = pool.submit(hands.each, range(2), stay)
        assert busy.wait(PATIENCE)
        hands.each(range(10), done.append)
        assert done == list(range(10))
        leave.set()
        other.result(PATIENCE)
