"""How much longer saving a datum takes in a TOM because of the emitter.

The TOMs take turns, a block of saves each, so that whatever else the machine does hits all of them alike; TOM Toolkit's own
sharing, which takes long, comes after them in one run and before them in the next. With ``--detail`` the same is done through
the REST API, and with many rows at once, and everything is printed in a table of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.report import Figure
from bench.samples import Samples, compare, rotated, table
from bench.savers import API, EMITTER, ORM, RELAYING, SHARING, TOPIC, WITHOUT, Place, Subject
from bench.stage import Bench, named

__all__ = ["measure"]

GOAL_MS = 2.0
"""So much longer a datum may take with the emitter, whether or not a relay is at work beside it."""
BLOCK = 20
"""So many saves are timed until it is the next TOM's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done in each run."""

    runs: int = 3
    saves: int = 100
    shared: int = 6
    """Saves with TOM Toolkit's own sharing, half a second each."""
    rows: int = 5000


QUICK = Plan(runs=1, saves=BLOCK, shared=2, rows=500)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield what saving costs in each place."""
    plan = QUICK if bench.quick else Plan()
    bench.kafka().create_topic(TOPIC, partitions=4)
    for version, postgres in bench.places():
        where = named(version, postgres=postgres)
        with bench.part(where), Place(bench, version, postgres=postgres) as place:
            measured = _single(place, plan, ORM)
            yield from _figures(where, measured)
            if bench.detail:
                print(_detail(place, plan, measured))


def _figures(where: str, measured: dict[str, Samples]) -> Iterator[Figure]:
    medians = {how: [statistics.median(run) for run in samples.runs] for how, samples in measured.items()}
    today = {how: statistics.median(runs) for how, runs in medians.items()}
    for how in (EMITTER, RELAYING):
        yield Figure(
            what=f"saving a datum, {how}",
            where=where,
            against=WITHOUT,
            value=statistics.median(_each(medians[how], medians[WITHOUT], lambda mine, other: mine - other)),
            unit="ms more",
            goal=GOAL_MS,
            at_most=True,
            detail=f"{today[how]:.1f} ms against {today[WITHOUT]:.1f}",
            runs=len(medians[how]),
        )
    yield Figure(
        what="saving a datum, TOM Toolkit's continuous sharing",
        where=where,
        against=EMITTER,
        value=statistics.median(_each(medians[SHARING], medians[EMITTER], lambda mine, other: mine / other)),
        unit="times",
        at_most=True,
        detail=f"{today[SHARING]:,.0f} ms against {today[EMITTER]:.1f}",
        runs=len(medians[SHARING]),
    )


def _each(mine: Sequence[float], other: Sequence[float], relation: Callable[[float, float], float]) -> Iterator[float]:
    return (relation(*pair) for pair in zip(mine, other, strict=True))


def _detail(place: Place, plan: Plan, measured: dict[str, Samples]) -> str:
    rows = compare(place.name, ORM, measured)
    rows += compare(place.name, API, _single(place, plan, API))
    for what, once in ((f"bulk_create of {plan.rows:,}", _bulk), (f"CSV upload of {plan.rows:,} rows", _upload)):
        rows += compare(place.name, what, _large(place, plan, once))
    return table(rows)


def _single(place: Place, plan: Plan, way: str) -> dict[str, Samples]:
    measured = {subject.how: Samples() for subject in (*place.subjects, place.sharing, place.gone)}

    def take_turns(run: int) -> None:
        for block in range(plan.saves // BLOCK):
            for subject in rotated(place.subjects, run + block):
                with subject.turn():
                    measured[subject.how].add(run, *subject.save(way, BLOCK))

    def share(run: int) -> None:
        for subject in rotated((place.sharing, place.gone), run):
            measured[subject.how].add(run, *subject.save(way, plan.shared, warm_up_seconds=0.0))

    for run in range(plan.runs):
        for part in rotated((take_turns, share), run):
            part(run)
    return measured


def _large(place: Place, plan: Plan, once: Callable[[Subject, int, int], float]) -> dict[str, Samples]:
    subjects = [subject for subject in place.subjects if subject.how in (WITHOUT, EMITTER)]
    measured = {subject.how: Samples() for subject in subjects}
    for run in range(plan.runs):
        for subject in rotated(subjects, run):
            pk = subject.new_target(f"{once.__name__} {run}")
            measured[subject.how].add(run, [once(subject, pk, plan.rows)], 0)
    return measured


def _bulk(subject: Subject, pk: int, rows: int) -> float:
    return float(subject.inside("bulk_create", target=pk, count=rows)["ms"][0])


def _upload(subject: Subject, pk: int, rows: int) -> float:
    lines = (f"{60000 + number / 100:.2f},{15 + number / 10000:.4f},0.05,r" for number in range(rows))
    content = "\n".join(("time,magnitude,error,filter", *lines)).encode()
    began = time.perf_counter()
    subject.ingest.upload_by_api(pk, "bench.csv", content)
    return (time.perf_counter() - began) * 1e3
