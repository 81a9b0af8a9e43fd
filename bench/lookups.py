"""What looking for targets costs a TOM that has 10,000, for events with one datum each, beside the bare POST of a datum.

The consumer's own destination writes the events, without a broker. Events of targets that it knows, of targets that it meets
for the first time, and of targets that are not there take turns with bare POSTs, one by one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import fmean, median
from typing import Any

import requests

from bench.report import Figure, number
from bench.samples import rotated
from bench.stage import NEWER_TOM, OLDER_TOM, Bench, named
from bench.volley import BEGIN, body, log_in
from bridge.codecs.native import new_event
from bridge.consumer.destination import Destination
from bridge.consumer.hands import Hands
from bridge.consumer.pace import Pace
from bridge.consumer.turns import Turns
from bridge.consumer.work import Current
from bridge.demo.toms import Tom
from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetIdentity, TomIdentity
from bridge.settings import ConsumerSettings, TomEntry
from bridge.tom.index import LOOK_UPS
from bridge.tom.session import TomSession
from bridge.tom.transport import Transport
from bridge.verdict import Answer

__all__ = ["measure"]

ADDED_AT_MOST = 10.0
FILL = Path(__file__).with_name("many_targets.py")
ELSEWHERE = TomIdentity(name="Bench TOM", url="https://bench.example.org/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large the TOM is, how many targets are met again and again, and how many events of each kind there are."""

    targets: int = 10_000
    targets_in_use: int = 5
    events: int = 60


QUICK = Plan(targets=2_000, events=3)


@dataclass(slots=True)
class Sample:
    """Events of one kind, or bare POSTs: ms of each, the ms that its look-ups took, and the requests of all."""

    ms: list[float] = field(default_factory=list)
    asking_ms: list[float] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def each(self, what: str = "") -> float:
        """Return how many such requests there were for an event."""
        return sum(what in request for request in self.requests) / len(self.ms)


class Consumer:
    """A consumer's destination, and the requests that it makes.

    Parameters
    ----------
    tom
        The TOM.
    stack
        Closes it.
    """

    def __init__(self, tom: Tom, stack: ExitStack) -> None:
        settings = ConsumerSettings(subscribe=["stream:bench"], accept_sources=["*"])
        entry = TomEntry.model_validate({"BASE_URL": tom.url, "USERNAME": "bridge", "PASSWORD": tom.users["bridge"]})
        session = stack.enter_context(closing(TomSession("bench", entry)))
        current, pace = Current(), Pace("polite", most=1)
        turns = Turns(current=current, lease=None, concurrent=False, pace=pace)
        hands = stack.enter_context(closing(Hands(0, current=current)))
        self._requests: list[tuple[str, float]] = stack.enter_context(_noted())
        self._destination = Destination(session, settings, turns=turns, hands=hands)
        self._numbers = count()

    def write(self, name: str, *aliases: str) -> str:
        """Write a datum that is new, and return what became of it."""
        moment = BEGIN.replace(year=2022, microsecond=next(self._numbers))
        datum = PhotometryDatum(timestamp=moment, brightness=18.5, bandpass="r")
        target = TargetIdentity(name=name, aliases=aliases, type="SIDEREAL")
        shared = ReducedDatumsShared(tom=ELSEWHERE, target=target, datums=(datum,))
        return self._destination.write(new_event(shared, now=datetime.now(UTC))).end

    def measure(self, sample: Sample, names: tuple[str, ...], end: str) -> None:
        """Write a datum of a target, and add what that took."""
        self._requests.clear()
        sample.ms.append(_ms(lambda: _expect(end, self.write(*names))))
        sample.requests += [request for request, _ in self._requests]
        sample.asking_ms.append(sum(ms for request, ms in self._requests if "POST api/reduceddatums/" not in request))


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield for each version what look-ups add to an event, and how often an event makes the TOM go through its targets."""
    plan = QUICK if bench.quick else Plan()
    for version in (NEWER_TOM,) if bench.quick else (NEWER_TOM, OLDER_TOM):
        with bench.part(named(version, postgres=False)), ExitStack() as stack:
            tom = bench.tom("destination", version=version)
            bench.say(f"{plan.targets:,} targets into a TOM {version}")
            there = [_there(at) for at in range(plan.targets)]
            found: Any = tom.run_script(FILL, {"names": there, "username": "bridge"})
            yield from _figures(tom, found, plan, named(version, postgres=False), Consumer(tom, stack), bench.say)


def _figures(
    tom: Tom, pks: list[int], plan: Plan, where: str, consumer: Consumer, say: Callable[[str], None]
) -> Iterator[Figure]:
    fresh = count()
    scan, bare, known, first, unmatched = Sample(), Sample(), Sample(), Sample(), Sample()
    for _ in range(LOOK_UPS - 1):
        consumer.measure(scan, _nowhere(next(fresh))[:1], "skipped")
    reading_ms = _ms(lambda: _expect("skipped", consumer.write(*_nowhere(next(fresh)))))
    say(f"all names read in {reading_ms / 1e3:.1f} s")
    usual = [_names(at) for at in range(plan.targets_in_use)]
    for names in usual:
        consumer.write(*names)
    with requests.Session() as http:
        login = log_in(tom)
        http.trust_env = False
        http.headers.update({**login.headers, "Content-Type": "application/json", "Accept": "application/json"})
        http.cookies.update(login.cookies)
        for at in range(plan.events):
            turns: list[Callable[[], None]] = [
                lambda at=at: bare.ms.append(_ms(lambda: _post(http, tom, pks[0], at))),  # type: ignore[misc]
                lambda at=at: consumer.measure(known, usual[at % len(usual)], "written"),  # type: ignore[misc]
                lambda at=at: consumer.measure(first, _names(len(usual) + at), "written"),  # type: ignore[misc]
                lambda: consumer.measure(unmatched, _nowhere(next(fresh)), "skipped"),
            ]
            for turn in rotated(turns, at):
                turn()
    post_ms = fmean(bare.ms)
    for what, sample in (("knows", known), ("meets for the first time", first)):
        yield Figure(
            what=f"look-ups for an event with one datum, of a target that the consumer {what}",
            where=f"{where}, {plan.targets:,} targets",
            against="a bare POST",
            value=fmean(sample.asking_ms) / post_ms * 100,
            unit="%",
            goal=ADDED_AT_MOST,
            at_most=True,
            detail=f"{number(fmean(sample.asking_ms))} ms and {number(sample.each() - 1)} requests beside its POST; the event "
            f"{number(fmean(sample.ms))} ms against {number(post_ms)}; means of {plan.events} of each",
        )
    yield Figure(
        what="scans of all targets for an event without a match",
        where=f"{where}, {plan.targets:,} targets",
        against="two: one for each name",
        value=unmatched.each("name_fuzzy"),
        unit="an event",
        goal=0.0,
        at_most=True,
        detail=f"{number(unmatched.each())} requests and {number(fmean(unmatched.asking_ms))} ms an event; a scan takes "
        f"{number(median(scan.ms))} ms, reading all names {number(reading_ms / 1e3)} s; {plan.events} events",
    )


@contextmanager
def _noted() -> Iterator[list[tuple[str, float]]]:
    """Note all requests of the bridge for as long as the block lasts: what was asked, and how many ms that took."""
    noted: list[tuple[str, float]] = []
    answer = Transport.answer

    def noting(self: Transport, method: str, path: str, **arguments: Any) -> Answer:
        began = time.perf_counter()
        try:
            return answer(self, method, path, **arguments)
        finally:
            noted.append((f"{method} {path} {arguments.get('params')}", (time.perf_counter() - began) * 1e3))

    Transport.answer = noting  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        Transport.answer = answer  # type: ignore[method-assign]


def _ms(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1e3


def _post(http: requests.Session, tom: Tom, target: int, at: int) -> None:
    answer = http.post(f"{tom.url}api/reduceddatums/", data=json.dumps(body(target, at)), timeout=60, allow_redirects=False)
    _expect(201, answer.status_code)


def _expect(wanted: object, found: object) -> None:
    if wanted != found:
        raise RuntimeError(f"{found} instead of {wanted}")


def _there(at: int) -> tuple[str, str]:
    """Return name and alias of a target that is there."""
    return f"SN {2000 + at % 27}{chr(97 + at % 26)}{at:05d}", f"ZTF{18 + at % 9}{at:07x}"


def _names(at: int) -> tuple[str, str]:
    """Return the names of a target that is there, as others spell them."""
    name, alias = _there(at)
    return name.replace(" ", ""), alias.replace("ZTF", "ztf ")


def _nowhere(at: int) -> tuple[str, str]:
    """Return names of a target that is not there."""
    return f"AT 2031x{at:05d}", f"ZTF31{at:07x}"
