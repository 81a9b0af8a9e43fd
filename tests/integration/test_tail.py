"""``tom-bridge tail`` against Apache Kafka: every place to begin, every format, beside others, and through a broker's death."""

import csv
import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from bridge.codecs import native
from bridge.codecs.native import to_structured
from bridge.codecs.record import Record
from bridge.events import ShareEvent, Target, TargetShared, TomIdentity
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.subscription import Subscription
from bridge.schemas import example_events
from bridge.settings import StreamEntry
from tests.support.hermes_corpus import CASES
from tests.support.kafka import ApacheKafka
from tests.support.publishing import publisher_to
from tests.support.waiting import wait_for

TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
EXAMPLES = list(example_events().values())
HEADING = "time (UTC)"
_numbers = itertools.count()


def target(name: str) -> ShareEvent:
    return native.new_event(
        TargetShared(tom=TOM, target=Target(name=name, type="SIDEREAL", ra=1.0, dec=2.0)), now=datetime.now(UTC)
    )


@dataclass(frozen=True)
class Topic:
    """A topic of the test's own, and how the command line and the test reach it."""

    name: str
    config: Path
    connection: Connection

    def publish(self, *events: ShareEvent | Record) -> None:
        records = [event if isinstance(event, Record) else native.encode(event) for event in events]
        publisher_to(f"kafka://{self.connection.bootstrap}/").publish(self.name, records)

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "bridge", "tail", f"stream:{self.name}", "--config", str(self.config), *options]

    def tail(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it until it ends by itself."""
        return subprocess.run(self.command(*options), capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT)

    def drain(self, *options: str) -> list[str]:
        """Return the lines that it prints of the whole topic."""
        done = self.tail("--from", "earliest", "--drain", *options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm"}


def make_topic(kafka: ApacheKafka, folder: Path, partitions: int = 1) -> Topic:
    name = f"tail.{next(_numbers)}"
    kafka.create_topic(name, partitions)
    url = f"kafka://{kafka.bootstrap}/"
    config = folder / "bridge.toml"
    config.write_text(f'[DATA_SHARING.stream]\nBASE_URL = "{url}"\n')
    return Topic(name, config, connect_settings("stream", StreamEntry(BASE_URL=url)))


@pytest.fixture
def topic(apache_kafka: ApacheKafka, tmp_path: Path) -> Topic:
    return make_topic(apache_kafka, tmp_path)


class Live:
    """A tail that runs, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self._threads = [
            threading.Thread(target=lambda: self.lines.extend(iter(process.stdout.readline, "")), daemon=True),  # type: ignore[union-attr]
            threading.Thread(target=lambda: self.complaints.extend(iter(process.stderr.readline, "")), daemon=True),  # type: ignore[union-attr]
        ]
        for thread in self._threads:
            thread.start()

    @property
    def names(self) -> list[str]:
        """Names of the targets of which it has said something, in a table or in JSON."""
        found = [re.findall(r'"name": "(T\d+)"|  (T\d+)', line) for line in self.lines]
        return ["".join(names[0]) for names in found if names]

    def interrupt(self) -> int:
        """Press Ctrl-C, and return how it ended."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.join()
        return self.process.returncode

    def join(self) -> None:
        """Wait for what it printed last."""
        for thread in self._threads:
            thread.join(10)


@contextmanager
def live(topic: Topic, *options: str) -> Iterator[Live]:
    command = topic.command(*options)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is started in the background ignores it, and so would the tail
    try:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    finally:
        signal.signal(signal.SIGINT, before)
    with started as process:
        tail = Live(process)
        try:
            wait_for(lambda: tail.lines, "the heading, which says that it reads", seconds=30)
            yield tail
        finally:
            process.kill()
            tail.join()


# --- where it begins


def test_it_begins_at_the_beginning_the_end_or_a_time(topic: Topic) -> None:
    topic.publish(target("T1"), target("T2"))
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)
    topic.publish(target("T3"))

    def names(start: str) -> list[str]:
        return [
            json.loads(line)["subject"]
            for line in topic.tail("--from", start, "--drain", "--format", "jsonl").stdout.splitlines()
        ]

    assert names("earliest") == ["T1", "T2", "T3"]
    assert names(between.isoformat()) == ["T3"]
    assert names(f"{between:%Y-%m-%dT%H:%M:%S.%f}") == ["T3"]
    assert names("latest") == []


def test_live_it_shows_what_comes_and_ends_quietly_at_ctrl_c(topic: Topic) -> None:
    topic.publish(target("T1"))
    with live(topic) as tail:
        topic.publish(target("T2"))
        published = time.monotonic()
        wait_for(lambda: tail.names, "the event", seconds=10, every=0.02)
        took = time.monotonic() - published
        code = tail.interrupt()

    assert tail.names == ["T2"]
    assert took < 2.0
    assert (code, tail.complaints) == (0, [])
    assert tail.lines[0].startswith(HEADING)


# --- formats


def test_json_lines_are_the_events_and_can_be_published_again(topic: Topic, apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    topic.publish(*EXAMPLES)
    lines = topic.drain("--format", "jsonl")
    assert [json.loads(line) for line in lines] == [json.loads(to_structured(event)) for event in EXAMPLES]

    (tmp_path / "other").mkdir()
    other = make_topic(apache_kafka, tmp_path / "other")
    command = [sys.executable, "-m", "bridge", "publish", "-", "--to", f"stream:{other.name}", "--config", str(other.config)]
    subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60, env=ENVIRONMENT)
    assert other.drain("--format", "jsonl") == lines


def test_csv_has_a_row_for_each_datum(topic: Topic) -> None:
    topic.publish(*EXAMPLES)
    rows = list(csv.DictReader(io.StringIO("\n".join(topic.drain("--format", "csv")))))

    assert [row["type"] for row in rows] == ["target", "target", "target_list"] + ["reduced_datums"] * 5 + ["data_product"] * 2
    assert [row["brightness"] for row in rows if row["bandpass"] == "r"] == ["18.25", "18.25", "18.31"]


def test_the_table_has_a_line_for_each_event(topic: Topic) -> None:
    topic.publish(*EXAMPLES)
    cells = [re.split(r"  +", line) for line in topic.drain()]

    assert cells[0] == ["time (UTC)", "source", "type", "target", "datums", "latest brightness"]
    assert cells[4][1:] == ["tom.example.org", "reduced_datums", "SN 2024abc", "5", "r 18.25 ± 0.05 AB mag"]
    assert len(cells) == 1 + len(EXAMPLES)


def test_hermes_messages_stand_beside_share_events(topic: Topic) -> None:
    topic.publish(CASES["normal_form"].record, target("T1"))
    [hermes, *rest, ours] = [json.loads(line) for line in topic.drain("--format", "jsonl")]

    assert hermes["source"] == f"kafka://{topic.connection.bootstrap}/{topic.name}"
    assert {event["type"].split(".")[1] for event in (hermes, *rest)} <= {"target", "reduced_datums"}
    assert ours["source"] == "https://my-tom.org/"


def test_a_filter_shows_what_matches_and_a_wrong_one_where_it_is_wrong(topic: Topic) -> None:
    topic.publish(*EXAMPLES, Record(key=None, value=b"{", headers=()))
    [limit] = [
        json.loads(line) for line in topic.drain("--format", "jsonl", "--where", 'type = reduced_datums and bandpass = "g"')
    ]
    wrong = topic.tail("--where", "bandpas = g")

    assert [datum["limit"] for datum in limit["data"]["datums"]] == [20.5]
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean bandpass?\n  bandpas = g\n  ^" in wrong.stderr


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_nobody_can_read_is_a_warning_where_programs_read(topic: Topic, form: str) -> None:
    topic.publish(target("T1"), Record(key=None, value=b"{", headers=()), target("T2"))
    done = topic.tail("--from", "earliest", "--drain", "--format", form)

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == (3 if form == "csv" else 2)
    assert done.stderr.startswith(f"warning: {topic.name}[0]@1: no_headers: ")


def test_what_nobody_can_read_is_a_line_of_the_table(topic: Topic) -> None:
    topic.publish(Record(key=None, value=b"{", headers=()))
    [_heading, line] = topic.drain()

    assert re.split(r"  +", line)[1:3] == ["unreadable", f"{topic.name}[0]@0"]


HOSTILE = "T\x1b[2J\x1b]0;pwn\x07\x9b31m\r\nforged\u202e"


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_on_a_terminal_nothing_of_a_message_is_obeyed(topic: Topic, form: str) -> None:
    named = Target.model_construct(
        **(Target(name="x", type="SIDEREAL").model_dump() | {"name": HOSTILE, "aliases": (HOSTILE,)})
    )
    event = native.new_event(TargetShared.model_construct(tom=TOM, target=named, title=HOSTILE), now=datetime.now(UTC))
    unknown = tuple((name, b"\x1b[31m" if name == "ce_type" else value) for name, value in native.encode(EXAMPLES[0]).headers)
    topic.publish(event, Record(key=None, value=b"{}", headers=unknown))
    shown = on_a_terminal(topic.command("--from", "earliest", "--drain", "--format", form))
    without_colours = re.sub(r"\x1b\[[\d;]*m(?=warning|:|\s|$)|\x1b\[0m", "", shown)  # the warning's own

    assert [char for char in without_colours if not char.isprintable() and char not in "\r\n"] == []
    assert "[2J" in shown
    assert not re.search(r"^forged", shown, flags=re.MULTILINE)


def on_a_terminal(command: list[str]) -> str:
    """Return what a command writes to a terminal of 100 columns."""
    ours, its = pty.openpty()
    process = subprocess.Popen(command, stdout=its, stderr=its, env=ENVIRONMENT | {"COLUMNS": "100"})
    os.close(its)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    return written.decode()


# --- how it ends


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_a_reader_that_has_seen_enough_ends_it_without_a_word(topic: Topic, form: str) -> None:
    """As with ``tail ... | head -1``, also if nothing more comes."""
    topic.publish(*(target(f"T{number}") for number in range(2_000)))
    command = topic.command("--from", "earliest", "--format", form)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert process.stderr.read() == ""
        assert process.wait(30) == 0


def test_a_topic_that_is_not_there_is_a_sentence(topic: Topic) -> None:
    done = subprocess.run(
        [*topic.command()[:4], "stream:nowhere", "--config", str(topic.config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "no topic nowhere" in done.stderr


# --- beside others


def test_two_observers_and_a_consumer_do_not_disturb_each_other(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    topic = make_topic(apache_kafka, tmp_path, partitions=3)
    group, taken_away, consumed = f"consumer of {topic.name}", list[Any](), dict[int, int]()
    topic.publish(*(target(f"T{number}") for number in range(20)))
    subscription = Subscription(
        topic.connection,
        topics=[topic.name],
        group=group,
        start="earliest",
        on_revoke=taken_away.append,
        on_lost=taken_away.append,
    )
    with closing(subscription):

        def consume_until(count: int) -> Callable[[], bool]:
            def step() -> bool:
                record = subscription.poll(0.1)
                if record is not None:
                    consumed[record.partition] = consumed.get(record.partition, 0) + 1
                    assert subscription.commit({(topic.name, record.partition): record.next_offset})
                return sum(consumed.values()) >= count

            return step

        wait_for(consume_until(10), "the consumer has begun", every=0)
        with live(topic, "--from", "earliest") as one, live(topic, "--from", "latest") as other:
            topic.publish(*(target(f"T{number}") for number in range(20, 40)))
            wait_for(consume_until(40), "the consumer has everything", every=0)
            wait_for(lambda: len(one.names) >= 40 and len(other.names) >= 20, "the observers have everything")
            assert (one.interrupt(), other.interrupt()) == (0, 0)
        assert taken_away == []
        assert subscription.is_member

    assert sorted(one.names) == sorted(f"T{number}" for number in range(40))
    assert sorted(other.names) == sorted(f"T{number}" for number in range(20, 40))
    assert sum(consumed.values()) == 40
    admin = apache_kafka.admin
    groups = [listed.group_id for listed in admin.list_consumer_groups().result(30).valid]
    assert group in groups
    assert [name for name in groups if "following" in name] == []


def test_the_right_to_read_the_topic_is_all_that_it_needs(apache_kafka: ApacheKafka, topic: Topic) -> None:
    apache_kafka.add_user("observer", "secret-of-observer")
    apache_kafka.allow("observer", topics={topic.name: [AclOperation.READ]})
    topic.publish(target("T1"))
    topic.config.write_text(
        f'[DATA_SHARING.stream]\nBASE_URL = "kafka://{apache_kafka.sasl_bootstrap}/"\nUSERNAME = "observer"\n'
        f'PASSWORD = "secret-of-observer"\nSSL_CA_LOCATION = "{apache_kafka.ca_pem}"\n'
    )

    assert len(topic.drain()) == 2


def test_a_broker_that_dies_is_waited_for_and_nothing_is_missed(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    kafka = ApacheKafka(tmp_path / "kafka", apache_kafka.libs)
    kafka.start()
    try:
        topic = make_topic(kafka, tmp_path, partitions=2)
        with live(topic) as tail:
            topic.publish(*(target(f"T{number}") for number in range(10)))
            wait_for(lambda: len(tail.names) == 10, "what came before")
            kafka.kill()
            wait_for(
                lambda: any("waiting for the broker" in line for line in tail.complaints), "it says that the broker is away"
            )
            kafka.start()
            topic.publish(*(target(f"T{number}") for number in range(10, 20)))
            wait_for(lambda: len(tail.names) >= 20, "what came after")
            wait_for(lambda: any("the broker is back" in line for line in tail.complaints), "it says that the broker is back")
            assert tail.interrupt() == 0
    finally:
        kafka.stop()

    assert sorted(tail.names) == sorted(f"T{number}" for number in range(20))
    assert len(tail.complaints) == 2
