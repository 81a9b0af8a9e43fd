"""The consumer's loop: what cannot be written is a dead letter, and the broker has it before anything past it is committed."""

from collections import Counter
from typing import Any

import pytest

from bridge.consumer.outcome import Outcome, refused
from bridge.errors import Halt, Retryable
from bridge.tom.written import Failure, Written
from tests.unit.consumer.doubles import PATIENCE, Clock, Wait, World, records_of, target_record, until
from tests.unit.consumer.running import PLACE, WRITTEN, committed, running, targets

OTHER = ("tom.shares", 1)


def elsewhere(count: int) -> list[Any]:
    """Return records of another partition, of other targets: else they would wait for the first one's."""
    return [target_record(100 + number, partition=1) for number in range(count)]


def test_a_refused_event_is_a_dead_letter_before_it_is_committed_and_blocks_nobody() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [refused("ambiguous_target", "two"), WRITTEN])
    ends = world.pipeline().run(drain=True)

    assert world.letters == [(0, "ambiguous_target")]
    assert next(what for what, about in world.journal if what in {"letter", "commit"}) == "letter"
    assert committed(world) == 2
    assert ends == Counter(refused=1, written=1)


def test_what_is_written_in_part_is_committed_and_the_rest_is_a_dead_letter() -> None:
    written = Written(target_id=7, written=3, failures=[Failure("datum 2", "tom_error", "the TOM failed on it")])
    world = World(records_of("reduced_datums"), [Outcome.of(written)])

    assert world.pipeline().run(drain=True) == Counter(partial=1)
    assert world.journal == [("write", 0), ("letter", (0, "tom_error")), ("commit", {PLACE: 1})]


def test_poison_is_a_dead_letter_with_its_reason_and_nothing_is_written() -> None:
    world = World(records_of("poison", "target_sidereal"))
    world.pipeline().run(drain=True)

    assert world.letters == [(0, "missing_attributes")]
    assert world.did("write") == [("write", 1)]
    assert committed(world) == 2


def test_a_fault_of_ours_is_a_dead_letter_and_the_next_event_flows() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [KeyError("a bug"), WRITTEN])
    world.pipeline().run(drain=True)

    assert world.letters == [(0, "internal_error")]
    assert committed(world) == 2


def test_a_drain_makes_a_dead_letter_of_what_alone_fails_five_times() -> None:
    world = World(targets(2, name="one target"), [*[Retryable("it fails", reason="tom_error")] * 5, WRITTEN])
    world.pipeline().run(drain=True)

    assert world.letters == [(0, "tom_error")]
    assert committed(world) == 2


def test_a_dead_letter_topic_that_is_away_is_offered_it_again_and_nothing_is_committed_past_it() -> None:
    clock = Clock()
    world = World(targets(3), [WRITTEN, refused("ambiguous_target", "two"), WRITTEN], clock=clock)
    world.letter_answers = [Retryable("the broker is away")] * 3
    commits: list[int] = []
    with running(world) as (_pipeline, _future):

        def tick() -> None:
            clock.seconds += 0.25
            if not world.letters:
                commits.append(committed(world))

        world.on_empty = tick
        until(lambda: committed(world) == 3)

    assert len(world.did("write")) == 3
    assert world.did("letter failed") == [("letter failed", 1)] * 3
    assert world.letters == [(1, "ambiguous_target")]
    assert max(commits) <= 1


def test_a_dead_letter_that_the_broker_refuses_stops_the_consumer_uncommitted() -> None:
    world = World(targets(3), [WRITTEN, refused("target_mismatch", "far away"), WRITTEN])
    world.letter_answers = [Halt("dead_letter_refused", "no such topic")] * 9
    with pytest.raises(Halt, match="dead_letter_refused"):
        world.pipeline().run(drain=True)

    assert committed(world) <= 1


def test_what_finished_behind_a_dead_letter_that_is_refused_is_told_and_nothing_past_the_letter_is_committed() -> None:
    """Other partitions are committed as far as they are done."""
    slow = Wait(answer=refused("target_mismatch", "far away"))
    world = World([*targets(4), *elsewhere(2)], [WRITTEN, slow, WRITTEN], threads=2)
    world.letter_answers = [Halt("dead_letter_refused", "no such topic")] * 9
    behind = world.waiting[1:]
    del world.waiting[1:]
    with running(world) as (pipeline, future):
        until(lambda: committed(world) == 1)
        world.waiting.append(behind.pop(0))
        until(slow.begun.is_set)
        world.waiting.extend(behind)
        until(lambda: pipeline.ends["written"] == 5)
        slow.go.set()
        with pytest.raises(Halt, match="dead_letter_refused"):
            future.result(PATIENCE)

    assert pipeline.ends == Counter(written=5)
    told = [(entry["partition"], entry["offset"]) for entry in world.capture.entries if entry["event"] == "event"]
    assert sorted(told) == [(0, 0), (0, 2), (0, 3), (1, 100), (1, 101)]
    assert world.committed == {PLACE: 1, OTHER: 102}
    assert [offsets[PLACE] for _what, offsets in world.did("commit") if PLACE in offsets] == [1]
    assert world.did("letter failed") == [("letter failed", 1)], "it is not offered again on the way out"
    assert world.letters == []


def test_what_finishes_on_the_way_out_after_a_refused_dead_letter_is_told_and_committed_up_to_the_letter() -> None:
    """In its partition that is not at all; a second dead letter is not even offered."""
    first, slow = Wait(answer=refused("target_mismatch", "far away")), Wait()
    second = Wait(answer=refused("ambiguous_target", "two"))
    world = World([*targets(3), *elsewhere(1)], [first, slow, second, slow], threads=4)
    world.letter_answers = [Halt("dead_letter_refused", "no such topic")] * 9
    behind = world.waiting[1:]
    del world.waiting[1:]
    with running(world) as (pipeline, future):
        until(first.begun.is_set)
        while behind:  # one after the other, so that each gets its answer
            begun = len(world.did("write"))
            world.waiting.append(behind.pop(0))
            until(lambda begun=begun: len(world.did("write")) > begun)
        until(second.begun.is_set)
        first.go.set()
        until(lambda: world.did("letter failed"))
        second.go.set()
        slow.go.set()
        with pytest.raises(Halt, match="dead_letter_refused"):
            future.result(PATIENCE)

    assert pipeline.ends == Counter(written=2)
    assert world.committed == {OTHER: 101}
    assert world.did("letter failed") == [("letter failed", 0)]
    assert world.letters == []
