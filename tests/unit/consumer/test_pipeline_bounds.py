"""The consumer's loop has only so much in work."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.consumer.doubles import Wait, World
from tests.unit.consumer.running import WRITTEN, committed, targets


@pytest.mark.parametrize("bound", ["count", "bytes"])
def test_one_who_has_enough_in_work_rests_and_goes_on_when_there_is_room(bound: str) -> None:
    records, slow = targets(6), Wait()
    two = records[0].record.size + 1
    about: dict[str, Any] = {"max_in_flight": 2} if bound == "count" else {"max_in_flight_bytes": two}
    world = World(records, [slow, WRITTEN], **about)
    left: list[int] = []

    def rest() -> None:
        left.append(len(world.waiting))
        slow.go.set()

    world.on_rest = rest
    world.pipeline().run(drain=True)

    assert left[0] == 4
    assert set(left[:1]) == {4}
    assert committed(world) == 6


def test_what_is_finished_behind_one_that_is_not_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.consumer.pipeline.MOST_KEPT", 3)
    slow = Wait()
    world = World(targets(12), [slow, WRITTEN], threads=2, max_in_flight=2)
    pipeline = world.pipeline()
    left: list[int] = []

    def rest() -> None:
        if pipeline._ledger.kept == 6:
            left.append(len(world.waiting))
            slow.go.set()

    world.on_rest = rest
    pipeline.run(drain=True)

    assert left[0] == 6
    assert committed(world) == 12


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4_000))
@settings(max_examples=15, deadline=None)
def test_never_more_is_in_work_than_allowed(most: int, threads: int, most_bytes: int) -> None:
    records = targets(12)
    largest = max(one.record.size for one in records)
    world = World(records, threads=threads, max_in_flight=most, max_in_flight_bytes=most_bytes)
    pipeline = world.pipeline()
    most_seen, most_bytes_seen = [0], [0]

    def look() -> None:
        most_seen.append(pipeline._ledger.unfinished + 1)
        most_bytes_seen.append(pipeline._ledger.unfinished_bytes + largest)

    world.on_poll = look
    pipeline.run(drain=True)

    assert max(most_seen) <= most
    assert max(most_bytes_seen) < most_bytes + largest
    assert committed(world) == 12
