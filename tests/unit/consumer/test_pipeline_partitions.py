"""The consumer's loop when partitions go: what is done is committed, and what is another's is left alone."""

import time
from collections import Counter

import pytest

from bridge.errors import Away, Halt, Retryable
from tests.unit.consumer.doubles import Wait, World, records_of, target_record, until
from tests.unit.consumer.running import NO, PLACE, WRITTEN, committed, running, targets, until_cancelled


def test_partitions_that_are_to_go_are_let_finish_and_committed() -> None:
    slow = Wait()
    world = World(targets(3), [WRITTEN, slow])
    with running(world):

        def revoke() -> None:
            if slow.begun.is_set() and not slow.go.is_set():
                slow.go.set()
                world.on_revoke([PLACE])
                assert committed(world) == 2

        world.on_empty = revoke
        until(lambda: committed(world) == 2)

    assert [about for _what, about in world.did("write")] == [0, 1]  # the third is the next owner's
    assert committed(world) == 2


def test_what_does_not_finish_before_its_partition_goes_is_given_up_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.consumer.pipeline.LET_FINISH_SECONDS", 0.05)
    world = World(targets(3))
    world.answers = [WRITTEN, until_cancelled(world), WRITTEN]
    revoked: list[int] = []

    def revoke() -> None:
        if not revoked and len(world.did("write")) == 2:
            world.on_revoke([PLACE])
            revoked.append(committed(world))
            world.waiting = targets(3)[1:]  # it is ours again

    world.on_empty = revoke
    with running(world) as (pipeline, _future):
        until(lambda: committed(world) == 3)

    assert revoked == [1]
    assert [about for _what, about in world.did("write")] == [0, 1, 1, 2]
    assert pipeline.ends == Counter(written=3)


def test_during_an_outage_a_partition_goes_without_a_wait() -> None:
    world = World(targets(2), [WRITTEN, Away("busy", retry_after=3600.0)])
    took: list[float] = []

    def revoke() -> None:
        if world.gate.trouble is not None and not took:
            began = time.monotonic()
            world.on_revoke([PLACE])
            took.append(time.monotonic() - began)

    world.on_empty = revoke
    with running(world):
        until(lambda: took)

    assert took[0] < 2.0
    assert committed(world) == 1


def test_other_partitions_go_on_when_one_goes() -> None:
    slow = Wait()
    world = World([target_record(0), target_record(1, partition=1)], [slow, slow], threads=2)
    world.on_empty = lambda: world.on_lost([("tom.shares", 1)]) if not slow.go.is_set() else None
    with running(world) as (pipeline, _future):
        until(lambda: any("did not hear" in entry["event"] for entry in world.capture.entries))
        slow.go.set()
        until(lambda: committed(world) == 1)

    assert world.committed == {PLACE: 1}
    assert pipeline.ends == Counter(written=1)


def test_of_partitions_that_were_lost_nothing_is_committed_any_more_whatever_comes_of_it() -> None:
    slow = Wait(answer=NO)
    world = World(targets(3), [WRITTEN, slow, WRITTEN])
    world.commit_answers = [Retryable("the broker is away")] * 3
    lost: list[int] = []

    def lose() -> None:
        if slow.begun.is_set() and not lost:
            world.on_lost([PLACE])
            lost.append(1)
            slow.go.set()

    world.on_empty = lose
    with running(world):
        until(lambda: lost)
        until(lambda: not world.lanes.busy(lambda _work: True))

    assert world.committed == {}
    assert world.letters == []
    assert [about for _what, about in world.did("write")] == [0, 1]


def test_what_is_lost_while_it_waits_to_be_tried_again_does_not_block_its_target_for_ever() -> None:
    failing = Wait(answer=Away("busy"))
    world = World(targets(1), [failing, WRITTEN])
    lost: list[int] = []

    def lose() -> None:
        if failing.begun.is_set() and not lost:
            world.on_lost([PLACE])
            lost.append(1)
            failing.go.set()
            world.waiting = targets(1)

    world.on_empty = lose
    with running(world):
        until(lambda: committed(world) == 1)

    assert [about for _what, about in world.did("write")] == [0, 0]


def test_a_halt_while_a_partition_goes_is_raised() -> None:
    slow = Wait(answer=Halt("tom_login", "refused"))
    world = World(targets(1), [slow])

    def revoke() -> None:
        if slow.begun.is_set():
            slow.go.set()
            world.on_revoke([PLACE])

    world.on_empty = revoke
    with pytest.raises(Halt):
        world.pipeline().run()

    assert world.committed == {}


def test_a_partition_that_went_to_another_member_before_the_commit_is_told_and_the_rest_goes_on() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    world.commit_answers = [False]
    with pytest.raises(Retryable, match="went to another member before the commit; drain again"):
        world.pipeline().run(drain=True)

    assert len(world.did("write")) == 2
    assert any("another member" in entry["event"] for entry in world.capture.entries)


def test_others_may_write_when_the_group_gives_us_no_partitions() -> None:
    idle: list[int] = []
    world = World([])
    with running(world, world.pipeline(on_idle=lambda: idle.append(1))) as (_pipeline, _future):
        until(lambda: world.journal == [] and world.metrics)
        assert idle == []
        world.assigned = []
        until(lambda: idle)
