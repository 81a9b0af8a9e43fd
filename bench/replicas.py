"""Three polite consumers of one group beside one, before a TOM that takes 50 ms for each datum.

What is slow is a double: a door before a real TOM, through which everything goes but datums; those are answered there, after
their time. So it is the bridge that is measured, and not what else two cores can bear.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from bench.bridging import MODES, Bridge
from bench.report import Figure, number
from bench.stage import Bench
from tests.support.door import FaultyDoor
from tests.support.exchange import is_datum
from tests.support.faults import Delay, Status
from tests.support.waiting import wait_for

__all__ = ["measure"]

WRITE_SECONDS = 0.05
PARTITIONS = 12
TARGETS = 60
"""Enough that every consumer has some on each of its partitions."""
DATUMS = 10
MANY = 3
AT_LEAST = 2.7
SETTINGS = {**MODES["polite"], "concurrent_writes": True}
TAKEN = Status(201, body='{"data_type": "photometry"}', content_type="application/json")
"""What tells the bridge that a datum was stored."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how much faster three are than one."""
    runs, seconds = (1, 2.0) if bench.quick else (3, 10.0)
    tom = bench.tom("destination")
    with FaultyDoor(tom.url) as door:
        bridge = Bridge(bench, tom, targets=TARGETS, partitions=PARTITIONS)
        bridge.site.door = door
        door.on(is_datum, Delay(WRITE_SECONDS, then=TAKEN))
        rates: dict[int, list[float]] = {1: [], MANY: []}
        for run in range(runs):
            for consumers in (1, MANY) if run % 2 == 0 else (MANY, 1):
                rates[consumers].append(_rate(bridge, door, consumers, seconds))
    yield Figure(
        what=f"datums a second with {MANY} polite consumers on {PARTITIONS} partitions",
        against="one polite consumer",
        value=median(many / one for many, one in zip(rates[MANY], rates[1], strict=True)),
        unit="times",
        goal=AT_LEAST,
        detail=f"{number(median(rates[MANY]))} a second against {number(median(rates[1]))}, where a datum takes 50 ms",
        runs=runs,
    )


def _rate(bridge: Bridge, door: FaultyDoor, consumers: int, seconds: float) -> float:
    """Have so many consumers write for a while, with more to write than they can; return datums a second."""
    replicas = [bridge.start(SETTINGS, "--http", "127.0.0.1:0") for _ in range(consumers)]
    wait_for(lambda: all(replica.is_ready() for replica in replicas), "all are members")
    share = PARTITIONS // consumers
    wait_for(lambda: [replica.readiness()["partitions"] for replica in replicas] == [share] * consumers, "all have their share")
    bridge.publish(events=max(round(seconds / WRITE_SECONDS * consumers / TARGETS / DATUMS * 2), 1), datums=DATUMS)
    wait_for(lambda: all(replica.events for replica in replicas), "all write")
    first, began = _datums(door), time.monotonic()
    time.sleep(seconds)
    last, ended = _datums(door), time.monotonic()
    for replica in replicas:
        replica.stop()
    return (last - first) / (ended - began)


def _datums(door: FaultyDoor) -> int:
    """Return how many datums were answered so far."""
    return sum(entry.kind == "datum" and entry.ended is not None for entry in door.journal)
