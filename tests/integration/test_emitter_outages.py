"""Brokers, topics and logins that are not as they should be: saving goes on, the relay says so, and then publishes it all."""

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka.admin import AclOperation

from bridge.demo.toms import Tom, TomSetupError
from bridge.events import TargetShared
from tests.support.ingest import Ingest
from tests.support.kafka import ApacheKafka
from tests.support.relaying import (
    Relay,
    TopicEnd,
    arrived_once,
    kill_workers,
    make_targets,
    next_datum,
    number,
    query,
    read_published,
    save_datums,
    settled,
    wait_for,
)
from tests.support.world import USERS, Toms, World, unique

TWO, THREE = "2.32.4", "3.1.0"
SOURCE = "https://outages.example.org/"
PASSWORD = "outage-canary-pw"
names = unique("SN 2044o")


@pytest.fixture(scope="module")
def kafka(apache_kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A broker that others don't miss."""
    own = ApacheKafka(Path(tmp_path_factory.mktemp("own-kafka")), apache_kafka.libs)
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def source(toms: Toms, kafka: ApacheKafka) -> Tom:
    """A TOM whose groups each have their topics; ``out.late`` and ``out.tiny`` are for the tests to make."""

    def emits(group: str, *topics: str, **more: Any) -> dict[str, Any]:
        return {
            "BASE_URL": f"kafka://{kafka.bootstrap}/", "SOURCE_URL": SOURCE, "USER_TOPICS": list(topics), "EMIT": "all",
            "EMIT_GROUPS": [group], **more,
        }  # fmt: skip

    secure = {
        "BASE_URL": f"kafka://{kafka.sasl_bootstrap}/", "USERNAME": "mallory", "PASSWORD": PASSWORD,
        "SSL_CA_LOCATION": str(kafka.ca_pem),
    }  # fmt: skip
    sharing = {
        "plain": emits("Plain", "out.plain"),
        "late": emits("Late", "out.early", "out.late"),
        "tiny": emits("Tiny", "out.tiny"),
        "secure": emits("Secure", "out.secure", **secure),
        "load": emits("Load", "out.load"),
    }
    settings = {"DATA_SHARING": sharing, "TOM_BRIDGE": {"QUIET_SECONDS": 0.3}}
    groups = ["Plain", "Late", "Tiny", "Secure", "Load"]
    return toms.get("outages", TWO, groups=groups, apps=["bridge.emitter"], settings=settings)


@pytest.fixture
def alice(source: Tom) -> Ingest:
    return Ingest(source, username="alice", password=USERS["alice"])


@pytest.fixture
def to_topic(kafka: ApacheKafka, toms: Toms, source: Tom, tmp_path: Path) -> Callable[[str], World]:
    """Make the world of a topic of the TOM; its topics are there then, too, unless they were already."""

    def make(topic: str) -> World:
        def create(name: str) -> None:
            if name not in kafka.admin.list_topics(timeout=30).topics:
                kafka.create_topic(name)

        return World(
            home=tmp_path,
            stream_url=f"kafka://{kafka.bootstrap}/",
            create_topic=create,
            source=source,
            destination=toms.get("destination", THREE),
            consumer={"accept_sources": [SOURCE]},
            topic=topic,
        )

    return make


def outbox(tom: Tom) -> str:
    return tom.manage("bridge_outbox")


def test_while_the_broker_is_away_saving_goes_on_and_afterwards_everything_is_published_in_order(
    kafka: ApacheKafka, to_topic: Callable[[str], World], source: Tom, alice: Ingest, tmp_path: Path
):
    between = to_topic("out.plain")
    made = make_targets(alice, "Plain", [next(names) for _ in range(10)])
    targets = list(made)
    with Relay(source, tmp_path / "log") as relay:
        wait_for(lambda: settled(source), "the targets are published")
        before = read_published(between, source).rows  # of other tests
        kafka.kill()
        try:
            for place in range(100):
                alice.post_datum_by_api(targets[place % 10], **next_datum())
            wait_for(lambda: "events wait" in relay.said, "the relay says that events wait")
            shown = outbox(source)
            relay.kill()
            with pytest.raises(TomSetupError) as failed:
                source.manage("bridge_relay", "--skip-checks", "--once", "--patience", "7")
            relay.start()
            wait_for(lambda: "events wait" in relay.said, "the next relay says so, too")
        finally:
            kafka.start()
        wait_for(lambda: settled(source), "everything is published")
        assert relay.alive
        lines = relay.said.splitlines()

    assert re.search(r"plain:out.plain: \d+ wait since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", shown), shown
    assert "stream plain" in shown
    assert re.search(r"CommandError: \d+ events wait in the outbox: .*stream plain", str(failed.value))
    assert "Traceback" not in str(failed.value)
    assert len(lines) < 10, lines
    rows = read_published(between, source).rows
    assert len(rows) == len(set(rows)) == len(before) + 100
    assert between.consume().code == 0
    assert arrived_once(source, between.destination, list(made.values())) == 100


def test_a_missing_topic_is_named_and_others_go_on_until_it_is_there(
    to_topic: Callable[[str], World], source: Tom, alice: Ingest, tmp_path: Path
):
    early = to_topic("out.early")
    made = make_targets(alice, "Late", [next(names)])
    saved = save_datums(alice, list(made), 3)
    with Relay(source, tmp_path / "log") as relay:
        wait_for(lambda: "does not exist" in relay.said, "the relay names the topic")
        waiting = (
            "SELECT count(*) FROM bridge_emitter_outboxevent WHERE destination = 'late:out.early' AND published_at IS NULL"
        )
        wait_for(lambda: number(source, waiting) == 0, "the other topic has everything")
        assert read_published(early, source).rows == saved
        shown = outbox(source)
        late = to_topic("out.late")
        wait_for(lambda: settled(source), "what waits is published", seconds=90)
        said = relay.said

    assert "out.late: the topic does not exist; create it with 'tom-bridge topics create'" in said
    assert re.search(r"late:out.late: [1-9]\d* wait since", shown), shown
    assert said.count("does not exist; create it") <= 2, "once, and perhaps again after a broker that was slow to answer"
    assert read_published(late, source).rows == saved


def test_an_event_that_is_too_large_for_its_topic_stands_aside_and_the_others_go_on(
    kafka: ApacheKafka, to_topic: Callable[[str], World], source: Tom, alice: Ingest
):
    kafka.create_topic("out.tiny", config={"max.message.bytes": "20000"})
    between = to_topic("out.tiny")
    made = make_targets(alice, "Tiny", [next(names) for _ in range(50)])
    noise = random.Random(1)

    def text(length: int) -> str:
        return "".join(chr(noise.randrange(33, 126)) for _ in range(length))

    sizes = [60_000 if place == 25 else 600 for place in range(50)]  # together more than the topic takes at once
    code = """
from datetime import UTC, datetime
from tom_dataproducts.models import ReducedDatum
common = {"data_type": "photometry", "timestamp": datetime(2024, 3, 1, tzinfo=UTC)}
result = [
    ReducedDatum.objects.create(target_id=target, value={"text": text}, **common).pk for target, text in arguments["rows"]
]
"""
    saved = alice.run_code(code, rows=[(pk, text(size)) for pk, size in zip(made, sizes, strict=True)])

    source.manage("bridge_relay", "--skip-checks", "--once")

    shown = outbox(source)
    assert "tiny:out.tiny: 0 wait, 1 set aside" in shown, shown
    assert "larger than the topic's max.message.bytes" in shown
    assert sorted(read_published(between, source).rows) == sorted({*saved} - {saved[25]})

    kafka.set_config("out.tiny", {"max.message.bytes": "1000000"})
    source.manage("bridge_outbox", "--retry")
    source.manage("bridge_relay", "--skip-checks", "--once")
    on_topic = {dict(found.record.headers)["ce_id"].decode() for found in between.read("out.tiny")}
    sealed = query(source, "SELECT event_id FROM bridge_emitter_outboxevent WHERE destination = 'tiny:out.tiny'")
    assert on_topic == {str(UUID(event_id)) for (event_id,) in sealed}
    assert "0 wait, 0 set aside" in outbox(source)


def test_a_refused_login_is_named_without_its_secret_and_what_waits_goes_out_once_it_is_accepted(
    kafka: ApacheKafka, to_topic: Callable[[str], World], source: Tom, alice: Ingest, tmp_path: Path
):
    between = to_topic("out.secure")
    kafka.add_user("mallory", "not-" + PASSWORD)
    kafka.allow("mallory", topics={"out.secure": [AclOperation.DESCRIBE, AclOperation.WRITE]})
    made = make_targets(alice, "Secure", [next(names)])
    with Relay(source, tmp_path / "log") as relay:
        wait_for(lambda: "refuses the login of mallory" in relay.said, "the relay says why")
        shown = outbox(source)
        kafka.add_user("mallory", PASSWORD)
        wait_for(lambda: settled(source), "the target is published", seconds=90)
        said = relay.said
        assert relay.alive

    assert "refuses the login of mallory" in shown
    assert PASSWORD not in said + shown
    assert [body.target.name for body in read_published(between, source).of_type(TargetShared)] == list(made.values())


def test_sigterm_under_load_ends_a_relay_soon_and_what_is_confirmed_is_not_sent_again(
    to_topic: Callable[[str], World], source: Tom, alice: Ingest, tmp_path: Path
):
    between = to_topic("out.load")
    made = make_targets(alice, "Load", [next(names) for _ in range(55)])
    stop = tmp_path / "stop"
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(source, tmp_path / "log"))
        end = stack.enter_context(TopicEnd(between, "out.load"))
        saving = stack.enter_context(ThreadPoolExecutor(1)).submit(save_datums, alice, list(made), 100, stop)
        stack.callback(stop.touch)
        wait_for(lambda: end.offset() >= 65, "the relay publishes datums", every=0.01)
        code, seconds = relay.stop()
        assert not saving.done()
        stop.touch()
        saved = saving.result()
        said = relay.said
    source.manage("bridge_relay", "--skip-checks", "--once")

    assert (code, "Traceback" in said) == (0, False)
    assert seconds < 15  # it waits ten seconds at most for the broker's last word
    found = read_published(between, source)
    assert (sorted(found.rows), found.copies) == (sorted(saved), 0)


def test_a_relay_inside_the_web_server_publishes_and_another_worker_takes_over(
    to_topic: Callable[[str], World], source: Tom, alice: Ingest
):
    between = to_topic("out.plain")
    settings = source.dir / "local_settings.py"
    before = settings.read_text()
    [pk] = make_targets(alice, "Plain", [next(names)])
    try:
        source.stop()
        settings.write_text(before + "TOM_BRIDGE = {'QUIET_SECONDS': 0.3, 'RELAY_IN_WEB_PROCESS': True}\n")
        source.start()
        alice.post_datum_by_api(pk, **next_datum())
        wait_for(lambda: settled(source), "the web server's relay publishes")
        assert "relay      works" in outbox(source)
        kill_workers(source)
        alice.post_datum_by_api(pk, **next_datum())
        wait_for(lambda: settled(source), "the relay of a new worker publishes")
    finally:
        source.stop()
        settings.write_text(before)
        source.start()

    datums = query(source, f"SELECT id FROM tom_dataproducts_reduceddatum WHERE target_id = {pk} ORDER BY id")
    assert [str(row) for row in read_published(between, source).rows][-2:] == [row for (row,) in datums]
