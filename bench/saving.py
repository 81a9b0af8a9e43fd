"""How much longer saving takes in a TOM because of the emitter: ``python -m bench.saving [--quick] [--json FILE]``.

For each version of TOM Toolkit and each database there are three TOMs, alike but for the emitter: one without it; one with
it whose broker is away and that has no relay; one with it, a live broker and a relay that seals and publishes at the same
time. They take turns, a block of saves each, so that whatever else the machine does hits all of them alike. The TOM without
the emitter also shares in TOM Toolkit's own way, with a live TOM and with one that is away.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from bench.report import Row, Samples, compare, machine, table, write_json
from bench.toms import PASSWORD, DurablePostgres, Inside, make_tom, start_kafka, start_postgres
from bridge.demo.toms import TOM_VERSIONS, Tom, ensure_toolkits
from tests.support.ingest import Ingest, Refused, TomFailed
from tests.support.kafka import VERSION as KAFKA_VERSION
from tests.support.kafka import ApacheKafka

__all__ = ["main"]

GOAL_MS = 2.0
"""So much longer a datum may take with the emitter, its broker away, in the median of 100."""
TARGETS = [f"Bench {number}" for number in range(20)]
"""Datums go to these in turn, so that the relay always finds some that have come to rest."""
BLOCK = 20
"""So many saves are timed until it is the next TOM's turn."""
WARM_UP_SECONDS = 0.3
"""So long saves are not timed at the beginning of a turn: by then the relay is at work."""
TOPIC = "bench.shares"
AWAY = 9
"""A port where nobody listens (discard)."""
DRAIN_SECONDS = 60.0
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)

WITHOUT = "without the emitter"
EMITTER = "emitter, broker away"
RELAYING = "emitter, relay at work"
NO_TRIGGERS = "emitter, triggers removed"
SHARING = "TOM Toolkit's own sharing"
GONE = "the same, other TOM away"
ORM = "a datum, ORM"
API = "a datum, REST API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done in each run of a benchmark."""

    runs: int = 5
    saves: int = 100
    shared: Mapping[str, int] = field(default_factory=lambda: {ORM: 20, API: 4})
    """Saves with TOM Toolkit's own sharing, half a second each, by way."""
    rows: int = 5000


QUICK = Plan(runs=1, saves=BLOCK, shared={ORM: 2, API: 1}, rows=500)


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
    """The TOMs of one version on one database. Use as a context manager."""

    def __init__(
        self, home: Path, version: str, *, postgres: DurablePostgres | None, kafka: ApacheKafka | None, parts: bool
    ) -> None:
        self._home = home
        self._version = version
        self._postgres = postgres
        self._kafka = kafka
        self._parts = parts
        self._stack = ExitStack()
        self.name = ""
        self.about: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._make(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, stack: ExitStack) -> None:
        self._home.mkdir()
        emitting = [EMITTER, *([RELAYING] if self._kafka else []), *([NO_TRIGGERS] if self._parts else [])]
        with ThreadPoolExecutor() as pool:
            destination = self._tom(stack, pool.submit, "destination", {}, database=False)
            made = {
                how: self._tom(stack, pool.submit, f"emitter{n}", self._streams(how), emitter=True)
                for n, how in enumerate(emitting)
            }
            other = destination()
            plain = self._tom(stack, pool.submit, "plain", {"DATA_SHARING": _sharing(other.url)})
            toms = {WITHOUT: plain(), **{how: tom() for how, tom in made.items()}}
        self.subjects = [self._subject(stack, how, toms[how]) for how in toms]
        self.without = self.subjects[0]
        self.sharing = [
            self._with_targets(self.without, SHARING, ["Shared with a TOM"], "other-tom"),
            self._with_targets(self.without, GONE, ["Shared with nobody"], "gone-tom"),
        ]
        with Inside(other) as inside:
            inside("create_targets", names=["Shared with a TOM"])
        found = self.without.inside("versions")
        self.name = f"TOM Toolkit {self._version}, {found['database']}"
        self.about = {"toms": f"Python {found['python']}, Django {found['django']}, gunicorn with 2 workers"}

    def _tom(
        self,
        stack: ExitStack,
        submit: Callable[..., object],
        role: str,
        settings: Mapping[str, object],
        *,
        emitter: bool = False,
        database: bool = True,
    ) -> Callable[[], Tom]:
        key = f"{self._home.name}_{role}"
        url = self._postgres.create_database(key) if self._postgres and database else None
        apps = ["bridge.emitter"] if emitter else []
        made: object = submit(make_tom, self._home / key, version=self._version, database=url, settings=settings, apps=apps)

        def result() -> Tom:
            tom: Tom = made.result()  # type: ignore[attr-defined]
            stack.callback(tom.stop)
            return tom

        return result

    def _streams(self, how: str) -> dict[str, object]:
        bootstrap = self._kafka.bootstrap if self._kafka and how == RELAYING else f"127.0.0.1:{AWAY}"
        stream = {"BASE_URL": f"kafka://{bootstrap}/", "SOURCE_URL": "https://bench.example.org/", "USER_TOPICS": [TOPIC]}
        # At once: a target that has to rest first would be sealed when its TOM's turn is over.
        return {"DATA_SHARING": {"stream": stream}, "TOM_BRIDGE": {"QUIET_SECONDS": 0.0}}

    def _subject(self, stack: ExitStack, how: str, tom: Tom) -> Subject:
        inside = stack.enter_context(Inside(tom))
        ingest = stack.enter_context(Ingest(tom, password=PASSWORD))
        destination = "" if how == WITHOUT else f"stream:{TOPIC}"
        subject = Subject(how=how, tom=tom, inside=inside, ingest=ingest, targets=[])
        subject.targets = inside("create_targets", names=TARGETS, destination=destination)
        if how == NO_TRIGGERS:
            inside("remove_triggers")
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

    def new_target(self, subject: Subject, name: str) -> int:
        """Create a target that has no data yet."""
        destination = "" if subject.how == WITHOUT else f"stream:{TOPIC}"
        return int(subject.inside("create_targets", names=[name], destination=destination)[0])


def _sharing(url: str) -> dict[str, object]:
    login = {"USERNAME": "admin", "PASSWORD": PASSWORD}
    return {
        "other-tom": {"DISPLAY_NAME": "Other", "BASE_URL": url, **login},
        "gone-tom": {"DISPLAY_NAME": "Gone", "BASE_URL": f"http://127.0.0.1:{AWAY}/", **login},
    }


def measure(place: Place, plan: Plan, say: Callable[[str], None], *, parts: bool) -> list[Row]:
    """Measure everything in one place."""
    rows = []
    for way in (ORM,) if parts else (ORM, API):
        say(f"{place.name}: {way}")
        rows += compare(place.name, way, _single(place, way, plan, sharing=not parts))
    if not parts:
        for what, once in ((f"bulk_create of {plan.rows:,}", _bulk), (f"CSV upload of {plan.rows:,} rows", _upload)):
            say(f"{place.name}: {what}")
            rows += compare(place.name, what, _large(place, plan, once))
    return rows


def _single(place: Place, way: str, plan: Plan, *, sharing: bool) -> dict[str, Samples]:
    others = place.sharing if sharing else []
    measured = {subject.how: Samples() for subject in (*place.subjects, *others)}
    for run in range(plan.runs):
        for block in range(plan.saves // BLOCK):
            for subject in _rotated(place.subjects, run + block):
                with subject.turn():
                    measured[subject.how].add(run, *subject.save(way, BLOCK))
        for subject in others:
            count = plan.shared[way] if subject.how == SHARING else plan.saves
            measured[subject.how].add(run, *subject.save(way, count, warm_up_seconds=0.0))
    return measured


def _large(place: Place, plan: Plan, once: Callable[[Subject, int, int], float]) -> dict[str, Samples]:
    subjects = [subject for subject in place.subjects if subject.how in (WITHOUT, EMITTER)]
    measured = {subject.how: Samples() for subject in subjects}
    for run in range(plan.runs):
        for subject in _rotated(subjects, run):
            pk = place.new_target(subject, f"{once.__name__} {run}")
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


def _rotated(subjects: list[Subject], by: int) -> list[Subject]:
    """Return the subjects, another one first each time: nobody is always the one after a costly one."""
    at = by % len(subjects)
    return subjects[at:] + subjects[:at]


def _goal(rows: list[Row]) -> str:
    found = [(row.where, row.difference) for row in rows if row.what == ORM and row.how == EMITTER]
    worst = max(found, key=lambda pair: pair[1])
    goal = f"with the broker away, a datum takes at most {GOAL_MS:.0f} ms longer"
    return f"goal: {goal}; the most is {worst[1]:+.2f} ms ({worst[0]})"


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.saving", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only show that the benchmark works")
    parser.add_argument("--parts", action="store_true", help="only saving by the ORM, and also with the triggers removed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    plan, began = QUICK if options.quick else Plan(), time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {text}", file=sys.stderr, flush=True)

    rows: list[Row] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tom-bridge-bench-")))
        about = machine({"kafka": KAFKA_VERSION, "disk": str(home.parent)})
        ensure_toolkits(say=say)
        kafka = start_kafka(home / "kafka", say)
        if kafka is not None:
            stack.callback(kafka.stop)
            kafka.create_topic(TOPIC, partitions=4)
        postgres = start_postgres(say)
        if postgres is not None:
            stack.callback(postgres.stop)
        older, newer = TOM_VERSIONS
        places = [(older, None), (newer, None), *([(older, postgres), (newer, postgres)] if postgres else [])]
        if options.quick:
            places = [(older, postgres), (newer, None)]
        for version, database in places:
            say(f"making TOMs {version} on {'PostgreSQL' if database else 'SQLite'}")
            name = f"tom_{version.replace('.', '_')}_{'pg' if database else 'lite'}"
            with Place(home / name, version, postgres=database, kafka=kafka, parts=options.parts) as place:
                about |= place.about
                rows += measure(place, plan, say, parts=options.parts)
        say("done")
    print("\n".join(f"{key:<7} {value}" for key, value in about.items()))
    print(table(rows))
    print(f"\n{_goal(rows)}")
    if options.json:
        write_json(options.json, about=about, rows=rows)


if __name__ == "__main__":
    main()
