"""What the page knows at a moment, and who tells it."""

import json
import threading
import time
from typing import Any

import pytest

from bridge.codecs.record import ConsumedRecord, Record
from bridge.errors import Misconfigured, Retryable
from bridge.observe.page import watching as module
from bridge.observe.page.consumers import ConsumerWatch, Observed
from bridge.observe.page.dossier import ReadSoFar
from bridge.observe.page.scrape import Report
from bridge.observe.page.state import State
from bridge.observe.page.watching import Watching
from tests.support.waiting import wait_for
from tests.unit.observe.page.pages import Offsets, Topics, make_state
from tests.unit.observe.page.seen import NOW_MS, TOPIC, consumed, datums, record, shared
from tests.unit.observe.page.test_letters import letter

LETTERS = "share-stream:dead"


def overview(state: State) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(state.overview())
    return found


def watching(state: State, *followed: Any, letters: Any = None, **more: Any) -> Watching:
    left = list(followed)

    def follow(_since: None) -> Any:
        found = left.pop(0) if left else Topics()
        if isinstance(found, Exception):
            raise found
        return found

    dead = {LETTERS: letters} if letters else {}
    return Watching(state=state, follow=follow, letters=dead, offsets=Offsets(), topics=[TOPIC], **{"consumers": []} | more)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", (0.01,))


def test_records_are_counted_and_shown() -> None:
    state = make_state()
    state.saw(consumed(record(shared()), 0))
    state.saw(consumed(Record(key=b"k", value=b"{", headers=()), 1))
    state.note_extents({(TOPIC, 0): (2, 9), (TOPIC, 1): (0, 1), ("other", 0): (0, 99)})
    [topic] = overview(state)["topics"]

    assert (topic["name"], topic["minute"], topic["hour"], topic["unreadable"]) == (TOPIC, 2, 2, 1)
    assert (topic["kept"], topic["partitions"], topic["newest_ms"]) == (8, 2, NOW_MS)
    assert [json.loads(line)["kind"] for line in state.journal.newest().lines] == ["unreadable", "targets"]


def test_a_record_without_a_time_counts_as_from_now() -> None:
    state = make_state()
    state.saw(consumed(record(shared()), ms=0))

    assert overview(state)["topics"][0]["minute"] == 1


def test_events_reach_the_dossiers_that_are_remembered() -> None:
    state = make_state()
    dossier = state.dossiers.of("SN 2013dx")
    dossier.done(ReadSoFar("complete"))
    state.saw(consumed(record(datums(3))))

    assert len(json.loads(dossier.document())["points"]) == 3


def test_the_overview_is_made_anew_once_a_second_at_most() -> None:
    now = [1000.0]
    state = make_state(now=lambda: now[0])
    first = state.overview()
    state.note(trouble="away", caught_up=False)

    assert state.overview() == first
    now[0] += 1.5
    assert (overview(state)["trouble"], state.is_well) == ("away", False)


def test_threads_tell_what_comes_and_end_when_they_are_told_to() -> None:
    state, events, letters = (
        make_state(now=time.time),
        Topics(consumed(record(shared()))),
        Topics(consumed(letter(), topic="dead")),
    )
    about = Observed(name="not-my-tom", topics=(TOPIC,), letters=LETTERS)
    consumer = ConsumerWatch(about, offsets=Offsets(), ask=lambda *_where, **_about: Report())
    with watching(state, events, letters=lambda: letters, consumers=[consumer]):
        wait_for(lambda: overview(state)["caught_up"], "the history")
        wait_for(lambda: overview(state)["letters"][0]["counts"], "the dead letter")
        wait_for(lambda: "lag" in overview(state)["consumers"][0], "the consumer")

    assert (events.is_closed, letters.is_closed) == (True, True)
    found = overview(state)
    assert found["topics"][0]["kept"] == 7
    assert found["consumers"][0]["lag"] == 4
    assert found["letters"][0]["counts"] == [{"destination": "not-my-tom", "reason": "ambiguous_target", "count": 1}]


def test_what_is_wrong_with_the_topics_at_the_beginning_is_raised() -> None:
    with pytest.raises(Misconfigured, match="no topic"):
        watching(make_state(), Misconfigured("no topic t")).__enter__()


def test_after_a_failure_the_topics_are_followed_from_where_they_were_left() -> None:
    """Not from a time: what is behind is told by offsets alone, whatever the producers' clocks say."""
    state = make_state(now=time.time)
    records = [consumed(record(shared(f"T{number}")), number) for number in range(4)]
    second, third = Topics(records[2], ZeroDivisionError()), Topics(records[3])
    first = Topics(records[0], records[1], Retryable("away"))
    with watching(state, first, Retryable("still away"), second, third):
        wait_for(lambda: state.journal.newest().number == 4, "all events")
        wait_for(lambda: state.is_well, "the end of trouble")

    assert (second.began_at, third.began_at) == ({(TOPIC, 0): 2}, {(TOPIC, 0): 3})
    assert [topics.is_closed for topics in (first, second, third)] == [True] * 3
    assert sorted(json.loads(line)["target"] for line in state.journal.newest().lines) == ["T0", "T1", "T2", "T3"]


def test_a_record_that_the_page_fails_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    state = make_state(now=time.time)
    records = [consumed(record(shared(f"T{number}")), number) for number in range(2)]
    saw, second = state.saw, Topics(records[1])

    def fail_on_the_first(found: ConsumedRecord) -> None:
        if found.offset == 0:
            raise ZeroDivisionError
        saw(found)

    monkeypatch.setattr(state, "saw", fail_on_the_first)
    with watching(state, Topics(records[0]), second):
        wait_for(lambda: state.journal.newest().number == 1, "the second event")

    assert second.began_at == {(TOPIC, 0): 1}


def test_what_cannot_go_on_there_is_closed_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state, second, third = make_state(now=time.time), Topics(), Topics(consumed(record(shared())))

    def fail(_positions: object) -> None:
        raise Retryable("away")

    monkeypatch.setattr(second, "go_on", fail)
    with watching(state, Topics(Retryable("away")), second, third):
        wait_for(lambda: state.journal.newest().number == 1, "the event")

    assert second.is_closed


def test_a_topic_that_was_made_anew_is_shown_from_its_beginning() -> None:
    state = make_state(now=time.time)
    records = [consumed(record(shared(f"T{number}")), number) for number in (7, 8, 0, 1)]
    with watching(state, Topics(*records)):
        wait_for(lambda: state.journal.newest().number == 4, "all events")


def test_it_ends_soon_though_a_broker_that_is_away_is_still_being_asked() -> None:
    asked, answered = threading.Event(), threading.Event()

    class Away(Topics):
        def poll(self, timeout_seconds: float) -> None:
            asked.set()
            answered.wait(30)

    with watching(make_state(), Away()):
        asked.wait(10)
        began = time.monotonic()

    assert time.monotonic() - began < module.CLOSING_SECONDS + 1
    answered.set()


def test_trouble_is_told_while_it_lasts() -> None:
    state, topics = make_state(now=time.time), Topics()
    topics.trouble = Retryable("the broker cannot be reached")
    with watching(state, topics):
        wait_for(lambda: overview(state)["trouble"] == "the broker cannot be reached", "the trouble")
        topics.trouble = None
        wait_for(lambda: state.is_well, "its end")


def test_a_dead_letter_topic_that_cannot_be_read_is_said_and_tried_again() -> None:
    state, tries = make_state(now=time.time), []

    def letters() -> Topics:
        tries.append(1)
        if len(tries) == 1:
            raise Misconfigured("no topic dead")
        return Topics(consumed(letter(), topic="dead"), ZeroDivisionError()) if len(tries) == 2 else Topics(consumed(letter()))

    with watching(state, letters=letters):
        wait_for(lambda: len(tries) == 3, "the third try")
        wait_for(lambda: overview(state)["letters"][0]["counts"], "the letter")
        wait_for(lambda: not overview(state)["letters"][0]["trouble"], "the end of trouble")

    assert overview(state)["letters"][0]["counts"][0]["count"] == 1
