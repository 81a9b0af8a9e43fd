"""Doubles of the pipeline's three doors; each tells one shared journal what was done, in order."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import structlog

from bridge import schemas
from bridge.codecs.native import encode
from bridge.codecs.record import ConsumedRecord, Record
from bridge.consumer.outcome import Outcome
from bridge.consumer.pipeline import Pipeline
from bridge.events import ShareEvent
from bridge.settings import ConsumerSettings

EVENTS = schemas.example_events()
NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)


def consumed(record: Record, offset: int = 0) -> ConsumedRecord:
    return ConsumedRecord(record=record, topic="tom.shares", partition=0, offset=offset, timestamp_ms=0)


def records_of(*names: str) -> list[ConsumedRecord]:
    """Return records of the examples of those names; ``poison`` is none."""
    made = [
        Record(key=b"k", value=b"{", headers=(("ce_specversion", b"1.0"),)) if name == "poison" else encode(EVENTS[name])
        for name in names
    ]
    return [consumed(record, offset) for offset, record in enumerate(made)]


class World:
    """Records, destination and dead letters in memory.

    Parameters
    ----------
    records
        What the topic holds.
    answers
        What the destination does with each event in turn: an outcome, or an exception to raise. The last one stays.
    """

    def __init__(self, records: Iterable[ConsumedRecord], answers: Iterable[Outcome | Exception] = ()) -> None:
        self.journal: list[tuple[str, Any]] = []
        self._waiting = list(records)
        self._answers = list(answers) or [Outcome(end="written")]
        self.lost_while_holding = False
        self.commit_answers: list[bool | Exception] = []
        self.letter_refusal: Exception | None = None
        self.on_hold: Callable[[], None] = lambda: None
        self.log = structlog.testing.LogCapture()

    # what the pipeline asks of its records
    @property
    def drained(self) -> bool:
        return not self._waiting

    def poll(self, _timeout_seconds: float) -> ConsumedRecord | None:
        return self._waiting.pop(0) if self._waiting else None

    def hold(self, seconds: float, *, until: Callable[[], bool]) -> None:
        self.journal.append(("hold", seconds))
        self.on_hold()
        assert until() in {True, False}

    def owns(self, _record: ConsumedRecord) -> bool:
        return not self.lost_while_holding

    def commit(self, record: ConsumedRecord) -> bool:
        if self.commit_answers:
            answer = self.commit_answers.pop(0)
            if isinstance(answer, Exception):
                self.journal.append(("commit failed", record.offset))
                raise answer
            return answer
        self.journal.append(("commit", record.offset))
        return True

    # what it asks of its destination
    def write(self, event: ShareEvent) -> Outcome:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.journal.append(("write", event.type))
        if isinstance(answer, Exception):
            raise answer
        return answer

    # what it asks of its dead letters
    def add(self, record: ConsumedRecord, outcome: Outcome, *, now: datetime, attempts: int) -> None:
        if self.letter_refusal is not None:
            raise self.letter_refusal
        assert now == NOW
        assert attempts >= 1
        self.journal.append(("letter", (record.offset, outcome.reason)))

    def pipeline(self, *, dry_run: bool = False, **about: Any) -> Pipeline:
        return Pipeline(
            name="not-my-tom",
            url="https://not-my-tom.org/",
            settings=ConsumerSettings(subscribe=["s:tom.shares"], accept_sources=["https://tom.example.org/"]),
            records=self,
            destination=self,
            dead_letters=None if dry_run else self,
            now=lambda: NOW,
            log=structlog.wrap_logger(
                structlog.PrintLogger(), processors=[self.log], wrapper_class=structlog.make_filtering_bound_logger(0)
            ),
            **about,
        )
