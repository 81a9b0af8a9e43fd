"""A light curve into a target that is there: in files, and one request a datum.

The same consumer does both, at full pace, in turn, the other first each time, and each into a target of its own. The points
are like a survey's: brightness and error to four digits, every third a limit, and in as many events as an emitter would make of
them. One by one only some of them are sent, since none takes longer than the one before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Literal

from bench.bridging import MODES, Bridge, span_seconds
from bench.report import Figure, number
from bench.samples import rotated
from bench.stage import Bench, named
from bridge.codecs.batches import split_datums
from bridge.codecs.native import encode, new_event
from bridge.events import PhotometryDatum, ReducedDatum, ReducedDatumsShared

__all__ = ["measure"]

BEGIN = datetime(2019, 3, 1, 4, 5, 6, 789012, tzinfo=UTC)
TIMES_ONE_BY_ONE = 15.0
Backfill = Literal["datums", "products"]
"""As the setting has it: one by one, or in files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done in each run."""

    runs: int = 3
    points: int = 5_000
    one_by_one: int = 600


QUICK = Plan(runs=1, points=400, one_by_one=40)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how many times as fast files are, in each place."""
    plan = QUICK if bench.quick else Plan()
    for version, postgres in bench.places():
        with bench.part(named(version, postgres=postgres)):
            bench.say(f"making a TOM {named(version, postgres=postgres)}")
            tom = bench.tom("destination", version=version, postgres=postgres)
            bridge = Bridge(bench, tom, targets=2 * plan.runs)
            points: dict[Backfill, int] = {"datums": plan.one_by_one, "products": plan.points}
            rates: dict[Backfill, list[float]] = {backfill: [] for backfill in points}
            for run in range(plan.runs):
                for own, backfill in rotated(tuple(enumerate(points)), run):
                    rates[backfill].append(_rate(bridge, 2 * run + own, points[backfill], backfill=backfill))
        one_by_one, in_files = rates["datums"], rates["products"]
        yield Figure(
            what=f"a light curve of {plan.points:,} points, in files",
            where=named(version, postgres=postgres),
            against="one POST a datum, at full pace",
            value=median(fast / slow for fast, slow in zip(in_files, one_by_one, strict=True)),
            unit="times",
            goal=TIMES_ONE_BY_ONE,
            detail=f"{number(median(in_files))} a second against {number(median(one_by_one))}, {plan.one_by_one:,} of them",
            runs=plan.runs,
        )


def _rate(bridge: Bridge, target: int, points: int, *, backfill: Backfill) -> float:
    """Publish a light curve and consume it; return datums a second, from the beginning of the first event on."""
    site = bridge.site
    bodies = (
        ReducedDatumsShared(tom=site.tom, target=site.target(target).identity(), datums=batch)
        for batch in split_datums(_light_curve(target, points), too_large=lambda _datum, _size: None)
    )
    site.publish(*(encode(new_event(body, now=datetime.now(UTC))) for body in bodies))
    lines = bridge.drain({**MODES["full"], "backfill": backfill}).events
    written, by_file = (sum(line.get(key, 0) for line in lines) for key in ("written", "by_file"))
    if written != points or (backfill == "products" and by_file < 0.9 * points):
        raise RuntimeError(f"of {points} datums {written} were written, {by_file} of them by files: {lines[:3]}")
    return points / span_seconds(lines)


def _light_curve(seed: int, points: int) -> list[ReducedDatum]:
    chance = random.Random(seed)
    curve: list[ReducedDatum] = []
    for point in range(points):
        is_limit = point % 3 == 0
        brightness = round(chance.gauss(18.5, 1.2), 4)
        curve.append(
            PhotometryDatum(
                timestamp=BEGIN + timedelta(days=point * 0.37, microseconds=point),
                brightness=None if is_limit else brightness,
                brightness_error=None if is_limit else round(chance.uniform(0.01, 0.3), 4),
                limit=round(chance.gauss(20.4, 0.4), 4) if is_limit else None,
                bandpass=chance.choice(["ztfg", "ztfr", "ztfi"]),
                telescope="ZTF",
                unit="AB mag",
                source_name="ALeRCE",
            )
        )
    return curve
