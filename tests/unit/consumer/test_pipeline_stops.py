"""The consumer's loop at its end: what is being written may finish, nothing more begins, and what is done is committed."""

from collections import Counter

import pytest

from bridge.errors import Away
from tests.unit.consumer.doubles import PATIENCE, Wait, World, until
from tests.unit.consumer.running import WRITTEN, committed, running, targets, until_cancelled


def test_a_stop_during_an_outage_leaves_the_record_uncommitted_and_is_quick() -> None:
    world = World(targets(2), [Away("busy", retry_after=3600.0)])
    with running(world) as (pipeline, future):
        until(lambda: world.gate.trouble is not None)
        pipeline.stop.set()
        assert future.result(4.0) == Counter()

    assert world.committed == {}
    assert len(world.did("write")) == 1


def test_a_stop_lets_what_is_being_written_come_to_its_end_and_begins_nothing_more() -> None:
    slow = Wait()
    world = World(targets(3), [slow, WRITTEN])
    with running(world) as (pipeline, future):
        until(lambda: slow.begun.is_set() and not world.waiting)
        pipeline.stop.set()
        until(lambda: not world.lanes._ready)  # those that were not begun are given up
        slow.go.set()
        assert future.result(PATIENCE) == Counter(written=1)

    assert world.did("write") == [("write", 0)]
    assert committed(world) == 1


def test_a_stop_gives_up_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.consumer.pipeline.LET_FINISH_SECONDS", 0.05)
    world = World(targets(3))
    world.answers = [WRITTEN, until_cancelled(world)]
    with running(world) as (pipeline, future):
        until(lambda: len(world.did("write")) == 2)
        pipeline.stop.set()
        assert future.result(PATIENCE) == Counter(written=1)

    assert committed(world) == 1


def test_a_request_that_hangs_at_the_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LET_FINISH_SECONDS", "GIVE_UP_SECONDS"):
        monkeypatch.setattr(f"bridge.consumer.pipeline.{name}", 0.05)
    slow = Wait()
    world = World(targets(2), [slow])
    with running(world) as (pipeline, future):
        until(slow.begun.is_set)
        pipeline.stop.set()
        future.result(PATIENCE)
    slow.go.set()

    assert world.committed == {}
    assert any("left alone" in entry["event"] for entry in world.capture.entries)
