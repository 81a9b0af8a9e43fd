"""What people in a browser notice of the bridge at the TOM that it writes to.

Somebody who is logged in looks at the list of targets again and again, as if reading for a moment in between: while nothing
else happens, while the bridge writes in full mode, and while it writes in polite mode. These take turns, another one first in
each run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.bridging import MODES, Bridge, written_between
from bench.report import Figure, number
from bench.samples import p95, rotated
from bench.stage import NEWER_TOM, OLDER_TOM, Bench, named
from bench.toms import PASSWORD
from tests.support.ingest import Ingest
from tests.support.waiting import wait_for

__all__ = ["measure"]

PLACES = ((NEWER_TOM, False), (OLDER_TOM, True))
"""Version, and whether on PostgreSQL."""
PAGE = "targets/"
READING_SECONDS = 0.1
"""Between an answer and the next request."""
TARGETS = 10
DATUMS = 5
"""In an event: few, so that the rate of a short while can be told."""
ALONE = "alone"
AT_MOST = 2.0


@dataclass(slots=True)
class Looked:
    """What was found in each run, in some circumstances."""

    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Datums a second that the bridge wrote at that time."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how much longer a page takes in each place."""
    runs, looks = (1, 10) if bench.quick else (3, 100)
    for version, postgres in PLACES[1 if bench.quick else 0 :]:
        where = named(version, postgres=postgres)
        with bench.part(where):
            tom = bench.tom("destination", version=version, postgres=postgres)
            bridge = Bridge(bench, tom, targets=TARGETS)
            looked = {when: Looked() for when in (ALONE, *MODES)}
            with Ingest(tom, username="alice", password=PASSWORD) as browser:
                _look(browser, 5)  # the first pages are compiled
                for run in range(runs):
                    for when in rotated(tuple(looked), run):
                        if when == ALONE:
                            _add(looked[when], _look(browser, looks))
                        else:
                            bridge.publish(events=max(looks // 2, 20), datums=DATUMS)
                            _look_beside(bridge, MODES[when], browser, looks, looked[when])
            alone = looked.pop(ALONE)
            yield from _figures(where, alone, looked)


def _look_beside(bridge: Bridge, settings: Mapping[str, Any], browser: Ingest, looks: int, looked: Looked) -> None:
    """Look while the bridge writes, which has more to write than it can in that time."""
    replica = bridge.start(settings)
    wait_for(lambda: len(replica.events) >= TARGETS, "the bridge writes")
    began = time.time()
    _add(looked, _look(browser, looks))
    looked.rates.append(written_between(replica, began, time.time()))
    replica.stop()


def _look(browser: Ingest, looks: int) -> list[float]:
    """Return how long each look took, in ms."""
    taken = []
    for _ in range(looks):
        time.sleep(READING_SECONDS)
        began = time.perf_counter()
        browser.text(PAGE)
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _add(looked: Looked, taken: list[float]) -> None:
    looked.p50.append(median(taken))
    looked.p95.append(p95(taken))


def _figures(where: str, alone: Looked, beside: Mapping[str, Looked]) -> Iterator[Figure]:
    for mode, looked in beside.items():
        yield Figure(
            what=f"p95 of a page while the bridge writes in {mode} mode",
            where=where,
            against="while it does not",
            value=median(mine / other for mine, other in zip(looked.p95, alone.p95, strict=True)),
            unit="times",
            goal=AT_MOST if mode == "polite" else None,
            at_most=True,
            detail=f"{number(median(looked.p95))} ms against {number(median(alone.p95))} (p50 {number(median(looked.p50))} "
            f"against {number(median(alone.p50))}), beside {number(median(looked.rates))} datums a second",
            runs=len(looked.p95),
        )
