"""The targets that pages ask for: each read for, kept while it is watched, and kept up to date."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bridge.errors import Retryable
from bridge.observe.page import dossiers as module
from bridge.observe.page.dossier import ReadSoFar
from bridge.observe.page.dossiers import MOST_DOSSIERS, RETRY_SECONDS, Dossiers
from bridge.observe.page.streams import MOST_WATCHERS
from tests.support.waiting import wait_for
from tests.unit.observe.page.seen import NOW_MS, address, consumed, datums, record, shared, sighting


class Topic:
    """Stands for topics that are read to their end."""

    def __init__(self, bodies: list[Any], on_poll: Callable[[], None] = lambda: None, ms: int = NOW_MS) -> None:
        self._left = [consumed(record(body), offset, ms=ms) for offset, body in enumerate(bodies)]
        self._on_poll = on_poll
        self.total = len(bodies)
        self.is_closed = False

    @property
    def drained(self) -> bool:
        return not self._left

    def poll(self, timeout_seconds: float) -> Any:
        self._on_poll()
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def opened() -> Iterator[Callable[..., Dossiers]]:
    found: list[Dossiers] = []

    def make(begin: Any, **more: Any) -> Dossiers:
        found.append(Dossiers(begin=begin, address=address, **more))
        return found[-1].__enter__()

    yield make
    for each in found:
        each.__exit__()


def state(dossiers: Dossiers, name: str = "SN 2013dx") -> str:
    return dossiers.of(name).progress.state


def test_a_target_is_read_for_when_it_is_asked_for(opened: Callable[..., Dossiers]) -> None:
    topics: list[Topic] = []

    def begin() -> Topic:
        topics.append(Topic([datums(2), shared("another"), datums(2, first=2)]))
        return topics[-1]

    dossiers = opened(begin)
    wait_for(lambda: state(dossiers) == "complete", "the reading")

    assert json.loads(dossiers.of("SN 2013dx").document())["read"] == {"state": "complete", "records": 3, "of": 3, "why": ""}
    assert len(json.loads(dossiers.of("SN 2013dx").document())["points"]) == 4
    assert [topic.is_closed for topic in topics] == [True]


def test_reading_is_bounded_in_time_and_says_how_far_it_came(opened: Callable[..., Dossiers]) -> None:
    now = [0.0]
    dossiers = opened(lambda: Topic([datums()] * 100, lambda: now.append(now.pop() + 1.0)), clock=lambda: now[0])
    wait_for(lambda: state(dossiers) == "stopped", "the end of patience")

    assert dossiers.of("SN 2013dx").progress == ReadSoFar("stopped", 30, 100)


def test_a_failure_is_told_and_tried_again_after_a_while(opened: Callable[..., Dossiers]) -> None:
    now, begun = [0.0], []

    def begin() -> Topic:
        begun.append(now[0])
        raise Retryable("the broker is away")

    dossiers = opened(begin, clock=lambda: now[0])
    wait_for(lambda: state(dossiers) == "failed", "the failure")
    assert dossiers.of("SN 2013dx").progress.why == "the broker is away"
    for _ in range(20):
        assert state(dossiers) == "failed"
    assert len(begun) == 1
    now[0] = RETRY_SECONDS
    dossiers.of("SN 2013dx")
    wait_for(lambda: len(begun) == 2, "another try")


def test_a_fault_of_our_own_is_told_too(opened: Callable[..., Dossiers]) -> None:
    def begin() -> Topic:
        raise ZeroDivisionError

    dossiers = opened(begin)
    wait_for(lambda: state(dossiers) == "failed", "the failure")

    assert "its log has the reason" in dossiers.of("SN 2013dx").progress.why


def test_only_the_targets_asked_for_last_are_remembered_and_kept_up_to_date(opened: Callable[..., Dossiers]) -> None:
    changes: list[int] = []
    dossiers = opened(lambda: Topic([]), on_change=lambda: changes.append(1))
    for number in range(3 * MOST_DOSSIERS):
        dossiers.of(f"T{number}")
    assert len(dossiers._found) == MOST_DOSSIERS
    last = f"T{3 * MOST_DOSSIERS - 1}"
    wait_for(lambda: state(dossiers, last) == "complete", "the reading")
    changes.clear()
    dossiers.saw(sighting(datums(name=last)))
    dossiers.saw(sighting(datums(name="another")))

    assert len(json.loads(dossiers.of(last).document())["points"]) == 1
    assert changes == [1]


def test_more_targets_are_remembered_than_can_be_watched() -> None:
    assert MOST_DOSSIERS > MOST_WATCHERS


def test_all_that_are_watched_are_read_to_the_end_and_stay(
    opened: Callable[..., Dossiers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is watched than are remembered otherwise: before, each pushed out another before it was read."""
    monkeypatch.setattr(module, "MOST_DOSSIERS", 3)
    dossiers = opened(lambda: Topic([datums(name=name) for name in names], lambda: time.sleep(0.01)))
    names = [f"T{number}" for number in range(4)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(dossiers.held(name))
        wait_for(lambda: all(state(dossiers, name) == "complete" for name in names), "the readings", seconds=10)
        for number in range(20):
            dossiers.of(f"passes by {number}")
        assert [state(dossiers, name) for name in names] == ["complete"] * 4
        assert [len(json.loads(dossiers.of(name).document())["points"]) for name in names] == [1] * 4

    dossiers.of("another")
    assert len(dossiers._found) == 3


def test_who_is_watched_twice_is_held_until_both_have_left(
    opened: Callable[..., Dossiers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_DOSSIERS", 1)
    dossiers = opened(lambda: Topic([]))
    with dossiers.held("A"):
        with dossiers.held("A"):
            first = dossiers.of("A")
        dossiers.of("B")
        assert dossiers.of("A") is first
    dossiers.of("B")

    assert dossiers.of("A") is not first


def test_the_topics_are_read_once_more_when_a_name_comes_up_under_which_events_were_passed_over(
    opened: Callable[..., Dossiers],
) -> None:
    begun: list[int] = []

    def begin() -> Topic:
        begun.append(1)
        return Topic([datums(2, name="GRB 130702A"), shared(aliases=("GRB 130702A",))])

    dossiers = opened(begin)
    wait_for(lambda: state(dossiers) == "complete" and not dossiers.of("SN 2013dx").wants_reading, "both readings")

    assert len(begun) == 2
    assert len(json.loads(dossiers.of("SN 2013dx").document())["points"]) == 2


def test_names_that_come_up_one_after_the_other_have_the_topics_read_only_now_and_then(opened: Callable[..., Dossiers]) -> None:
    now, begun = [0.0], []

    def begin() -> Topic:
        begun.append(now[0])
        return Topic([])

    dossiers = opened(begin, clock=lambda: now[0])
    wait_for(lambda: state(dossiers) == "complete", "the reading")
    for number in range(5):
        dossiers.saw(sighting(shared(aliases=(f"alias {number}",)), number))
        assert state(dossiers) == "complete"
    now[0] = RETRY_SECONDS
    dossiers.of("SN 2013dx")
    wait_for(lambda: len(begun) == 2 and state(dossiers) == "complete", "the second reading")

    assert begun == [0.0, RETRY_SECONDS]


@pytest.mark.parametrize("ms", [10**17, 2**63 - 1, -(2**62)])
def test_a_record_with_an_absurd_time_is_read_like_any_other(opened: Callable[..., Dossiers], ms: int) -> None:
    dossiers = opened(lambda: Topic([datums(2)], ms=ms))
    wait_for(lambda: state(dossiers) in {"complete", "failed"}, "the reading")
    document = json.loads(dossiers.of("SN 2013dx").document())

    assert (document["read"]["state"], document["event_count"], len(document["points"])) == ("complete", 1, 2)


def test_it_ends_soon_though_a_broker_that_is_away_is_still_being_asked() -> None:
    asked, answered = threading.Event(), threading.Event()

    def begin() -> Topic:
        asked.set()
        answered.wait(30)
        return Topic([])

    with Dossiers(begin=begin, address=address) as dossiers:
        dossiers.of("A")
        asked.wait(10)
        began = time.monotonic()

    assert time.monotonic() - began < 2
    answered.set()
