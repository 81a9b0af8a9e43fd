"""What ``tail`` says of the topic itself: a broker that is away and back, and records that were gone before they were read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bridge.cli import app, observing
from bridge.codecs.native import encode
from bridge.codecs.record import ConsumedRecord, Record
from bridge.errors import BridgeError, Retryable
from bridge.schemas import example_events

Step = ConsumedRecord | str
RECORD = encode(example_events()["target_sidereal"])


def consumed(record: Record = RECORD) -> ConsumedRecord:
    return ConsumedRecord(record=record, topic="tom.shares", partition=0, offset=7, timestamp_ms=1)


class Scripted:
    """Follows a topic as a test says: records, ``idle``, ``away``, ``back``, or how many records are dropped."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps
        self.trouble: BridgeError | None = None
        self.passed_over = 0

    def records(self, *, drain: bool, idle: Callable[[], None]) -> Iterator[ConsumedRecord]:
        for step in self._steps:
            if isinstance(step, ConsumedRecord):
                yield step
            elif step == "idle":
                idle()
            elif step.isdecimal():
                self.passed_over += int(step)
            else:
                self.trouble = Retryable("stream s: it cannot be reached") if step == "away" else None

    def close(self) -> None: ...


@pytest.fixture
def tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on what a test says that the topic does."""
    (tmp_path / "bridge.toml").write_text('[DATA_SHARING.s]\nBASE_URL = "kafka://127.0.0.1:1/"\n')
    monkeypatch.chdir(tmp_path)

    def run(*steps: Step, options: tuple[str, ...] = ()) -> Result:
        monkeypatch.setattr(observing, "Following", lambda *_args, **_about: Scripted(*steps))
        return CliRunner().invoke(app, ["tail", "s:tom.shares", *options])

    return run


def test_records_that_the_topic_dropped_are_counted_once_each(tail: Callable[..., Result]) -> None:
    done = tail("1", "idle", "idle", "1500", consumed(), "idle")

    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "warning: the topic has dropped 1 record before they could be read",
        "warning: the topic has dropped 1,500 records before they could be read",
    ]


def test_they_are_told_too_if_nothing_is_waited_for_after_them(tail: Callable[..., Result]) -> None:
    done = tail("3", consumed(), options=("--drain",))

    assert done.stderr == "warning: the topic has dropped 3 records before they could be read\n"
    assert "SN 2024abc" in done.stdout


def test_a_broker_that_is_away_and_back_is_told_once_each(tail: Callable[..., Result]) -> None:
    done = tail("away", "idle", "idle", "back", "idle", "idle")

    assert done.stderr.splitlines() == [
        "warning: stream s: it cannot be reached; waiting for the broker",
        "the broker is back",
    ]


def test_what_nobody_can_read_stays_on_its_line_in_formats_for_programs(tail: Callable[..., Result]) -> None:
    forged = Record(key=None, value=b"{}", headers=tuple((name, b"x\nwarning: forged") for name, _value in RECORD.headers))
    done = tail(consumed(forged), options=("--format", "jsonl"))

    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
