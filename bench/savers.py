"""Three TOMs that are alike but for the emitter, and what saves datums in them.

One is without the emitter; one has it, with a broker that is away and no relay; one has it with a live broker, and a relay
that seals and publishes at the same time. The TOM without the emitter also shares in TOM Toolkit's own way, with a live TOM
and with one that is away.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from bench.stage import Bench, named
from bench.toms import PASSWORD, Inside
from bridge.demo.toms import Tom
from tests.support.ingest import Ingest, Refused, TomFailed

__all__ = ["API", "EMITTER", "GONE", "ORM", "RELAYING", "SHARING", "WITHOUT", "Place", "Subject"]

TARGETS = [f"Bench {number}" for number in range(20)]
"""Datums go to these in turn, so that the relay always finds some that have come to rest."""
WARM_UP_SECONDS = 0.3
"""So long saves are not timed at the beginning of a turn: by then the relay is at work."""
TOPIC = "bench.saving"
AWAY = 9
"""A port where nobody listens (discard)."""
DRAIN_SECONDS = 60.0
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)

WITHOUT = "without the emitter"
EMITTER = "emitter, no relay at work"
RELAYING = "emitter, relay at work"
SHARING = "TOM Toolkit's own sharing"
GONE = "the same, other TOM away"
ORM = "a datum, ORM"
API = "a datum, REST API"


@dataclass(kw_only=True)
class Subject:
    """A TOM in the circumstances that are measured."""

    how: str
    tom: Tom
    inside: Inside
    ingest: Ingest
    targets: list[int]
    relay: subprocess.Popen[bytes] | None = None
    number: int = 0
    """Of the next datum, so that no two are alike."""

    def save(self, way: str, count: int, *, warm_up_seconds: float = WARM_UP_SECONDS) -> tuple[list[float], int]:
        """Save datums one by one; return how long each took in ms, and how many failed."""
        if way == API:
            return self._post(count, warm_up_seconds)
        done = self.inside("save", targets=self.targets, count=count, first=self.number, warm_up_seconds=warm_up_seconds)
        self.number = done["next"]
        return done["ms"], done["failures"]

    def new_target(self, name: str) -> int:
        """Create a target that has no data yet."""
        destination = "" if self.how == WITHOUT else f"stream:{TOPIC}"
        return int(self.inside("create_targets", names=[name], destination=destination)[0])

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let the relay work, and afterwards wait until it is done and hold it: others are not to feel it."""
        if self.relay is None:
            yield
            return
        self.relay.send_signal(signal.SIGCONT)
        try:
            yield
            self.drain()
        finally:
            self.relay.send_signal(signal.SIGSTOP)

    def drain(self) -> None:
        """Wait until everything is published."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.inside("waiting"):
            if time.monotonic() > deadline:
                log = self.tom.dir / "relay.log"
                raise RuntimeError(f"the relay is not done after {DRAIN_SECONDS:.0f} s:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _post(self, count: int, warm_up_seconds: float) -> tuple[list[float], int]:
        taken, failures = [], 0
        warm = time.perf_counter() + warm_up_seconds
        while time.perf_counter() < warm:
            self._post_one()
        for _ in range(count):
            began = time.perf_counter()
            failures += not self._post_one()
            taken.append((time.perf_counter() - began) * 1e3)
        return taken, failures

    def _post_one(self) -> bool:
        self.number += 1
        try:
            self.ingest.post_datum_by_api(
                self.targets[self.number % len(self.targets)],
                value={"magnitude": 15 + self.number % 5000 / 1000, "error": 0.25, "filter": "r", "number": self.number},
                timestamp=(BEGIN + timedelta(minutes=self.number)).isoformat(),
            )
        except (Refused, TomFailed):
            return False
        return True


class Place:
    """The TOMs of one version on one database. Use as a context manager.

    Parameters
    ----------
    bench
        Within a part of it.
    version, postgres
        Of all of them but the one that is shared with.
    """

    def __init__(self, bench: Bench, version: str, *, postgres: bool) -> None:
        self._bench = bench
        self._version = version
        self._postgres = postgres
        self._stack = ExitStack()
        self.name = named(version, postgres=postgres)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._make(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, stack: ExitStack) -> None:
        self._bench.say(f"making TOMs {self.name}")
        with ThreadPoolExecutor() as pool:
            other = pool.submit(self._bench.tom, "other", version=self._version)
            emitting = {how: pool.submit(self._emitting, how) for how in (EMITTER, RELAYING)}
            plain = self._tom("plain", {"DATA_SHARING": _sharing(other.result().url)})
            toms = {WITHOUT: plain, **{how: made.result() for how, made in emitting.items()}}
        self.subjects = [self._subject(stack, how, tom) for how, tom in toms.items()]
        self.without = self.subjects[0]
        self.sharing = self._with_targets(self.without, SHARING, ["Shared with a TOM"], "other-tom")
        self.gone = self._with_targets(self.without, GONE, ["Shared with nobody"], "gone-tom")
        with Inside(other.result()) as inside:
            inside("create_targets", names=["Shared with a TOM"])

    def _emitting(self, how: str) -> Tom:
        bootstrap = self._bench.kafka().bootstrap if how == RELAYING else f"127.0.0.1:{AWAY}"
        stream = {"BASE_URL": f"kafka://{bootstrap}/", "SOURCE_URL": "https://bench.example.org/", "USER_TOPICS": [TOPIC]}
        # At once: a target that has to rest first would be sealed when its TOM's turn is over.
        settings = {"DATA_SHARING": {"stream": stream}, "TOM_BRIDGE": {"QUIET_SECONDS": 0.0}}
        return self._tom("relaying" if how == RELAYING else "emitting", settings, "bridge.emitter")

    def _tom(self, role: str, settings: dict[str, object], *apps: str) -> Tom:
        return self._bench.tom(role, version=self._version, postgres=self._postgres, settings=settings, apps=apps)

    def _subject(self, stack: ExitStack, how: str, tom: Tom) -> Subject:
        inside = stack.enter_context(Inside(tom))
        ingest = stack.enter_context(Ingest(tom, password=PASSWORD))
        destination = "" if how == WITHOUT else f"stream:{TOPIC}"
        subject = Subject(how=how, tom=tom, inside=inside, ingest=ingest, targets=[])
        subject.targets = inside("create_targets", names=TARGETS, destination=destination)
        if how == RELAYING:
            subject.relay = stack.enter_context(tom.managing("bridge_relay", log=tom.dir / "relay.log"))
            stack.callback(subject.relay.send_signal, signal.SIGCONT)  # held, it could not be told to end
            with subject.turn():
                pass
        return subject

    @staticmethod
    def _with_targets(subject: Subject, how: str, names: list[str], destination: str) -> Subject:
        pks = subject.inside("create_targets", names=names, destination=destination)
        return Subject(how=how, tom=subject.tom, inside=subject.inside, ingest=subject.ingest, targets=pks)


def _sharing(url: str) -> dict[str, object]:
    login = {"USERNAME": "admin", "PASSWORD": PASSWORD}
    return {
        "other-tom": {"DISPLAY_NAME": "Other", "BASE_URL": url, **login},
        "gone-tom": {"DISPLAY_NAME": "Gone", "BASE_URL": f"http://127.0.0.1:{AWAY}/", **login},
    }
