"""What the consumer's loop tells: one log line for each record, marks on requests, nothing done by a dry run."""

from collections import Counter

import pytest

from bridge.codecs.echo import echo_headers
from bridge.consumer.outcome import Outcome, refused
from bridge.consumer.reporting import MOST_DETAILS, MOST_LINES
from bridge.errors import Retryable
from bridge.tom.written import Written
from tests.unit.consumer.doubles import EVENTS, World, foreign, records_of, until
from tests.unit.consumer.running import AWAY, WRITTEN, committed, running


def test_a_dry_run_commits_nothing_and_publishes_no_dead_letters() -> None:
    world = World(records_of("poison", "target_sidereal", "target_list"), [refused("ambiguous_target", "two")])

    assert world.pipeline(dry_run=True).run(drain=True) == Counter(refused=2, skipped=1)
    assert world.journal == [("write", 1)]


def test_requests_are_marked_with_their_event() -> None:
    world = World(records_of("target_sidereal", "reduced_datums"), [AWAY, WRITTEN])
    world.pipeline().run(drain=True)
    first, second = echo_headers(EVENTS["target_sidereal"]), echo_headers(EVENTS["reduced_datums"])

    assert world.marks == [first, first, second]


def test_each_record_has_one_line_in_the_log_that_says_what_became_of_it() -> None:
    written = Outcome.of(Written(target_id=7, written=3, present=1, notes=["a note"]))
    world = World(records_of("target_sidereal", "poison"), [Retryable("it fails"), written])
    world.pipeline().run(drain=True)
    waiting = next(entry for entry in world.capture.entries if entry["event"] == "waiting")
    lines = {entry["offset"]: entry for entry in world.capture.entries if entry["event"] == "event"}

    assert (waiting["why"], waiting["log_level"], waiting["attempt"]) == ("it fails", "warning", 1)
    assert lines[0] | {"ms": 0} == {
        "event": "event", "log_level": "info", "topic": "tom.shares", "partition": 0, "offset": 0, "ms": 0, "attempts": 2,
        "destination": "not-my-tom", "outcome": "written", "event_id": str(EVENTS["target_sidereal"].id),
        "type": "tom.target.shared.v1", "source": "https://tom.example.org/", "about": "SN 2024abc", "target": 7,
        "written": 3, "present": 1, "notes": ["a note"],
    }  # fmt: skip
    assert (lines[1]["outcome"], lines[1]["reason"], lines[1]["log_level"]) == ("refused", "missing_attributes", "warning")
    assert len([entry for entry in world.capture.entries if entry["event"] == "event"]) == 2


def test_that_the_broker_goes_and_comes_is_said_once_each() -> None:
    world = World([])
    with running(world):
        world.is_broker_there = False
        until(lambda: "broker is away" in [entry["event"] for entry in world.capture.entries])
        world.is_broker_there = True
        until(lambda: "broker is back" in [entry["event"] for entry in world.capture.entries])

    assert [entry["event"] for entry in world.capture.entries] == ["broker is away", "broker is back"]


def lines(world: World, event: str) -> list[dict[str, object]]:
    return [dict(entry) for entry in world.capture.entries if entry["event"] == event]


def test_one_that_is_passed_over_unread_has_a_line_with_what_its_headers_say() -> None:
    world = World(foreign(1))
    world.pipeline().run(drain=True)

    assert lines(world, "event") == [
        {
            "event": "event", "log_level": "info", "topic": "tom.shares", "partition": 0, "offset": 0, "ms": 0, "attempts": 0,
            "destination": "not-my-tom", "outcome": "skipped", "event_id": "0", "type": "tom.target.shared.v1",
            "source": "https://other.example.org/", "reason": "source_not_accepted",
            "detail": "https://other.example.org/ is not among accept_sources",
        }
    ]  # fmt: skip
    assert lines(world, "passed over") == []


def test_of_many_that_are_passed_over_unread_the_first_have_lines_and_the_others_one_together() -> None:
    world = World(foreign(400))
    ends = world.pipeline().run(drain=True)
    counted = 'tom_bridge_events_total{destination="not-my-tom",outcome="skipped",reason="source_not_accepted"} 400.0'

    assert ends == Counter(skipped=400)
    assert [line["offset"] for line in lines(world, "event")] == list(range(MOST_LINES))
    assert lines(world, "passed over") == [
        {
            "event": "passed over", "log_level": "info", "destination": "not-my-tom", "reason": "source_not_accepted",
            "events": 400 - MOST_LINES, "places": [f"tom.shares[0]@{MOST_LINES}-399"],
            "details": [f"https://other.example.org/ is not among accept_sources ({400 - MOST_LINES})"],
        }
    ]  # fmt: skip
    assert counted in world.metrics.text().decode()


def test_who_asks_for_each_has_a_line_for_each() -> None:
    world = World(foreign(400))
    world.pipeline(each=True).run(drain=True)

    assert [line["offset"] for line in lines(world, "event")] == list(range(400))


def test_a_line_for_many_stays_short_however_many_sources_somebody_makes_up() -> None:
    world = World([record for n in range(90) for record in foreign(1, source=f"https://{n}.example.org/")])
    for number, record in enumerate(world.waiting):
        object.__setattr__(record, "offset", number)
    world.pipeline().run(drain=True)
    (line,) = lines(world, "passed over")
    details = line["details"]

    assert isinstance(details, list)
    assert len(details) == MOST_DETAILS + 1
    assert details[-1] == f"and {90 - MOST_LINES - MOST_DETAILS} more"


@pytest.mark.parametrize("each", [False, True])
def test_whatever_is_committed_was_told_before(each: bool) -> None:
    world = World(foreign(1200))
    told: list[int] = []

    def tell() -> None:
        last = [int(str(line["places"][0]).rpartition("-")[2]) for line in lines(world, "passed over")]  # type: ignore[index]
        told.append(max([*last, *(int(str(line["offset"])) for line in lines(world, "event"))], default=-1) + 1)
        assert committed(world) <= told[-1]

    world.on_poll = tell
    world.pipeline(each=each).run(drain=True)
    tell()

    assert committed(world) == told[-1] == 1200
