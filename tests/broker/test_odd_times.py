"""A record whose timestamp is no date stops nobody: who publishes writes it, and a broker takes any number."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

import bridge
from bridge.cli import app
from bridge.codecs import native
from bridge.codecs.record import Record
from bridge.consumer.intake import Intake
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.subscription import Subscription
from bridge.observe.page.lines import event_line
from bridge.observe.sightings import sightings
from bridge.schemas import example_events
from bridge.settings import ConsumerSettings
from tests.broker.conftest import read
from tests.support.hermes_corpus import CASES

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ADDRESS = "kafka://localhost/{}"
ODD = (10**15, 2**62, 1)
RECORDS = (
    native.encode(example_events()["reduced_datums"]),
    CASES["normal_form"].record,
    Record(key=None, value=b"{", headers=()),
)


@pytest.fixture
def place(broker: EmbeddedBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic with share events, Hermes messages and garbage of such times, and a file of settings that names it."""
    producer = Producer({"bootstrap.servers": broker.url.removeprefix("kafka://").rstrip("/")})
    for timestamp in ODD:
        for record in RECORDS:
            producer.produce(topic, record.value, record.key, timestamp=timestamp, headers=list(record.headers))
    assert producer.flush(20) == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.toml").write_text(f'[DATA_SHARING.stream]\nBASE_URL = "{broker.url}"\n')
    return f"stream:{topic}"


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_tail_shows_it(place: str, form: str) -> None:
    done = CliRunner().invoke(app, ["tail", place, "--from", "earliest", "--drain", "--format", form])

    assert done.exception is None
    assert done.stdout.count("SN 2024abc") >= len(ODD)


def test_export_and_plot_read_it(place: str) -> None:
    exported = CliRunner().invoke(app, ["export", place, "--to", "a.csv"])
    plotted = CliRunner().invoke(app, ["plot", "SN 2024abc", "--from-topic", place, "--to", "a.png"])

    assert (exported.exception, plotted.exception) == (None, None)
    assert "could not be read: 3 records (no_headers)" in exported.stderr


def test_a_loop_gets_it(place: str) -> None:
    events = list(bridge.subscribe(place, start="earliest", drain=True))

    assert [event.type for event in events].count("tom.reduced_datums.shared.v1") >= len(ODD)


def test_the_page_has_a_line_of_it_and_a_consumer_reads_it(place: str, subscribe: Callable[..., Subscription]) -> None:
    settings = ConsumerSettings(subscribe=["stream:t"], accept_sources=["*"])
    intake = Intake(name="a", url="https://a.org/", settings=settings, address=ADDRESS.format)
    consumed = read(subscribe(), len(ODD) * len(RECORDS))
    lines = [event_line(seen) for found in consumed for seen in sightings(found, topic_address=ADDRESS.format(found.topic))]
    taken = [intake.take(found.record, topic=found.topic, time=found.time or NOW) for found in consumed]

    assert {found.timestamp_ms for found in consumed} == set(ODD)
    assert {line["time"] for line in lines} == {None, "1970-01-01T00:00:00.001000Z"}
    assert [each.outcome.reason for each in taken if each.outcome] == ["no_headers"] * len(ODD)
