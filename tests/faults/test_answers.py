"""What a TOM, or what stands before it, may answer: busy, away, broken, slow, or fine for all targets but one."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs

import pytest

from tests.support.door import FaultyDoor
from tests.support.exchange import Exchange, Fault, Match, Seen, is_datum, is_write
from tests.support.faults import Cut, Delay, Hang, Html200, Replace, Reset, Status
from tests.support.site import Site
from tests.support.waiting import wait_for
from tests.support.world import Toms, dump, target_of

TWO, THREE = "2.32.4", "3.1.0"
LIVE = ("--http", "127.0.0.1:0")
EARLY_SECONDS = 0.05
"""Two clocks, and the way of an answer."""


@pytest.fixture(params=[THREE, TWO])
def door(request: pytest.FixtureRequest, toms: Toms) -> Iterator[FaultyDoor]:
    """Yield a door to a TOM of each version; see `at_the_door`."""
    with FaultyDoor(toms.get("destination", request.param).url) as opened:
        opened.version = request.param  # type: ignore[attr-defined]
        yield opened


@pytest.fixture
def three(toms: Toms) -> Iterator[FaultyDoor]:
    with FaultyDoor(toms.get("destination", THREE).url) as opened:
        yield opened


class TooMany:
    """Answers 429, with Retry-After in seconds, as a date, and without, in turn; knows what was asked."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._turn = 0
        self.asked: list[tuple[float, float]] = []

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self._turn += 1
            turn = self._turn
        headers: dict[str, str] = {}
        wall, now = time.time(), time.monotonic()
        until = now
        if turn % 3 == 1:
            headers, until = {"Retry-After": str(self._seconds)}, now + self._seconds
        elif turn % 3 == 2:
            whole = math.ceil(wall) + self._seconds
            when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=whole)
            headers, until = {"Retry-After": format_datetime(when, usegmt=True)}, now + whole - wall
        Status(429, headers)(exchange)
        with self._lock:
            self.asked.append((time.monotonic(), until))


@pytest.mark.parametrize("parallel", [1, 2])
def test_too_many_requests(site: Callable[..., Site], door: FaultyDoor, short: bool, parallel: int):
    between = site(door.version, door=door, partitions=3, consumer={"pace": "full", "max_parallel": parallel})  # type: ignore[attr-defined]
    too_many = TooMany(2)
    door.on(is_write, too_many, every=5, times=6 if short else 15)
    between.publish_data(range(10), events=3 if short else 8)
    with between.running() as [replica]:
        between.wait_until_done()
        assert replica.stop() == 0
    between.assert_well()
    early = [
        (round(entry.arrived - said, 2), round(until - said, 2), entry.method, entry.path)
        for said, until in too_many.asked
        for entry in door.journal
        if said + EARLY_SECONDS < entry.arrived < until - EARLY_SECONDS
    ]
    assert len(too_many.asked) == (6 if short else 15)
    assert early == [], "asked to wait, it did not"


def test_away_for_a_while_and_then_well(site: Callable[..., Site], door: FaultyDoor, short: bool):
    between = site(door.version, door=door, partitions=3)  # type: ignore[attr-defined]
    between.publish_data(range(10))
    with between.running(*LIVE) as [replica]:
        between.wait_until_done()
        rule = door.on(lambda _seen: True, Status(503))
        between.publish_data(range(10, 20), events=2)
        wait_for(lambda: replica.page("readyz")[0] == 503, "it says that it is not ready")
        door.journal.wait_for(lambda _entries: rule.applied >= (4 if short else 7), 200)
        back = len(door.journal)
        door.clear()
        between.wait_until_done()
        assert replica.is_ready()
        assert replica.stop() == 0
    between.assert_well()
    assert len([line for line in replica.said("destination is away") if line["failures"] == 1]) == 1
    assert len(replica.said("destination is back")) == 1
    later = [entry for entry in door.journal.entries[back:] if entry.kind in {"target", "datum"}]
    assert later[0].ended is not None
    assert later[0].ended <= later[1].arrived, "the first goes alone"


FAULTS: dict[str, Fault] = {
    "500 before": Status(500),
    "500 after": Status(500, after_write=True),
    "reset before": Reset(),
    "reset after": Reset(after_write=True),
    "cut": Cut(),
    "hang after headers": Hang(1.5, after_headers=True),
    "HTML before": Html200(),
    "HTML after": Html200(after_write=True),
    "another body before": Replace('{"detail": "hello"}'),
    "another body after": Replace('{"detail": "hello"}', after_write=True),
    "a list": Replace("[]", after_write=True),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_every_third_answer_is_wrong(site: Callable[..., Site], door: FaultyDoor, fault: str, short: bool):
    if short and (list(FAULTS).index(fault) % 2 == 0) == (door.version == TWO):  # type: ignore[attr-defined]
        pytest.skip("make faults has each fault at each version; the short form has each once")
    between = site(door.version, door=door, partitions=3, consumer={"pace": "full"})  # type: ignore[attr-defined]
    before: set[bytes] = set()

    def is_first(seen: Seen) -> bool:
        """Whether it is sent for the first time: twice in a row would be another fault."""
        is_new = is_write(seen) and seen.body not in before
        before.add(seen.body)
        return is_new

    rule = door.on(is_first, FAULTS[fault], every=3)
    between.publish_data(range(4), events=2, datums=4)
    with between.running() as [replica]:
        between.wait_until_done()
        assert replica.stop() == 0
    assert rule.applied >= 3
    between.assert_well()


def test_a_slow_tom(site: Callable[..., Site], three: FaultyDoor, short: bool):
    between = site(door=three, partitions=3, consumer={"max_in_flight": 40})
    targets = 10
    seconds, backlog = (20.0, 400) if short else (180.0, 3000)
    between.publish(*between.target_events(range(targets)))
    with between.running(*LIVE) as [replica]:
        between.wait_until_done()
        slow = three.on(is_write, Delay(2.5))
        between.publish(*(between.datum_event(number % targets) for number in range(backlog)))
        three.journal.wait_for(lambda _entries: slow.applied >= 2, 30)
        rebalances = metric(replica.page("metrics")[1], "rebalances_total")
        first, most, in_flight, until = replica.rss_bytes, 0, 0.0, time.monotonic() + seconds
        while time.monotonic() < until:
            most = max(most, replica.rss_bytes)
            in_flight = max(in_flight, metric(replica.page("metrics")[1], "in_flight_events"))
            time.sleep(0.5)
        assert most - first < 50_000_000
        assert 0 < in_flight <= 40
        assert replica.is_ready()
        assert replica.said("the broker did not hear from us for too long, and gave our partitions to others") == []
        assert metric(replica.page("metrics")[1], "rebalances_total") == rebalances
        three.clear()
        three.release()
        between.wait_until_done(seconds=300)
        assert replica.stop() == 0
    print(f"slow TOM: RSS {first / 1e6:.0f} MB at first, {most / 1e6:.0f} MB at most")
    between.assert_well()


def metric(text: str, name: str) -> float:
    """Return the sum of all samples whose name ends so."""
    found = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return sum(float(value) for key, value in found if key.split("{")[0].endswith(name))


def of_target(number: int) -> Match:
    """Return a predicate for the datums of one target: writing them, and looking whether they are there."""

    def is_of_target(seen: Seen) -> bool:
        if is_datum(seen):
            return json.loads(seen.body)["target"] == number
        return seen.path == "/api/reduceddatums/" and parse_qs(seen.query).get("target__id") == [str(number)]

    return is_of_target


def test_a_tom_that_fails_on_writes_while_it_takes_no_more_logins(site: Callable[..., Site], three: FaultyDoor):
    """Whether it can write at all is asked by a login; one that it puts off, as 3.x does after some, says nothing."""
    between = site(door=three, partitions=3)
    between.publish_data(range(2))
    with between.running() as [replica]:
        between.wait_until_done()
        three.on(is_write, Status(500))
        logins = three.on(lambda seen: seen.path == "/accounts/login/" and seen.method == "POST", Status(429))
        between.publish_data(range(1, 5))
        three.journal.wait_for(lambda _entries: logins.applied >= 2, 60)
        assert not [line for line in replica.events if line["outcome"] == "refused"]
        assert "too many logins" in replica.said("destination is away")[0]["why"]
        three.clear()
        between.wait_until_done()
        assert replica.stop() == 0
    between.assert_well()


def test_one_target_that_fails_alone(site: Callable[..., Site], three: FaultyDoor):
    """Its event is tried for ``retry_seconds``, is a dead letter then, and is written by a replay once the TOM takes it."""
    retry_seconds = 3.0
    between = site(door=three, partitions=3, consumer={"retry_seconds": retry_seconds})
    between.publish(*between.target_events(range(6)))
    with between.running() as [replica]:
        between.wait_until_done()
        bad = target_of(dump(between.destination), between.target(0).name)["id"]
        three.on(of_target(bad), Status(500))
        between.publish(between.datum_event(0))
        between.publish(*(between.datum_event(number) for _ in range(5) for number in range(1, 6)))
        between.wait_until_done()
        three.clear()
        [letter] = between.dead_letters()
        [end] = [line for line in replica.events if line["outcome"] == "refused"]
        pauses = [line["pause_seconds"] for line in replica.said("waiting")]
        print(f"one target fails: dead letter after {end['attempts']} attempts and {sum(pauses):.1f} s of pauses")
        assert letter["reason"] == "tom_error"
        assert f"tried {end['attempts']} times while the TOM was otherwise well" in letter["detail"]
        assert len(pauses) == end["attempts"] - 1
        rounding = 0.05 * len(pauses)
        assert sum(pauses[:-1]) - rounding <= retry_seconds < sum(pauses) + rounding, "the budget is what ended it"
        assert between.run("dead-letters", "replay", "destination", "--all").code == 0
        assert replica.stop() == 0
    between.assert_well(letters=2)  # the letter, and the note that it was replayed


def test_one_target_that_fails_for_long_holds_up_nobody_else(site: Callable[..., Site], three: FaultyDoor):
    """Others are done while it is still tried; its partition is committed up to it, and the metrics tell of the gap."""
    between = site(door=three, partitions=3, consumer={"retry_seconds": 3600.0})
    between.publish(*between.target_events(range(6)))
    with between.running(*LIVE) as [replica]:

        def of_others() -> list[int]:
            """Return how many ms the others' events took, in the order of their ends."""
            return [line["ms"] for line in replica.events if between.target(0).name not in line["about"]]

        def measured(name: str) -> float:
            return metric(replica.page("metrics")[1], name)

        others = [number for _ in range(8) for number in range(1, 6)]
        between.wait_until_done()
        known = len(of_others())
        between.publish(*map(between.datum_event, others))
        between.wait_until_done()
        before = of_others()[known:]

        bad = target_of(dump(between.destination), between.target(0).name)["id"]
        rule = three.on(of_target(bad), Status(500))
        doomed = between.datum_event(0)
        between.publish(doomed, between.datum_event(0))
        three.journal.wait_for(lambda _entries: rule.applied >= 6, 60)  # two requests for each attempt
        known = len(of_others())
        between.publish(*map(between.datum_event, others))
        wait_for(lambda: len(of_others()) == known + len(others), "the others are done while the one is still tried")
        during = of_others()[known:]

        [failing] = [record for record in between.read(between.topic) if record.record == doomed]
        ends = {partition: end for partition, (_committed, end) in between.offsets().items()}
        gap = ends[failing.partition] - failing.offset
        held = {partition: (end, end) for partition, end in ends.items()} | {
            failing.partition: (failing.offset, ends[failing.partition])
        }
        wait_for(lambda: between.offsets() == held, "all is committed but what is not before the one that fails")
        wait_for(lambda: measured("lag_records") == gap, f"the metrics say that {gap} records are not committed")
        oldest = measured("oldest_unfinished_seconds")
        wait_for(lambda: measured("oldest_unfinished_seconds") > oldest + 1, "and since when: the gap grows older")
        assert gap >= 2
        assert replica.is_ready()
        assert (between.offsets(), between.dead_letters()) == (held, [])

        three.clear()
        between.wait_until_done()
        assert replica.stop() == 0
    print(f"one target fails for long: the slowest of the others took {max(before)} ms before, {max(during)} ms meanwhile")
    # That they are done at all shows that none waits for it. As to speed, an attempt at it costs three small requests, and
    # its pauses double: five seconds are more than a machine that is busy with something else can make of that.
    assert max(during) <= 3 * max(before) + 5000
    assert between.wrong_commits() == []
    between.assert_well()
