"""The consumer's loop: nothing is committed before it is written, skipped by policy, or a dead letter."""

from collections import Counter
from typing import Any

import pytest

from bridge.consumer.outcome import Outcome, refused
from bridge.errors import Halt, Rejected, Retryable
from bridge.events import ShareEvent
from bridge.tom.written import Failure, Written
from tests.unit.consumer.doubles import EVENTS, World, records_of

TARGET, DATUMS = "tom.target.shared.v1", "tom.reduced_datums.shared.v1"
AWAY = Retryable("the TOM does not answer")


def test_each_record_is_written_and_then_committed_in_order() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    ends = world.pipeline().run(drain=True)

    assert world.journal == [("write", TARGET), ("commit", 0), ("write", DATUMS), ("commit", 1)]
    assert ends == Counter(written=2)


def test_a_refused_event_is_a_dead_letter_before_it_is_committed_and_blocks_nobody() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [refused("ambiguous_target", "two"), Outcome(end="written")])
    ends = world.pipeline().run(drain=True)

    assert world.journal == [
        ("write", TARGET), ("letter", (0, "ambiguous_target")), ("commit", 0), ("write", DATUMS), ("commit", 1),
    ]  # fmt: skip
    assert ends == Counter(refused=1, written=1)


def test_what_is_written_in_part_is_committed_and_the_rest_is_a_dead_letter() -> None:
    written = Written(target_id=7, written=3, failures=[Failure("datum 2", "tom_error", "the TOM failed on it")])
    world = World(records_of("reduced_datums"), [Outcome.of(written)])

    assert world.pipeline().run(drain=True) == Counter(partial=1)
    assert world.journal == [("write", DATUMS), ("letter", (0, "tom_error")), ("commit", 0)]


def test_poison_is_a_dead_letter_with_its_reason_and_nothing_is_written() -> None:
    world = World(records_of("poison", "target_sidereal"))
    world.pipeline().run(drain=True)

    assert world.journal[:2] == [("letter", (0, "missing_attributes")), ("commit", 0)]
    assert world.journal[2:] == [("write", TARGET), ("commit", 1)]


def test_what_policy_passes_over_is_committed_without_a_write() -> None:
    world = World(records_of("target_list"))

    assert world.pipeline().run(drain=True) == Counter(skipped=1)
    assert world.journal == [("commit", 0)]


def test_a_destination_that_is_away_is_asked_again_and_nothing_is_committed_meanwhile() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [AWAY, AWAY, AWAY, Outcome(end="written")])
    ends = world.pipeline().run(drain=True)

    assert world.journal == [
        ("write", TARGET), ("hold", 1.0), ("write", TARGET), ("hold", 2.0), ("write", TARGET), ("hold", 4.0),
        ("write", TARGET), ("commit", 0), ("write", DATUMS), ("commit", 1),
    ]  # fmt: skip
    assert ends == Counter(written=2)


def test_pauses_grow_up_to_a_minute_and_are_never_shorter_than_asked() -> None:
    answers: list[Any] = [*[AWAY] * 8, Retryable("busy", retry_after=300.0), Outcome(end="written")]
    world = World(records_of("target_sidereal"), answers)
    pipeline = world.pipeline()
    pipeline.run(on_record=lambda _number: pipeline.stop.set())

    assert [what for kind, what in world.journal if kind == "hold"] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 300.0]


def test_a_drain_gives_up_on_a_destination_that_stays_away_and_commits_nothing() -> None:
    world = World(records_of("target_sidereal"), [AWAY])
    with pytest.raises(Retryable):
        world.pipeline().run(drain=True)

    assert [kind for kind, _what in world.journal].count("write") == 5
    assert "commit" not in dict(world.journal)


def test_a_record_whose_partition_was_taken_away_meanwhile_is_left_to_its_new_owner() -> None:
    world = World(records_of("target_sidereal"), [AWAY])
    world.lost_while_holding = True

    assert world.pipeline().run(drain=True) == Counter()
    assert world.journal == [("write", TARGET), ("hold", 1.0)]


def test_a_stop_during_a_pause_leaves_the_record_uncommitted() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [AWAY])
    pipeline = world.pipeline()
    world.on_hold = pipeline.stop.set

    assert pipeline.run() == Counter()
    assert world.journal == [("write", TARGET), ("hold", 1.0)]


def test_a_stop_lets_the_record_that_is_being_written_come_to_its_end() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    pipeline = world.pipeline()
    pipeline.run(on_record=lambda _number: pipeline.stop.set())

    assert world.journal == [("write", TARGET), ("commit", 0)]


@pytest.mark.parametrize("error", [Halt("tom_login", "refused"), Rejected("x", "raised, not returned")])
def test_whatever_ends_the_loop_commits_nothing(error: Exception) -> None:
    world = World(records_of("target_sidereal"), [error])
    with pytest.raises(type(error)):
        world.pipeline().run(drain=True)

    assert world.journal == [("write", TARGET)]


def test_a_fault_of_ours_is_a_dead_letter_and_the_next_event_flows() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [KeyError("a bug"), Outcome(end="written")])
    world.pipeline().run(drain=True)

    assert [what for what, _about in world.journal].count("letter") == 1
    assert world.journal[-1] == ("commit", 1)
    assert any(entry.get("reason") == "internal_error" for entry in world.log.entries)


def test_a_dead_letter_that_the_broker_refuses_stops_the_consumer_uncommitted() -> None:
    world = World(records_of("target_sidereal"), [refused("target_mismatch", "far away")])
    world.letter_refusal = Halt("dead_letter_refused", "the broker is away")
    with pytest.raises(Halt):
        world.pipeline().run(drain=True)

    assert world.journal == [("write", TARGET)]


def test_a_commit_that_the_broker_does_not_take_now_is_tried_again_and_nothing_is_written_twice() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    world.commit_answers = [Retryable("the broker restarts"), Retryable("the broker restarts")]
    world.pipeline().run(drain=True)

    assert world.journal == [
        ("write", TARGET), ("commit failed", 0), ("hold", 1.0), ("commit failed", 0), ("hold", 2.0), ("commit", 0),
        ("write", DATUMS), ("commit", 1),
    ]  # fmt: skip


def test_a_stop_while_a_commit_is_tried_again_ends_without_it() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    world.commit_answers = [Retryable("the broker is away")] * 9
    pipeline = world.pipeline()
    world.on_hold = pipeline.stop.set
    pipeline.run()

    assert world.journal == [("write", TARGET), ("commit failed", 0), ("hold", 1.0)]


def test_a_partition_that_went_to_another_member_before_the_commit_is_told_and_the_rest_goes_on() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"))
    world.commit_answers = [False]
    with pytest.raises(Retryable, match="1 records went to another member"):
        world.pipeline().run(drain=True)

    assert world.journal == [("write", TARGET), ("write", DATUMS), ("commit", 1)]
    assert any("another member" in entry["event"] for entry in world.log.entries)


def test_a_dry_run_commits_nothing_and_publishes_no_dead_letters() -> None:
    world = World(records_of("poison", "target_sidereal", "target_list"), [refused("ambiguous_target", "two")])

    assert world.pipeline(dry_run=True).run(drain=True) == Counter(refused=2, skipped=1)
    assert world.journal == [("write", TARGET)]


def test_requests_are_marked_with_the_event_while_it_is_written_also_when_that_fails() -> None:
    marks: list[ShareEvent | None] = []
    world = World(records_of("target_sidereal"), [Halt("tom_login", "refused")])
    with pytest.raises(Halt):
        world.pipeline(on_event=marks.append).run(drain=True)

    assert marks == [EVENTS["target_sidereal"], None]


def test_progress_is_told_after_each_record() -> None:
    told: list[int] = []
    World(records_of("target_sidereal", "poison", "target_list")).pipeline().run(drain=True, on_record=told.append)

    assert told == [1, 2, 3]


def test_each_record_has_one_line_in_the_log_that_says_what_became_of_it() -> None:
    written = Outcome.of(Written(target_id=7, written=3, present=1, notes=["a note"]))
    world = World(records_of("target_sidereal", "poison"), [AWAY, written])
    world.pipeline().run(drain=True)
    away, first, second = world.log.entries

    assert (away["why"], away["log_level"], away["attempt"]) == ("the TOM does not answer", "warning", 1)
    assert first | {"ms": 0} == {
        "event": "event", "log_level": "info", "topic": "tom.shares", "partition": 0, "offset": 0, "ms": 0, "attempts": 2,
        "destination": "not-my-tom", "outcome": "written", "event_id": str(EVENTS["target_sidereal"].id), "type": TARGET,
        "source": "https://tom.example.org/", "about": "SN 2024abc", "target": 7, "written": 3, "present": 1,
        "notes": ["a note"],
    }  # fmt: skip
    assert (second["outcome"], second["reason"], second["log_level"]) == ("refused", "missing_attributes", "warning")
