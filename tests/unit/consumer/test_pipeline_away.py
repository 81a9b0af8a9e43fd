"""The consumer's loop while the destination or the broker is away: it waits, and neither loses nor writes twice."""

from collections import Counter

import pytest

from bridge.errors import Away, Retryable
from tests.unit.consumer.doubles import PATIENCE, Clock, World, records_of, until
from tests.unit.consumer.running import AWAY, WRITTEN, committed, quickly, running, targets

# the destination


def test_a_destination_that_is_away_is_asked_again_and_nothing_is_committed_meanwhile() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [AWAY, AWAY, AWAY, WRITTEN])
    ends = world.pipeline().run(drain=True)

    assert [about for _what, about in world.did("write")] == [0, 0, 0, 0, 1]
    assert ends == Counter(written=2)
    assert world.letters == []
    first_commit = next(number for number, (what, _about) in enumerate(world.journal) if what == "commit")
    assert [what for what, _about in world.journal[:first_commit]].count("write") >= 4


def test_records_are_taken_and_the_group_is_kept_while_the_destination_is_away() -> None:
    world = World(targets(3), [Away("busy", retry_after=3600.0), WRITTEN])
    polls: list[int] = []
    world.on_poll = lambda: polls.append(1)
    with running(world) as (pipeline, _future):
        until(lambda: world.gate.trouble is not None and not world.waiting)
        before = len(polls)
        until(lambda: len(polls) > before + 20)
        assert pipeline.ready() == {
            "ok": False, "member_of_group": True, "broker_there": True, "destination_there": False, "partitions": 1,
            "why": "busy",
        }  # fmt: skip
        assert pipeline.alive()["ok"]

    assert world.committed == {}
    assert len(world.did("write")) == 1


def test_a_drain_gives_up_on_a_destination_that_stays_away_and_commits_nothing() -> None:
    world = World(targets(2), [AWAY], probes=[AWAY] * 1_000_000)
    with pytest.raises(Away):
        world.pipeline().run(drain=True)

    assert len(world.did("write")) == 1
    assert len(world.did("probe")) >= 4
    assert world.committed == {}


@pytest.mark.parametrize("error", [Away("busy", retry_after=300.0), Retryable("new targets", retry_after=300.0)])
def test_a_drain_does_not_wait_longer_than_our_own_pauses_even_if_asked_to(error: Retryable) -> None:
    world = World(targets(2), [error])
    with pytest.raises(Retryable) as caught:
        world.pipeline().run(drain=True)

    assert caught.value is error
    assert world.committed == {}


# the broker


def test_a_commit_that_the_broker_does_not_take_now_is_tried_again_and_nothing_is_written_twice() -> None:
    clock = Clock()
    world = World(records_of("target_sidereal", "reduced_datums"), clock=clock)
    world.commit_answers = [Retryable("the broker restarts")] * 3
    with running(world):
        quickly(world, clock)
        until(lambda: committed(world) == 2)

    assert world.did("write") == [("write", 0), ("write", 1)]
    waits = [entry["pause_seconds"] for entry in world.capture.entries if entry["event"] == "waiting"]
    assert waits == [1.0, 2.0, 4.0]


def test_a_drain_gives_up_on_a_broker_that_takes_no_commit() -> None:
    clock = Clock()
    world = World(targets(1), clock=clock)
    world.commit_answers = [Retryable("the broker is away")] * 99
    quickly(world, clock)
    with pytest.raises(Retryable, match="the broker is away"):
        world.pipeline().run(drain=True)

    assert world.committed == {}


def test_a_stop_while_the_broker_is_away_ends_without_a_commit() -> None:
    world = World(targets(2))
    world.commit_answers = [Retryable("the broker is away")] * 99
    with running(world) as (pipeline, future):
        until(lambda: world.did("commit failed"))
        pipeline.stop.set()
        future.result(PATIENCE)

    assert world.committed == {}
    assert any("not committed at the end" in entry["event"] for entry in world.capture.entries)


def test_after_trouble_on_the_way_into_the_group_it_is_joined_anew() -> None:
    world = World(targets(1))
    world.poll_answers = [Retryable("the coordinator is away")]
    world.pipeline().run(drain=True)

    assert world.journal[0] == ("rejoin", None)
    assert committed(world) == 1
