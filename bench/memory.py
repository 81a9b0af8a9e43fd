"""What a backlog of a million events costs a consumer in memory, beside the same consumer with nothing to do.

Its high-water mark counts, the shared pages of Python and librdkafka included: while it works and its TOM cannot keep up, while
its TOM is away, and while it passes all of the events over, as fast as it can. The order is the same in each run, since
every consumer is a process of its own, and takes over nothing from the one before it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.flood import flood
from bench.report import Figure, number
from bench.stage import Bench
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetIdentity
from tests.support.replica import Replica
from tests.support.site import Site
from tests.support.waiting import wait_for

__all__ = ["measure"]

EVENTS, EVENTS_QUICK = 1_000_000, 20_000
PARTITIONS = 12
TARGETS = 60
RUNS = 3
WATCHED_SECONDS, WATCHED_SECONDS_QUICK = 12.0, 3.0
LOOK_SECONDS = 0.1
WAIT_SECONDS = 180.0
GOAL_MB = 60
NIGHT = datetime(2024, 5, 1, tzinfo=UTC)
NAME, MOMENT = b"NameOfTheTarget", b"2024-05-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process; MB.

    Parameters
    ----------
    peak
        The most that was resident at any time.
    resident, own
        What is resident at present, and what of it is counted if shared pages are shared out.
    """

    peak: float
    resident: float
    own: float

    @classmethod
    def of(cls, process: int) -> Memory | None:
        """Read it; None if the process has ended."""
        try:
            status, smaps = (Path(f"/proc/{process}/{name}").read_text() for name in ("status", "smaps_rollup"))
        except OSError:
            return None

        def megabytes(key: str, text: str) -> float:
            found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
            return int(found[1]) / 1024 if found else 0.0

        peak = megabytes("VmHWM", status)
        return cls(peak, megabytes("VmRSS", status), megabytes("Pss", smaps)) if peak else None


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how much more a consumer takes that has much to do."""
    events, runs = (EVENTS_QUICK, 1) if bench.quick else (EVENTS, RUNS)
    seconds = WATCHED_SECONDS_QUICK if bench.quick else WATCHED_SECONDS
    kafka, tom = bench.kafka(), bench.tom("destination")
    full, empty = (
        Site.make(bench.home / name, kafka=kafka, destination=tom, partitions=PARTITIONS) for name in ("full", "empty")
    )
    for site in (full, empty):
        bench.at_end(site.kill_all)
        site.consumer = {"accept_sources": [full.tom.url]}
    empty.publish(*full.target_events(range(TARGETS)))
    _watch(empty, 0.0, until=lambda replica: len(replica.events) == TARGETS)
    bench.say(f"publishing {events:,} events")
    flood(kafka.bootstrap, full.topic, [_record(full)], events, body=lambda value, n: _body(full, value, n))
    found: dict[str, list[Memory]] = {"idle": [], "it works": [], "its TOM is away": [], "it passes them over": []}
    for _run in range(runs):
        found["idle"].append(_watch(empty, seconds))
        found["it works"].append(_watch(full, seconds, until=lambda replica: replica.events))
        tom.stop()
        found["its TOM is away"].append(_watch(full, seconds))
        tom.start()
        full.consumer = {"accept_sources": ["https://nobody.example.org/"]}
        found["it passes them over"].append(_watch(full, WAIT_SECONDS, "--drain"))
        full.consumer = dict(empty.consumer)
    idle = found.pop("idle")
    for when, seen in found.items():
        peak, rest, now, own = (
            number(median(values))
            for values in (
                [one.peak for one in seen],
                [one.peak for one in idle],
                [one.resident for one in seen],
                [one.own for one in seen],
            )
        )
        yield Figure(
            what=f"memory with a backlog of {events:,} events, while {when}",
            against="the same consumer, idle",
            value=median(busy.peak - resting.peak for busy, resting in zip(seen, idle, strict=True)),
            unit="MB",
            goal=GOAL_MB,
            at_most=True,
            detail=f"{peak} MB at most against {rest} MB; at the end {now} MB, of which {own} MB are its own",
            runs=runs,
        )


def _watch(site: Site, seconds: float, *options: str, until: Callable[[Replica], object] = lambda _replica: True) -> Memory:
    """Run a consumer of a new group until something is so, and for some seconds or until it ends; return what it took."""
    site.group += 1
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--config", str(site.write_config()), *options]
    replica = Replica(command, site.home / f"memory-{site.group}.log").start()
    site.replicas.append(replica)
    wait_for(lambda: until(replica), "the consumer has begun")
    last, end = Memory.of(replica.process.pid), time.monotonic() + seconds
    while replica.runs and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        last = Memory.of(replica.process.pid) or last
    code = replica.stop() if replica.runs else replica.wait(seconds=0)
    if code or last is None:
        raise RuntimeError(f"tom-bridge consume ended with {code}:\n{replica.tail()}")
    return last


def _record(site: Site) -> Record:
    """Return an event with one datum, of a target that `_body` names."""
    target = TargetIdentity(name=NAME.decode(), type="SIDEREAL", ra=10.0, dec=1.5)
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.5, brightness_error=0.05, bandpass="r")
    return encode(new_event(ReducedDatumsShared(tom=site.tom, target=target, datums=(datum,)), now=datetime.now(UTC)))


def _body(site: Site, value: bytes, number: int) -> bytes:
    name = site.target(number % TARGETS).name.encode()
    day, second = divmod(number, 79_200)
    moment = b"2024-05-%02dT%02d:%02d:%02d.000000Z" % (1 + day, second // 3_600, second // 60 % 60, second % 60)
    return value.replace(NAME, name).replace(MOMENT, moment)
