"""Relays of a TOM as real processes, what is in the TOM's database, and what has come of it on a topic."""

import itertools
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import requests
from confluent_kafka import Consumer, TopicPartition

from bridge.codecs.native import decode
from bridge.demo.toms import Tom
from bridge.events import DataProductShared, ReducedDatumsShared, ShareEvent, TargetShared
from tests.support import waiting
from tests.support.ingest import Ingest, Refused, TomFailed
from tests.support.postgres import ensure_postgres
from tests.support.world import World, dump

__all__ = [
    "Posting", "Published", "Relay", "TopicEnd", "arrived_once", "datum_rows", "kill_workers", "make_targets", "next_datum",
    "no_changes", "no_writes", "number", "query", "read_published", "save_datums", "settled", "wait_for",
]  # fmt: skip

PATIENCE_SECONDS = 60.0
_UNSEALED = (
    "SELECT (SELECT count(*) FROM bridge_emitter_change WHERE problem = '')"
    " + (SELECT count(*) FROM bridge_emitter_sharerequest WHERE problem = '')"
)
_NO_CHANGES = 20_410
"""The key of an advisory lock that nothing else takes."""
_UNPUBLISHED = "SELECT count(*) FROM bridge_emitter_outboxevent WHERE published_at IS NULL AND NOT refused"


wait_for = partial(waiting.wait_for, seconds=PATIENCE_SECONDS, every=0.05)
"""Wait until a condition is true."""


def query(tom: Tom, sql: str) -> list[tuple[str, ...]]:
    """Ask a TOM's database, beside its Django; every value comes as text."""
    if tom.database is None:
        path = f"file:{tom.dir / 'db.sqlite3'}?mode=ro"
        connection = sqlite3.connect(path, uri=True, timeout=PATIENCE_SECONDS)
        try:
            return [tuple("" if value is None else str(value) for value in row) for row in connection.execute(sql)]
        finally:
            connection.close()
    psql = ensure_postgres(print) / "psql"
    command = [str(psql), "--no-psqlrc", "-At", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-c", sql, tom.database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return [tuple(line.split("\x1f")) for line in done.stdout.splitlines()]


@contextmanager
def no_writes(tom: Tom, table: str) -> Iterator[None]:
    """Keep everybody from writing to a table; on SQLite, from writing at all. Reading goes on."""
    if tom.database is None:
        connection = sqlite3.connect(tom.dir / "db.sqlite3", timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()
        return
    with _holding(tom, f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE;"):
        yield


@contextmanager
def no_changes(tom: Tom, table: str) -> Iterator[None]:
    """Keep everybody from changing rows of a table of PostgreSQL; new ones can be written."""
    wait = f"PERFORM pg_advisory_xact_lock_shared({_NO_CHANGES}); RETURN NULL;"
    query(tom, f"CREATE FUNCTION no_changes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {wait} END$$")
    query(tom, f"CREATE TRIGGER no_changes BEFORE UPDATE ON {table} EXECUTE FUNCTION no_changes()")
    try:
        with _holding(tom, f"SELECT pg_advisory_lock({_NO_CHANGES}) IS NULL;"):
            yield
    finally:
        query(tom, f"DROP TRIGGER no_changes ON {table}")
        query(tom, "DROP FUNCTION no_changes")


@contextmanager
def _holding(tom: Tom, sql: str) -> Iterator[None]:
    """Stay in PostgreSQL with the locks that some statements have taken."""
    assert tom.database is not None
    command = [str(ensure_postgres(print) / "psql"), "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", tom.database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
        assert psql.stdin is not None and psql.stdout is not None  # noqa: PT018  both are pipes
        psql.stdin.write(f"{sql} SELECT 'locked';\n")
        psql.stdin.flush()
        while (line := psql.stdout.readline()) != "locked\n":
            assert line, "psql ended"
        yield  # the end of its input is psql's end


def number(tom: Tom, sql: str) -> int:
    """Return the one number that a query gives."""
    return int(query(tom, sql)[0][0])


def settled(tom: Tom) -> bool:
    """Whether everything is sealed and published."""
    return number(tom, _UNSEALED) == 0 and number(tom, _UNPUBLISHED) == 0


class Relay:
    """``manage.py bridge_relay`` of a TOM as a process of its own.

    Parameters
    ----------
    tom
        With the emitter.
    log
        File for its output.
    arguments
        Of the command.
    """

    def __init__(self, tom: Tom, log: Path, *arguments: str) -> None:
        self._tom = tom
        self._log = log
        # Django's checks, which load all of the TOM's pages, take longer than all that a relay does in most tests.
        self._arguments = ("bridge_relay", "--skip-checks", *arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it is not at work yet when this returns."""
        command = [str(self._tom.python), "manage.py", *self._arguments]
        environment = self._tom._environment()
        self._log.write_bytes(b"")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self._tom.dir, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Kill it with -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return its exit code and how many seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        code = self._process.wait(PATIENCE_SECONDS)
        return code, time.monotonic() - began

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def began(self) -> bool:
        """Whether Django is loaded, and the relay begins."""
        return "Ctrl-C to stop" in self.said

    @property
    def stands_by(self) -> bool:
        """Whether it said that it waits for its turn, and not yet that it is its turn."""
        return self.alive and self.said.rfind("waits for its turn") > self.said.rfind("this relay's turn")

    @property
    def works(self) -> bool:
        """Whether it is its turn, as far as it has said."""
        return self.alive and self.began and not self.stands_by


class TopicEnd:
    """The end of a topic, looked at often.

    Parameters
    ----------
    world
        Its broker.
    topic
        With one partition.
    """

    def __init__(self, world: World, topic: str) -> None:
        self._topic = topic
        bootstrap = world.connection.bootstrap
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"end-of-{topic}", "log_level": 0})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def offset(self) -> int:
        """Return how many records there are."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=30)[1])

    def event_id(self) -> UUID:
        """Return the id of the last event."""
        self._consumer.assign([TopicPartition(self._topic, 0, self.offset() - 1)])
        [message] = self._consumer.consume(1, timeout=30)
        return UUID(dict(message.headers())["ce_id"].decode())


@dataclass(frozen=True)
class Published:
    """What is on a topic: every event once, in the order of its first copy, and how many copies more there are."""

    events: Sequence[ShareEvent]
    keys: Sequence[bytes]
    copies: int
    rows: list[int] = field(default_factory=list)
    """Primary keys of the datums at the source, as often as they are in an event."""

    def of_type(self, kind: type) -> list[Any]:
        """Return the bodies of one kind of event."""
        return [event.body for event in self.events if isinstance(event.body, kind)]


def read_published(world: World, tom: Tom) -> Published:
    """Read a topic, and hold it against the TOM's outbox.

    What is asserted: copies of an event are equal to the last byte; every event of the outbox for this topic is there with
    its bytes, and no other; each key's events are in the order of the outbox; a target's own event comes before its data's.
    """
    records = [consumed.record for consumed in world.read(world.topic)]
    first: dict[UUID, Any] = {}
    for record in records:
        event_id = UUID(dict(record.headers)["ce_id"].decode())
        assert first.setdefault(event_id, record) == record, f"two different events have the id {event_id}"
    hexed = "hex(key), hex(payload)" if tom.database is None else "encode(key, 'hex'), encode(payload, 'hex')"
    where = f"destination LIKE '%:{world.topic}' AND published_at IS NOT NULL"
    rows = query(tom, f"SELECT event_id, {hexed} FROM bridge_emitter_outboxevent WHERE {where} ORDER BY id")
    outbox = {UUID(event_id): (bytes.fromhex(key), bytes.fromhex(payload)) for event_id, key, payload in rows}
    assert {event_id: (record.key, record.value) for event_id, record in first.items()} == outbox
    for key in {record.key for record in first.values()}:
        on_topic = [event_id for event_id, record in first.items() if record.key == key]
        assert on_topic == [event_id for event_id, row in outbox.items() if row[0] == key], f"{key!r} is out of order"
    events = [decode(record) for record in first.values()]
    told = set[str]()
    for event in events:
        if isinstance(event.body, TargetShared):
            told.add(event.body.partition_key)
        assert event.body.partition_key in told, "data come before their target"
    found = Published(events, [record.key for record in first.values()], len(records) - len(first))
    for body in found.of_type(ReducedDatumsShared) + [body.product for body in found.of_type(DataProductShared)]:
        found.rows.extend(datum.origin.primary_key for datum in body.datums)
    return found


BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_minutes = itertools.count()


def next_datum() -> dict[str, Any]:
    """Return a magnitude of a time that no other has."""
    moment = BEGIN + timedelta(minutes=next(_minutes))
    return {"timestamp": moment.isoformat(), "value": {"magnitude": 18.5, "error": 0.25, "filter": "r"}}


class Posting:
    """Somebody who posts to a TOM's API in a thread, and goes on after whatever happens to the TOM.

    Parameters
    ----------
    ingest
        Logged in.
    work
        Does some posts, and is called again and again; what it raises because the TOM is away is passed over.
    """

    def __init__(self, ingest: Ingest, work: Callable[[Ingest], None]) -> None:
        self._ingest = ingest
        self._work = work
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.cut_off = 0
        """How often a post had no answer."""
        self.failed: list[str] = []
        """What the TOM said instead of doing it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it finish what it is at, and end."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._work(self._ingest)
            except requests.RequestException:
                self.cut_off += 1
                self._end.wait(0.05)
            except (Refused, TomFailed) as error:
                self.failed.append(str(error))


def make_targets(ingest: Ingest, group: str, named: Sequence[str]) -> dict[int, str]:
    """Make targets that a group may see and change, with an alias each; return their primary keys and names."""
    code = """
from django.contrib.auth.models import Group
from django.db import transaction
from guardian.shortcuts import assign_perm
from tom_targets.models import Target, TargetName
group = Group.objects.get(name=arguments["group"])
result = []
with transaction.atomic():
    for name in arguments["named"]:
        target = Target.objects.create(name=name, type="SIDEREAL", ra=1.0, dec=2.0)
        TargetName.objects.create(target=target, name=f"{name} alias")
        for right in ("view", "change"):
            assign_perm(f"{Target._meta.app_label}.{right}_target", group, target)
        result.append(target.pk)
"""
    return dict(zip(ingest.run_code(code, named=list(named), group=group), named, strict=True))


def save_datums(ingest: Ingest, targets: Sequence[int], least: int, stop: Path | None = None) -> list[int]:
    """Save a datum at a time, target after target, so many at least and until a file is there; return their primary keys."""
    code = """
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tom_dataproducts import models
values = {"data_type": "photometry", "value": {"magnitude": 18.5, "error": 0.25, "filter": "r"}}
model = models.ReducedDatum
if hasattr(models, "PhotometryReducedDatum"):
    values, model = {"brightness": 18.5, "brightness_error": 0.25, "bandpass": "r"}, models.PhotometryReducedDatum
stop, result = arguments["stop"], []
while len(result) < arguments["least"] or (stop and not Path(stop).exists()):
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=len(result))
    target = arguments["targets"][len(result) % len(arguments["targets"])]
    result.append(model.objects.create(target_id=target, timestamp=moment, **values).pk)
    time.sleep(arguments["pause"])
"""
    pause = 0.1 if stop else 0.0
    found: list[int] = ingest.run_code(code, targets=list(targets), least=least, stop=str(stop or ""), pause=pause)
    return found


def kill_workers(tom: Tom) -> None:
    """Kill the workers of a TOM's web server with -9; the server makes new ones."""
    for pid in Path(f"/proc/{tom._pid}/task/{tom._pid}/children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def datum_rows(tom: Tom) -> list[int]:
    """Return the primary keys of a TOM's photometry."""
    table = "photometryreduceddatum" if tom.version.startswith("3") else "reduceddatum"
    return [int(pk) for (pk,) in query(tom, f"SELECT id FROM tom_dataproducts_{table} ORDER BY id")]


def arrived_once(source: Tom, destination: Tom, names: Sequence[str]) -> int:
    """Assert that targets and their datums are at a destination as at the source, each once; return how many datums."""
    chosen = set(names)
    at_source, there = dump(source), dump(destination)

    def datums(dumped: dict[str, Any]) -> Counter[tuple[str, str]]:
        return Counter((row["target"], row["timestamp"]) for row in dumped["datums"] if row["target"] in chosen)

    def targets(dumped: dict[str, Any]) -> Counter[tuple[str, tuple[str, ...]]]:
        return Counter((row["name"], tuple(row["aliases"])) for row in dumped["targets"] if row["name"] in chosen)

    assert targets(there) == targets(at_source)
    wanted, found = datums(at_source), datums(there)
    assert found == wanted, f"missing {wanted - found}, too many {found - wanted}"
    return found.total()
