"""A TOM that emits and is killed, wherever it stands: what its database has goes out, once for each, and nothing else does."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bridge.events import TargetShared
from tests.support.emitting import Emitters
from tests.support.ingest import Ingest
from tests.support.postgres import Postgres
from tests.support.relaying import (
    Posting,
    Relay,
    TopicEnd,
    arrived_once,
    datum_rows,
    kill_workers,
    make_targets,
    next_datum,
    no_changes,
    no_writes,
    number,
    query,
    read_published,
    save_datums,
    settled,
    wait_for,
)  # fmt: skip
from tests.support.world import USERS, Toms, World, unique

TWO, THREE = "2.32.4", "3.1.0"
SEED = int(os.environ.get("TOM_BRIDGE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
"""Of the moments at which anything is killed."""
KILLS = 6
"""Of each kind."""
MOST_KILLS = 60
"""If the moment that a test needs was not among the first ones."""
CHANGES, OUTBOX = "bridge_emitter_change", "bridge_emitter_outboxevent"
HALF_WRITTEN = (
    "SELECT count(*) FROM pg_stat_activity"
    """ WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO "tom\\_%'"""
)
"""Rows that are written, and whose triggers wait to note them."""
WAITING_MARKS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    """ AND query LIKE 'UPDATE "bridge\\_emitter\\_outboxevent" SET "published\\_at"%'"""
)
"""What is published, and not noted as published yet."""
names = unique("SN 2041f")
databases = pytest.mark.parametrize(("version", "on_postgres"), [(TWO, False), (THREE, True)], ids=["sqlite", "postgresql"])


@pytest.fixture
def chance() -> random.Random:
    """Random numbers; whoever sets TOM_BRIDGE_SEED to what is printed gets the same again."""
    print(f"\nTOM_BRIDGE_SEED={SEED}")  # noqa: T201
    return random.Random(SEED)


@pytest.fixture
def public(toms: Toms, broker: tuple[str, Callable[[str], None]], tmp_path: Path) -> Callable[[str, bool], World]:
    """Make a TOM of its own that emits every public target, and its topic: a target's row alone says that it is public."""

    def make(version: str, postgres: bool) -> World:
        url, create_topic = broker
        topic = f"public.{version}"
        entry = {"BASE_URL": url, "SOURCE_URL": "https://public.example.org/", "USER_TOPICS": [topic], "EMIT": "all"}
        settings = {
            "DATA_SHARING": {"share-stream": {**entry, "EMIT_GROUPS": ["Public"]}},
            "TOM_BRIDGE": {"QUIET_SECONDS": 0.3},
        }
        source = toms.get("public", version, postgres=postgres, apps=["bridge.emitter"], settings=settings)
        return World(
            home=tmp_path,
            stream_url=url,
            create_topic=create_topic,
            source=source,
            destination=toms.get("destination", THREE),
            consumer={"accept_sources": [entry["SOURCE_URL"]], "max_new_targets_per_hour": 100_000},
            topic=topic,
        )

    return make


@databases
def test_a_web_server_that_is_killed_leaves_nothing_out_and_tells_nothing_that_is_not_so(
    public: Callable[[str, bool], World],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    on_postgres: bool,
    chance: random.Random,
):
    between = public(version, on_postgres)
    source = between.source
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--preload")  # a new worker is a fork, and takes no time
    source.stop()
    source.start()
    posted: list[str] = []
    up = threading.Event()
    up.set()

    def target_with_datums(ingest: Ingest) -> None:
        up.wait()
        name = next(names)
        posted.append(name)
        pk = ingest.create_target_by_api(name, 10.0, -5.0, aliases=[f"{name} alias"], permissions="PUBLIC")
        for _ in range(5):
            ingest.post_datum_by_api(pk, **next_datum())

    with ExitStack() as stack:
        relay = stack.enter_context(Relay(source, tmp_path / "relay.log"))
        people = [Ingest(source, username="alice", password=USERS["alice"]) for _ in range(2)]
        posting = [stack.enter_context(Posting(ingest, target_with_datums)) for ingest in people]
        for life in range(KILLS):
            before = len(posted)
            wait_for(lambda before=before: len(posted) > before, "posts")
            time.sleep(chance.uniform(0.0, 0.4))
            if life % 7 == 0:
                up.clear()
                source.kill()
                source.start()
                up.set()
            elif on_postgres and life % 2:
                with no_writes(source, CHANGES):
                    wait_for(lambda: number(source, HALF_WRITTEN) > 0, "a row is written and not noted yet")
                    kill_workers(source)
            else:
                kill_workers(source)
        for ended in posting:
            ended.stop()
        wait_for(lambda: settled(source), "the relay publishes everything")
        assert relay.alive

    rows = datum_rows(source)
    in_database = {name for (name,) in query(source, "SELECT name FROM tom_targets_basetarget")}
    found = read_published(between, source)
    cut_off = sum(ended.cut_off for ended in posting)
    print(f"{KILLS} kills, {cut_off} posts cut off, {len(in_database)} targets, {len(rows)} datums, {len(found.events)} events")  # noqa: T201
    assert cut_off >= KILLS // 3, [line for ended in posting for line in ended.failed]
    assert Counter(found.rows) == Counter(rows)
    assert {body.target.name for body in found.of_type(TargetShared)} == in_database
    assert found.copies == 0
    assert between.consume().code == 0
    assert arrived_once(source, between.destination, posted) == len(rows)


@databases
def test_a_relay_that_is_killed_loses_nothing_and_what_it_sends_again_is_the_same_to_the_last_byte(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool, chance: random.Random
):
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    source = between.source
    targets = make_targets(between.ingest, between.group, [next(names) for _ in range(20)])
    stop = tmp_path / "stop"
    kills = unmarked = 0

    def last_is_unmarked() -> bool:
        published = f"event_id = '{_as_stored(end.event_id(), on_postgres)}' AND published_at IS NOT NULL"
        return number(source, f"SELECT count(*) FROM bridge_emitter_outboxevent WHERE {published}") == 0

    @contextmanager
    def before_a_mark(saving: Future[list[int]]) -> Iterator[None]:
        if on_postgres:
            with no_changes(source, OUTBOX):
                wait_for(lambda: number(source, f"SELECT count(*) {WAITING_MARKS}") > 0 or saving.done(), "a mark waits")
                assert not saving.done(), saving.result()
                yield
            return
        seen = end.offset()
        wait_for(lambda: end.offset() > seen or saving.done(), "events", every=0.01)
        assert not saving.done(), saving.result()
        with no_writes(source, OUTBOX):
            time.sleep(chance.uniform(0.05, 0.2))  # what is with the broker gets there
            yield

    with ExitStack() as stack:
        relays = [stack.enter_context(Relay(source, tmp_path / f"relay-{number}.log")) for number in range(3)]
        end = stack.enter_context(TopicEnd(between.world, between.world.topic))
        saving = stack.enter_context(ThreadPoolExecutor(1)).submit(save_datums, between.ingest, list(targets), 0, stop)
        stack.callback(stop.touch)
        while kills < KILLS or (not unmarked and kills < MOST_KILLS):
            wait_for(lambda: any(relay.works for relay in relays), "a relay works", every=0.01)
            if kills % 3:
                time.sleep(chance.uniform(0.0, 1.0))
                worker = next(relay for relay in relays if relay.works)
                worker.kill()
            else:
                with before_a_mark(saving):
                    worker = next(relay for relay in relays if relay.works)
                    worker.kill()
                    unmarked += last_is_unmarked()
                    if on_postgres:  # it would still make a mark that waits there, for a relay that is gone
                        assert number(source, f"SELECT count(pg_terminate_backend(pid)) {WAITING_MARKS}") == 1
            kills += 1
            worker.start()
        stop.touch()
        saved = saving.result()
        wait_for(lambda: settled(source), "everything is published")

    found = read_published(between.world, source)
    print(f"{kills} kills, {unmarked} before a mark, {len(saved)} datums, {len(found.events)} events, {found.copies} copies")  # noqa: T201
    assert Counter(found.rows) == Counter(saved)
    assert {body.target.name for body in found.of_type(TargetShared)} == set(targets.values())
    assert unmarked > 0
    assert found.copies > 0
    assert between.world.consume().code == 0
    assert arrived_once(source, between.world.destination, list(targets.values())) == len(saved)


def test_a_relay_outlives_a_restart_of_postgresql(emitters: Emitters, postgres: Postgres, tmp_path: Path):
    between = emitters.emitting(tmp_path, THREE, emit="all", postgres=True)
    [pk] = make_targets(between.ingest, between.group, [next(names)])
    with Relay(between.source, tmp_path / "log") as relay:
        wait_for(lambda: settled(between.source), "the target is published")
        postgres.restart()
        saved = save_datums(between.ingest, [pk], 3)
        wait_for(lambda: settled(between.source), "the datums are published")
        said = relay.said
        assert relay.alive

    assert "the database: " in said
    assert "trying again" in said
    assert "Traceback" not in said
    assert read_published(between.world, between.source).rows == saved


def test_a_transaction_that_commits_after_later_ones_are_published_is_not_left_out(emitters: Emitters, tmp_path: Path):
    between = emitters.emitting(tmp_path, THREE, emit="all", postgres=True)
    [pk] = make_targets(between.ingest, between.group, [next(names)])
    code = """
import threading, time
from datetime import UTC, datetime
from django.db import connection, transaction
from bridge.emitter.models import OutboxEvent
from tom_dataproducts.models import PhotometryReducedDatum

def save(day):
    moment = datetime(2024, 3, day, tzinfo=UTC)
    result.append(PhotometryReducedDatum.objects.create(
        target_id=arguments["target"], timestamp=moment, brightness=18.5, bandpass="r").pk)

def save_elsewhere():
    save(2)
    connection.close()

result = []
published = OutboxEvent.objects.filter(target_pk=arguments["target"], type__contains="datum").exclude(published_at=None)
with transaction.atomic():
    save(1)
    other = threading.Thread(target=save_elsewhere)
    other.start()
    other.join()
    deadline = time.monotonic() + 30
    while not published.exists():
        assert time.monotonic() < deadline, "the later datum is not published"
        time.sleep(0.05)
"""
    with Relay(between.source, tmp_path / "log"):
        early, late = between.ingest.run_code(code, target=pk)
        wait_for(lambda: settled(between.source), "everything is published")

    assert early < late
    assert read_published(between.world, between.source).rows == [late, early]


def _as_stored(event_id: object, on_postgres: bool) -> str:
    """Return an id as Django keeps it: SQLite has no type for it."""
    return str(event_id) if on_postgres else str(event_id).replace("-", "")
