"""What a datum costs, point by point, when its light curve has 10,000 points, beside one that begins.

A curve grows to 10,000 points through the bridge, which makes the plot. Then further points of it take turns with the first
points of new curves, sent by the bridge and by bare ``requests``, which shows what of the difference is the TOM's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench.bridging import MODES, Bridge, span_seconds
from bench.report import Figure, number
from bench.stage import NEWER_TOM, OLDER_TOM, Bench, named
from bench.volley import Volley

__all__ = ["PLOT", "measure"]

PLOT = "light-curve-cost.svg"
AT_MOST = 1.2
SETTINGS = MODES["full"]
DATUMS = 100
"""In an event."""
LONG = 0
"""Number of the target whose curve is long."""
CONNECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long the long curve is, and how often what is added to it is measured."""

    points: int = 10_000
    runs: int = 5
    added: int = 200
    bare_seconds: float = 2.0


QUICK = Plan(points=400, runs=1, added=100, bare_seconds=0.5)


@dataclass(slots=True)
class Costs:
    """ms a datum in each run."""

    long: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times a datum of the long curve costs what one of a new curve does."""
        return median(long / new for long, new in zip(self.long, self.new, strict=True))

    def __str__(self) -> str:
        return f"{number(median(self.long))} ms against {number(median(self.new))}"


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the ratio for each version, and draw the cost against the size."""
    plan = QUICK if bench.quick else Plan()
    grown: dict[str, list[tuple[int, float]]] = {}
    for version in (NEWER_TOM,) if bench.quick else (NEWER_TOM, OLDER_TOM):
        where = named(version, postgres=False)
        with bench.part(where):
            tom = bench.tom("destination", version=version)
            bridge = Bridge(bench, tom, targets=1 + 2 * plan.runs)
            grown[where] = _grow(bridge, plan)
            ours, bare = Costs(), Costs()
            with Volley(tom, [], most=CONNECTIONS) as volley:
                for run in range(plan.runs):
                    turns: list[Callable[[], None]] = [
                        partial(_write, ours.long, bridge, LONG, plan.added),
                        partial(_write, ours.new, bridge, 1 + 2 * run, plan.added),
                        partial(_send, bare.long, volley, bridge.pks[LONG], plan.bare_seconds),
                        partial(_send, bare.new, volley, bridge.pks[2 + 2 * run], plan.bare_seconds),
                    ]
                    for turn in turns if run % 2 == 0 else reversed(turns):
                        turn()
        yield Figure(
            what=f"a datum of a light curve of {plan.points:,} points, point by point",
            where=where,
            against="one of a new curve",
            value=ours.ratio,
            unit="times",
            goal=AT_MOST,
            at_most=True,
            detail=f"{ours}; bare requests: {number(bare.ratio)} times, {bare}",
            runs=plan.runs,
        )
    if bench.plots is not None:
        _draw(bench.plots / PLOT, grown)


def _grow(bridge: Bridge, plan: Plan) -> list[tuple[int, float]]:
    """Write the long curve; return the size and the ms a datum, event by event."""
    bridge.publish(plan.points // DATUMS, DATUMS, numbers=[LONG])
    lines = bridge.drain(SETTINGS).events
    ends = [0.0, *(span_seconds(lines[: count + 1]) for count in range(len(lines)))]
    costs = [(end - begin) * 1e3 / DATUMS for begin, end in pairwise(ends)]
    return [((event + 1) * DATUMS, cost) for event, cost in enumerate(costs)]


def _write(costs: list[float], bridge: Bridge, target: int, points: int) -> None:
    """Have the bridge add points to a curve, and add the ms a datum."""
    bridge.publish(points // DATUMS, DATUMS, numbers=[target])
    costs.append(span_seconds(bridge.drain(SETTINGS).events) * 1e3 / points)


def _send(costs: list[float], volley: Volley, target: int, seconds: float) -> None:
    costs.append(1e3 / volley.rate(CONNECTIONS, seconds, targets=[target]))


def _draw(path: Path, grown: dict[str, list[tuple[int, float]]]) -> None:
    """Plot the cost of a datum against the size of its light curve."""
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415  half a second, for one part of ten

    drawing = Drawing(figsize=(7, 3.5), layout="constrained")
    axes = drawing.subplots()
    for where, points in grown.items():
        sizes, costs = zip(*points, strict=True)
        axes.plot(sizes, costs, ".", markersize=4, label=f"TOM Toolkit {where}")
    axes.set(xlabel="points of the light curve", ylabel="ms a datum", ylim=(0, None), xlim=(0, None))
    axes.legend()
    drawing.savefig(path, metadata={"Date": None})
