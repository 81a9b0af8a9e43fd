"""How many datums a second come to a TOM one by one: by the bridge, by TOM Toolkit's own sharing, by bare ``requests``.

All are the same account, and take turns. The bridge's rate is from the beginning of its first event to the end of its last, as
its log has them: what it takes to start is left out, what it takes to find the right number of requests at a time is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.bridging import MODES, Bridge
from bench.report import Figure, number
from bench.samples import rotated
from bench.stage import Bench, named
from bench.toms import PASSWORD, Inside
from bench.volley import Volley
from bridge.demo.toms import Tom

__all__ = ["measure"]

TARGETS = 10
"""Few: what a TOM needs to find one grows with their number."""
CONNECTIONS = (1, 2, 4, 8)
"""With so many, bare requests are tried; the two that go best are measured again in each run."""
TIMES_OWN_SHARING = {False: 30.0, True: 18.0}
"""The goals, by whether the TOM is on PostgreSQL, to which TOM Toolkit opens a connection for each request."""
OF_BARE_REQUESTS = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done in each run."""

    runs: int = 3
    shared: int = 10
    bare_seconds: float = 2.5
    full_events: int = 5
    polite_events: int = 1
    datums: int = 20
    """In each event; there are so many events for each target."""


QUICK = Plan(runs=1, shared=2, bare_seconds=0.5, full_events=1, datums=4)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the rates in each place."""
    plan = QUICK if bench.quick else Plan()
    for version, postgres in bench.places():
        with bench.part(named(version, postgres=postgres)):
            yield from _figures(_Place(bench, plan, version, postgres=postgres).rates(), version, postgres=postgres)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Datums a second in each run, by way."""

    sharing: list[float]
    bare: list[float]
    bare_connections: Sequence[int]
    full: list[float]
    polite: list[float]


class _Place:
    """A destination, a source of the same version, and everything that writes from here to there."""

    def __init__(self, bench: Bench, plan: Plan, version: str, *, postgres: bool) -> None:
        bench.say(f"making TOMs {named(version, postgres=postgres)}")
        self._plan = plan
        self._destination = bench.tom("destination", version=version, postgres=postgres)
        self._source = _source_of(bench, self._destination)
        self._bridge = Bridge(bench, self._destination, targets=TARGETS)
        with Inside(self._destination) as inside:
            found = inside("versions")
        about = f"with Django {found['django']} on {found['database']} and Python {found['python']}"
        bench.about[f"TOM {named(version, postgres=postgres)}"] = about

    def rates(self) -> Rates:
        """Measure."""
        plan, rates = self._plan, Rates(sharing=[], bare=[], bare_connections=(), full=[], polite=[])
        with Inside(self._source) as source, Volley(self._destination, self._bridge.pks, most=max(CONNECTIONS)) as volley:
            [mine] = source("create_targets", names=[self._bridge.names()[0]])
            tried = {connections: volley.rate(connections, plan.bare_seconds) for connections in CONNECTIONS}
            best = sorted(tried, key=lambda connections: -tried[connections])[:2]

            def share(run: int) -> None:
                done = source("share_with_tom", destination="other", target=mine, count=plan.shared, first=run * plan.shared)
                rates.sharing.append(plan.shared / done["seconds"])

            def send(_run: int) -> None:
                rates.bare.append(max(volley.rate(connections, plan.bare_seconds) for connections in best))

            def write(_run: int) -> None:
                rates.full.append(self._bridge.rate(MODES["full"], events=plan.full_events, datums=plan.datums))

            def write_politely(_run: int) -> None:
                rates.polite.append(self._bridge.rate(MODES["polite"], events=plan.polite_events, datums=plan.datums))

            ways = (share, send, write, write_politely)
            for run in range(plan.runs):
                for way in rotated(ways, run):
                    way(run)
        return Rates(sharing=rates.sharing, bare=rates.bare, bare_connections=best, full=rates.full, polite=rates.polite)


def _source_of(bench: Bench, destination: Tom) -> Tom:
    entry = {"BASE_URL": destination.url, "USERNAME": "bridge", "PASSWORD": PASSWORD}
    return bench.tom("source", version=destination.version, settings={"DATA_SHARING": {"other": entry}}, serving=False)


def _figures(rates: Rates, version: str, *, postgres: bool) -> Iterator[Figure]:
    best = " or ".join(str(connections) for connections in sorted(rates.bare_connections))
    sharing, bare = "share_data_with_tom", f"bare requests, the best of {', '.join(map(str, CONNECTIONS))} connections"
    compared = (
        ("full mode", rates.full, sharing, rates.sharing, TIMES_OWN_SHARING[postgres], ""),
        ("bare requests", rates.bare, sharing, rates.sharing, None, f", with {best} connections"),
        ("full mode", rates.full, bare, rates.bare, OF_BARE_REQUESTS, f", with {best} connections"),
        ("polite mode (the default)", rates.polite, sharing, rates.sharing, None, ""),
    )
    for mode, mine, against, others, goal, how in compared:
        yield Figure(
            what=f"datums one by one, {mode}",
            where=named(version, postgres=postgres),
            against=against,
            value=median(my / other for my, other in zip(mine, others, strict=True)),
            unit="times",
            goal=goal,
            detail=f"{number(median(mine))} a second against {number(median(others))}{how}",
            runs=len(mine),
        )
