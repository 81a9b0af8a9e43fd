"""The consumer's loop and a TOM that refuses: one bad event is a dead letter, a series of refusals stops the consumer."""

from collections import Counter
from typing import Any

import pytest

from bridge.consumer.outcome import Outcome, refused
from bridge.errors import Halt
from tests.unit.consumer.doubles import PATIENCE, Clock, Wait, World, records_of, until
from tests.unit.consumer.running import NO, WRITTEN, assert_in_order, committed, quickly, running, targets


def test_a_tom_that_refuses_everything_stops_the_consumer_and_costs_no_events() -> None:
    world = World(targets(6), [WRITTEN, NO], max_refusals_in_a_row=3)
    with pytest.raises(Halt, match=r"too_many_refusals.*3 events.*refused_by_tom: HTTP 400"):
        world.pipeline().run(drain=True)

    assert world.letters == []
    assert committed(world) == 1


def test_a_success_in_between_shows_that_the_events_are_to_blame() -> None:
    world = World(targets(5), [NO, NO, WRITTEN, NO, NO], max_refusals_in_a_row=3)
    ends = world.pipeline().run(drain=True)

    assert ends == Counter(refused=4, written=1)
    assert [offset for offset, _reason in world.letters] == [0, 1, 3, 4]
    assert committed(world) == 5
    assert_in_order(world)


@pytest.mark.parametrize("end", ["present", "partial"])
def test_what_was_there_or_is_written_in_part_is_a_success_too(end: Any) -> None:
    world = World(targets(5), [NO, NO, Outcome(end=end, reason="tom_error"), NO, NO], max_refusals_in_a_row=3)
    world.pipeline().run(drain=True)

    assert committed(world) == 5


@pytest.mark.parametrize("reason", ["unmatched", "ambiguous_target", "target_mismatch", "target_refused", "internal_error"])
def test_what_the_bridge_refuses_or_holds_does_not_count(reason: str) -> None:
    world = World(targets(6), [refused(reason, "x")], max_refusals_in_a_row=3)
    world.pipeline().run(drain=True)

    assert len(world.letters) == 6
    assert committed(world) == 6


@pytest.mark.parametrize("between", [refused("unmatched", "x"), Outcome(end="skipped", reason="unmatched")])
def test_nor_does_it_show_that_the_tom_is_well(between: Outcome) -> None:
    world = World(targets(6), [NO, NO, between, NO], max_refusals_in_a_row=3)
    with pytest.raises(Halt, match="too_many_refusals"):
        world.pipeline().run(drain=True)

    assert world.committed == {}
    assert {offset for offset, _reason in world.letters} <= {2}


def test_poison_is_neither_a_refusal_nor_a_success() -> None:
    records = [*records_of("poison", "poison", "poison", "poison"), *targets(7)[4:]]
    world = World(records, [NO], max_refusals_in_a_row=3)
    with pytest.raises(Halt, match="too_many_refusals"):
        world.pipeline().run(drain=True)

    assert [offset for offset, _reason in world.letters] == [0, 1, 2, 3]
    assert committed(world) == 4


def test_a_few_refusals_are_believed_at_the_end_of_a_drain() -> None:
    world = World(targets(2), [NO], max_refusals_in_a_row=3)
    world.pipeline().run(drain=True)

    assert world.letters == [(0, "refused_by_tom"), (1, "refused_by_tom")]
    assert committed(world) == 2


def test_a_few_refusals_are_believed_when_nothing_else_came_for_a_while() -> None:
    clock = Clock()
    world = World(targets(2), [NO], clock=clock, max_refusals_in_a_row=3)
    believed: list[float] = []
    with running(world):
        until(lambda: len(world.did("write")) == 2 and not world.lanes.busy(lambda _work: True))
        began = clock()

        def tick() -> None:
            clock.seconds += 0.25
            if world.letters:
                believed.append(clock() - began)

        world.on_empty = tick
        until(lambda: committed(world) == 2)

    assert 10.0 <= believed[0] <= 11.0
    assert [offset for offset, _reason in world.letters] == [0, 1]


def test_refusals_wait_for_what_is_still_in_work() -> None:
    clock, slow = Clock(), Wait()
    world = World(targets(2), [NO, slow], clock=clock, threads=2, max_refusals_in_a_row=3)
    with running(world):
        until(lambda: len(world.did("write")) == 2)
        quickly(world, clock, 5.0)
        seconds = clock()
        until(lambda: clock() > seconds + 60.0)
        assert world.letters == []
        slow.go.set()
        until(lambda: committed(world) == 2)

    assert world.letters == [(0, "refused_by_tom")]


def test_refusals_are_no_dead_letters_of_a_service_that_stops() -> None:
    world = World(targets(2), [NO], max_refusals_in_a_row=3)
    with running(world) as (pipeline, future):
        until(lambda: len(world.did("write")) == 2 and not world.lanes.busy(lambda _work: True))
        pipeline.stop.set()
        future.result(PATIENCE)

    assert world.letters == []
    assert world.committed == {}
