"""``tom-bridge export`` and ``plot`` against Apache Kafka: a million datums in little memory, each once, with provenance."""

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from astropy.table import Table

from bridge.codecs import native
from bridge.codecs.record import Record
from bridge.events import (
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareEvent,
    SpectroscopyDatum,
    TargetIdentity,
    TomIdentity,
)
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.support.datums import photometry_records
from tests.support.hermes_corpus import CASES
from tests.support.kafka import ApacheKafka
from tests.support.publishing import publisher_to

FULL = os.environ.get("TOM_BRIDGE_EXPORT") == "full"
FEW, MANY = (50_000, 1_000_000) if FULL else (20_000, 100_000)
"""A million take one to three minutes for each format, on two cores."""
PER_EVENT = 1_000
MOST_MEGABYTES = 300
MOST_GROWTH_MEGABYTES = 60
"""What client, caches and allocator need until they have seen enough. A million digests in a set would take 100, which only the
full form shows; the short one shows rows that are kept."""

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
TARGET = TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=7, ra=197.45, dec=-23.38, aliases=("ZTF24x",))
_numbers = itertools.count()


@dataclass(frozen=True)
class Topic:
    """A topic of the test's own, and how the command line and the test reach it."""

    name: str
    folder: Path
    connection: Connection

    def publish(self, *events: ShareEvent | Record) -> None:
        records = [event if isinstance(event, Record) else native.encode(event) for event in events]
        publisher_to(f"kafka://{self.connection.bootstrap}/").publish(self.name, records)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bridge", *words, "--config", str(self.folder / "bridge.toml")]

    def export(self, file: str, *options: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        command = self.command("export", f"stream:{self.name}", "--to", file, *options)
        return run(command, self.folder, expected)

    def plot(self, target: str, file: str, *options: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        command = self.command("plot", target, "--from-topic", f"stream:{self.name}", "--to", file, *options)
        return run(command, self.folder, expected)

    def rows(self, *options: str) -> list[dict[str, str]]:
        """Return the rows of the topic's table."""
        self.export("rows.csv", *options)
        with (self.folder / "rows.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def run(command: Sequence[str], folder: Path, expected: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that is to end with an exit code."""
    surroundings = {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == expected, done.stderr
    return done


MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_pid, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and prints the most memory that it had, in KiB. A small process, for a child counts what its parent had."""


def peak_megabytes(command: Sequence[str], folder: Path) -> float:
    """Run a command that is to succeed, and return the most memory that its process had."""
    return int(run([sys.executable, "-c", MEASURE, *command], folder).stdout) / 1024


def point(day: float, brightness: float, **more: Any) -> PhotometryDatum:
    return PhotometryDatum(timestamp=NOW + timedelta(days=day), brightness=brightness, **{"unit": "AB mag", **more})


def shared(*datums: ReducedDatum, target: TargetIdentity = TARGET) -> ShareEvent:
    body = ReducedDatumsShared(tom=TOM, target=target, datums=tuple(native.identified(TOM.url, datum) for datum in datums))
    return native.new_event(body, now=NOW)


@pytest.fixture
def topic(apache_kafka: ApacheKafka, tmp_path: Path) -> Topic:
    name = f"export.{next(_numbers)}"
    apache_kafka.create_topic(name, 4)
    url = f"kafka://{apache_kafka.bootstrap}/"
    (tmp_path / "bridge.toml").write_text(f'[DATA_SHARING.stream]\nBASE_URL = "{url}"\n')
    return Topic(name, tmp_path, connect_settings("stream", StreamEntry(BASE_URL=url)))


def publish_many(topic: Topic, first: int, events: int) -> None:
    """Publish events of many datums, some at a time."""
    records = itertools.islice(photometry_records(first + events, PER_EVENT), first, None)
    while some := list(itertools.islice(records, 50)):
        topic.publish(*some)


@pytest.mark.parametrize("form", ["csv", "parquet", *(["ecsv"] if FULL else [])])  # its rows are CSV's
def test_memory_does_not_grow_with_the_number_of_datums(topic: Topic, form: str) -> None:
    command = topic.command("export", f"stream:{topic.name}", "--to", f"table.{form}")
    publish_many(topic, 0, FEW // PER_EVENT)
    few = peak_megabytes(command, topic.folder)
    publish_many(topic, FEW // PER_EVENT, (MANY - FEW) // PER_EVENT)

    began = time.monotonic()
    many = peak_megabytes(command, topic.folder)
    seconds = time.monotonic() - began
    print(f"{MANY:,} datums as {form}: {many:.0f} MB, {seconds:.0f} s; {FEW:,}: {few:.0f} MB")  # noqa: T201  with -s

    path = topic.folder / f"table.{form}"
    if form == "parquet":
        assert pyarrow.parquet.read_metadata(path).num_rows == MANY
    else:
        with path.open(encoding="utf-8") as file:
            assert sum(not line.startswith("#") for line in file) == MANY + 1
    assert many < MOST_MEGABYTES
    assert many - few < MOST_GROWTH_MEGABYTES


def test_a_datum_that_is_shared_several_times_is_one_row_with_its_first_event(topic: Topic) -> None:
    first, again = shared(point(0, 18.0), point(1, 18.5)), shared(point(1, 18.5), point(2, 19.0))
    topic.publish(first, again, first, again)

    rows = topic.rows()

    assert [row["brightness"] for row in rows] == ["18.0", "18.5", "19.0"]
    assert [row["event"] for row in rows] == [str(first.id), str(first.id), str(again.id)]


def test_the_count_says_what_was_shared_again(topic: Topic) -> None:
    event = shared(point(0, 18.0), point(1, 18.5))
    topic.publish(event, event)

    done = topic.export("table.csv")

    assert done.stdout == "2 datums written to table.csv; left out what was shared again: 2 datums\n"
    assert done.stderr == ""


def test_each_row_says_where_it_comes_from(topic: Topic) -> None:
    event = shared(point(0, 18.0, source_name="ALeRCE", source_location="https://alerce.online/1"))
    topic.publish(shared(point(5, 20.0)), event)
    topic.export("table.ecsv")

    table = Table.read(topic.folder / "table.ecsv")
    row = table[1]

    assert (row["tom"], row["source"], row["event"]) == ("My TOM", "https://my-tom.org/", str(event.id))
    assert (row["topic"], row["offset"]) == (topic.name, table[0]["offset"] + 1)
    assert (row["source_name"], row["source_location"]) == ("ALeRCE", "https://alerce.online/1")
    assert (row["target"], row["ra"], row["dec"], str(table["ra"].unit)) == ("SN 2024abc", 197.45, -23.38, "deg")
    assert str(table["brightness"].unit) == "mag(AB)"
    assert row["time"].isot.startswith("2026-11-01T00:00:00")
    assert table.meta["topic"] == f"stream:{topic.name}"


def test_what_is_not_in_the_table_is_said(topic: Topic) -> None:
    spectrum = SpectroscopyDatum(timestamp=NOW, flux=(1.0,), wavelength=(4.0,))
    poison = Record(key=b"k", value=b"{", headers=native.encode(shared(point(0, 18.0))).headers)
    topic.publish(shared(point(0, 18.0), point(1, 1.5, unit="mJy"), spectrum), poison, poison)

    done = topic.export("table.ecsv")
    said = " ".join(done.stderr.split())

    assert "left out 1 datum of other types; --data-type spectroscopy writes them" in said
    assert "column brightness has no unit, because its rows have several: AB mag (1), mJy (1)" in said
    assert "could not be read: 2 records (bad_json), the first of them" in said
    assert f"{topic.name}[" in said
    assert len(topic.rows("--data-type", "spectroscopy")) == 1


def test_hermes_messages_are_read_too(topic: Topic) -> None:
    topic.publish(*(case.record for case in CASES.values()), shared(point(0, 18.0)))

    rows = topic.rows()

    assert any(row["source"].startswith("kafka://") for row in rows)
    assert any(row["source"] == TOM.url for row in rows)


def test_only_what_is_wanted_is_written(topic: Topic) -> None:
    other = TargetIdentity(name="SN 2024xyz", type="SIDEREAL")
    topic.publish(shared(point(0, 18.0, bandpass="r"), point(0, 21.0, bandpass="g")), shared(point(0, 17.0), target=other))

    assert [row["brightness"] for row in topic.rows("--where", 'target = "ztf24X" and brightness < 20')] == ["18.0"]
    assert topic.rows("--from", "latest") == []
    assert len(topic.rows("--from", "2026-01-01T00:00Z")) == 3


def test_a_consumer_of_the_topic_is_not_disturbed(topic: Topic) -> None:
    topic.publish(*(shared(point(day, 18.0)) for day in range(3)))
    subscription = Subscription(topic.connection, topics=[topic.name], group="consumer", start="earliest")
    try:
        before = list(taken(subscription, 3))
        topic.export("table.csv")
        topic.publish(shared(point(9, 18.0)))
        after = list(taken(subscription, 1))
    finally:
        subscription.close()

    assert len({(record.partition, record.offset) for record in (*before, *after)}) == 4


def taken(subscription: Subscription, count: int) -> Iterator[Any]:
    end = time.monotonic() + 60
    while count and time.monotonic() < end:
        record = subscription.poll(0.5)
        if record is not None:
            count -= 1
            yield record


def test_a_terminal_is_shown_how_far_it_is(topic: Topic) -> None:
    topic.publish(shared(point(0, 18.0)))
    command = topic.command("export", f"stream:{topic.name}", "--to", "table.csv")

    assert "reading records" in run(command, topic.folder, TTY_COMPATIBLE="1").stderr
    assert run(command, topic.folder, TTY_COMPATIBLE="0").stderr == ""


def test_an_export_that_is_interrupted_leaves_what_was_there(topic: Topic) -> None:
    (topic.folder / "table.csv").write_text("old")
    publish_many(topic, 0, 100)
    command = topic.command("export", f"stream:{topic.name}", "--to", "table.csv")
    process = subprocess.Popen(command, cwd=topic.folder, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not any(path.stat().st_size for path in topic.folder.glob(".table.csv.*")) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _out, complaints = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "table.csv was not written; it stopped after" in complaints
    assert (topic.folder / "table.csv").read_text() == "old"
    assert sorted(path.name for path in topic.folder.iterdir()) == ["bridge.toml", "table.csv"]


def test_a_topic_that_does_not_exist_is_said_and_no_file_is_made(topic: Topic) -> None:
    command = topic.command("export", "stream:nowhere", "--to", "table.csv")

    said = run(command, topic.folder, expected=2).stderr
    assert said.startswith("tom-bridge: stream stream")
    assert "no topic nowhere" in said
    assert [path.name for path in topic.folder.iterdir()] == ["bridge.toml"]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_light_curve_is_drawn_of_all_that_was_shared_under_any_of_its_names(topic: Topic, form: str) -> None:
    under_alias = TargetIdentity(name="ztf24X", type="SIDEREAL")
    topic.publish(
        shared(point(0, 18.0, bandpass="r"), point(1, 18.5, bandpass="g")),
        shared(point(0, 18.0, bandpass="r")),
        shared(point(2, 19.0, bandpass="r"), target=under_alias),
        shared(point(2, 19.0), target=TargetIdentity(name="SN 2024xyz", type="SIDEREAL")),
    )

    done = topic.plot("ZTF24x", f"curve.{form}")

    assert done.stdout == f"3 datums drawn in curve.{form}\n"
    content = (topic.folder / f"curve.{form}").read_bytes()
    assert content.startswith(b"\x89PNG") if form == "png" else b"<svg" in content


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_was_shared_under_another_name_is_drawn_whichever_came_first(topic: Topic, order: tuple[int, ...]) -> None:
    """A target that was renamed: that its old name is an alias, is told by events under the new one alone."""
    events = (
        shared(point(0, 18.0), target=TargetIdentity(name="at-2024-ABC", type="SIDEREAL", primary_key=7)),
        shared(point(0, 18.0), point(1, 18.5), target=TARGET.model_copy(update={"aliases": ("AT 2024abc",)})),
    )
    topic.publish(shared(point(2, 19.0), target=TargetIdentity(name="SN 2024xyz", type="SIDEREAL")))
    for number in order:  # both in one partition, so that they come in this order
        topic.publish(events[number])

    assert topic.plot("SN2024abc", "curve.png").stdout == "2 datums drawn in curve.png\n"


def test_a_target_of_which_nothing_was_shared_is_said(topic: Topic) -> None:
    topic.publish(shared(point(0, 18.0)))

    done = topic.plot("SN 1987A", "curve.png", expected=1)

    assert f"no photometry of SN 1987A on stream:{topic.name}" in done.stderr
    assert not (topic.folder / "curve.png").exists()
