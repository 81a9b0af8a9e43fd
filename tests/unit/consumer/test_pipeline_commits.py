"""The consumer's loop: nothing is committed before it is written, skipped by policy, or a dead letter."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.consumer.outcome import Outcome, refused
from bridge.errors import Halt, Rejected, Retryable
from tests.unit.consumer.doubles import PATIENCE, Wait, World, records_of, target_record, until
from tests.unit.consumer.running import AWAY, NO, PLACE, WRITTEN, assert_in_order, committed, running, targets


def test_each_record_is_written_and_then_committed() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    ends = world.pipeline().run(drain=True)

    assert world.did("write") == [("write", 0), ("write", 1)]
    assert world.journal[-1] == ("commit", {PLACE: 2})
    assert ends == Counter(written=2)
    assert_in_order(world)


def test_what_is_finished_is_not_committed_past_what_is_not() -> None:
    slow = Wait()
    world = World(targets(4), [slow, WRITTEN], threads=2)
    with running(world, drain=True) as (pipeline, future):
        until(lambda: pipeline.ends["written"] == 3)
        assert world.committed == {}
        slow.go.set()
        future.result(PATIENCE)

    assert committed(world) == 4


def test_events_of_one_target_are_written_in_order_also_while_one_is_tried_again() -> None:
    world = World(targets(3, name="one target"), [Retryable("it fails"), Retryable("it fails"), WRITTEN], threads=3)
    world.pipeline().run(drain=True)

    assert [about for _what, about in world.did("write")] == [0, 0, 0, 1, 2]


def test_what_policy_passes_over_is_committed_without_a_write() -> None:
    world = World(records_of("target_list"))

    assert world.pipeline().run(drain=True) == Counter(skipped=1)
    assert world.journal == [("commit", {PLACE: 1})]


@pytest.mark.parametrize("error", [Halt("tom_login", "refused"), Rejected("x", "raised, not returned")])
def test_what_ends_the_loop_is_not_committed_but_what_was_written_before_it_is(error: Exception) -> None:
    world = World(targets(4), [WRITTEN, error])
    with pytest.raises(type(error)):
        world.pipeline().run(drain=True)

    assert committed(world) == 1
    assert world.letters == []


ANSWERS = st.sampled_from(
    [WRITTEN, WRITTEN, WRITTEN, NO, refused("unmatched", "x"), AWAY, Retryable("it fails"), Outcome(end="skipped", reason="x")]
)


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=19), st.lists(ANSWERS, max_size=30), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_whatever_happens_each_record_ends_once_and_all_is_committed_in_order(
    names: list[str], answers: list[Any], threads: int
) -> None:
    outages = [number for number, answer in enumerate(answers) if answer is AWAY]
    answers = [answer for number, answer in enumerate(answers) if number not in outages[4:]]  # more: a drain gives up
    world = World([target_record(n, name=name) for n, name in enumerate(names)], [*answers, WRITTEN], threads=threads)
    pipeline = world.pipeline()
    ends = pipeline.run(drain=True)

    assert committed(world) == len(names)
    assert ends.total() == len(names)
    assert ends["refused"] == len(world.letters) == len({offset for offset, _reason in world.letters})
    assert_in_order(world)
    for name in set(names):
        tried = [about for what, about in world.journal if what == "write" and names[about] == name]
        assert tried == sorted(tried)
