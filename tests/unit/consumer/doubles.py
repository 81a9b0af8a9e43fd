"""Doubles of the consumer's doors; each tells one shared journal what was done, in order. The engine itself is real."""

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from bridge import schemas
from bridge.codecs.native import encode
from bridge.codecs.record import ConsumedRecord, Record, header
from bridge.consumer.gate import Gate
from bridge.consumer.intake import Intake
from bridge.consumer.lanes import Lanes
from bridge.consumer.outcome import Outcome
from bridge.consumer.pipeline import Pipeline
from bridge.consumer.reporting import Reporter
from bridge.consumer.work import Current, Work
from bridge.consumer.workers import Workers
from bridge.events import ShareEvent
from bridge.ledger import Partition, Ticket
from bridge.metrics import Metrics
from bridge.settings import ConsumerSettings
from bridge.tom.written import Written

EVENTS = schemas.example_events()
NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
PATIENCE = 20.0
"""How long anything here may take before a test gives up on it; seconds."""


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def until(condition: Callable[[], object]) -> None:
    """Wait until another thread has got so far."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.001)


def consumed(record: Record, offset: int = 0) -> ConsumedRecord:
    return ConsumedRecord(record=record, topic="tom.shares", partition=0, offset=offset, timestamp_ms=0)


def records_of(*names: str) -> list[ConsumedRecord]:
    """Return records of the examples of those names; ``poison`` is none."""
    made = [
        Record(key=b"k", value=b"{", headers=(("ce_specversion", b"1.0"),)) if name == "poison" else encode(EVENTS[name])
        for name in names
    ]
    return [consumed(record, offset) for offset, record in enumerate(made)]


def target_record(number: int, *, name: str | None = None, partition: int = 0) -> ConsumedRecord:
    """Return a target event of a target of its own, at the offset of its number."""
    event = EVENTS["target_sidereal"]
    text = name or f"SN 2024x{number}"
    target = event.body.target.model_copy(update={"primary_key": number, "name": text, "aliases": ()})  # type: ignore[union-attr]
    own_id = uuid.uuid5(event.id, f"{partition} {number}")
    made = replace(event, id=own_id, body=event.body.model_copy(update={"target": target}))
    return ConsumedRecord(record=encode(made), topic="tom.shares", partition=partition, offset=number, timestamp_ms=0)


def foreign(count: int, *, source: str = "https://other.example.org/") -> list[ConsumedRecord]:
    """Return records of a source that is not accepted; nobody can read their bodies."""
    headers = (("ce_specversion", b"1.0"), ("ce_source", source.encode()), ("ce_type", b"tom.target.shared.v1"))
    return [consumed(Record(key=b"k", value=b"{", headers=(*headers, ("ce_id", b"%d" % n))), n) for n in range(count)]


def work(*keys: str, place: Partition = ("tom.shares", 0), offset: int = 0) -> Work:
    """Return an event in work."""
    event = EVENTS["target_sidereal"]
    ticket = Ticket(place, offset, 0, 0.0)
    return Work(consumed=consumed(encode(event), offset), events=(event,), ticket=ticket, keys=frozenset(keys))


def intake(settings: ConsumerSettings) -> Intake:
    """Return what reads records for a consumer of not-my-tom."""
    url = "https://not-my-tom.org/"
    return Intake(name="not-my-tom", url=url, settings=settings, address=lambda topic: f"kafka://kafka.example.org/{topic}")


def logger(capture: structlog.testing.LogCapture) -> FilteringBoundLogger:
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return made


Answer = Outcome | BaseException | Callable[[Callable[[int], Written] | None], Outcome]


@dataclass
class Wait:
    """What a scripted destination does until a test lets it go on."""

    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    answer: Outcome | BaseException = field(default_factory=lambda: Outcome(end="written"))

    def __call__(self, _so_far: object) -> Outcome:
        self.begun.set()
        assert self.go.wait(PATIENCE)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class World:
    """Records, destination and dead letters in memory, around a real engine.

    Parameters
    ----------
    records
        What the topic holds.
    answers
        What the destination does with each event in turn: an outcome, an exception to raise, or what returns an outcome. The
        last one stays.
    probes
        What probes of the destination raise, in turn; None: it is there. Behind the last one it is.
    threads
        How many workers there are; with one, everything happens in one order.
    """

    def __init__(
        self,
        records: Iterable[ConsumedRecord],
        answers: Iterable[Answer] = (),
        *,
        probes: Iterable[Exception | None] = (),
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
        chance: float = 0.0,
        retry_seconds: float = 900.0,
        **settings: Any,
    ) -> None:
        self.journal: list[tuple[str, Any]] = []
        self.waiting = list(records)
        self.answers = list(answers) or [Outcome(end="written")]
        self.probes = list(probes)
        self.commit_answers: list[bool | Exception] = []
        self.letter_answers: list[Exception | None] = []
        self.poll_answers: list[Exception] = []
        self.committed: dict[Partition, int] = {}
        self.letters: list[tuple[int, str]] = []
        self.assigned: list[Partition] = [("tom.shares", 0)]
        self.is_member = True
        self.is_broker_there = True
        self.on_revoke: Callable[[list[Partition]], None] = lambda _partitions: None
        self.on_lost: Callable[[list[Partition]], None] = lambda _partitions: None
        self.on_poll: Callable[[], None] = lambda: None
        self.on_rest: Callable[[], None] = lambda: None
        self.on_empty: Callable[[], None] = lambda: None
        self.capture = structlog.testing.LogCapture()
        self.log = logger(self.capture)
        self.places = {header(one.record.headers, "ce_id"): one.offset for one in self.waiting}
        self.current = Current()
        self.marks: list[Mapping[str, str]] = []
        self.metrics = Metrics(destination="not-my-tom")
        self.lanes = Lanes(clock=clock)
        self.settings = ConsumerSettings(
            subscribe=["s:tom.shares"], accept_sources=["https://tom.example.org/"], max_parallel=threads, **settings
        )
        self.clock = clock
        self.gate = Gate(
            probe=self._probe, most=threads, log=self.log, on_change=lambda _up: None, clock=clock, chance=lambda: chance
        )
        self.workers = Workers(
            lanes=self.lanes, gate=self.gate, destination=self, current=self.current, number=threads,
            retry_seconds=retry_seconds, log=self.log, clock=clock, chance=lambda: chance,
        )  # fmt: skip
        self._lock = threading.Lock()

    # what the pipeline asks of its records
    @property
    def drained(self) -> bool:
        return not self.waiting

    def lag(self, _partition: Partition, _after: int | None, /) -> int | None:
        return len(self.waiting)

    def poll(self, _timeout_seconds: float, /) -> ConsumedRecord | None:
        self.on_poll()
        if self.poll_answers:
            raise self.poll_answers.pop(0)
        if not self.waiting:
            self.on_empty()
            time.sleep(0.001)  # as a real one blocks
            return None
        return self.waiting.pop(0)

    def rest(self, _timeout_seconds: float, /) -> None:
        self.note("rest", None)
        self.on_rest()

    def rejoin(self) -> None:
        self.note("rejoin", None)

    def commit(self, offsets: Mapping[Partition, int], /) -> bool:
        answer = self.commit_answers.pop(0) if self.commit_answers else True
        self.note("commit" if answer is True else "commit failed", dict(offsets))
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.committed |= offsets
        return answer

    # what it asks of its destination
    def note_refused(self, event: ShareEvent, /) -> None:
        self.journal.append(("refused", event.type))

    def write(
        self, event: ShareEvent, /, *, only: Collection[int] | None = None, so_far: Callable[[int], Written] | None = None
    ) -> Outcome:
        assert only is None
        with self._lock:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.journal.append(("write", self.places[str(event.id).encode()]))
            self.marks.append(self.current.headers())
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Outcome) else answer(so_far)

    def _probe(self) -> None:
        self.note("probe", None)
        answer = self.probes.pop(0) if self.probes else None
        if answer is not None:
            raise answer

    # what it asks of its dead letters
    def add(self, record: ConsumedRecord, outcome: Outcome, /, *, now: datetime, attempts: int) -> None:
        answer = self.letter_answers.pop(0) if self.letter_answers else None
        if answer is not None:
            self.note("letter failed", record.offset)
            raise answer
        assert now == NOW
        assert attempts >= 1
        self.note("letter", (record.offset, outcome.reason))
        self.letters.append((record.offset, outcome.reason))

    def note(self, what: str, about: Any) -> None:
        with self._lock:
            self.journal.append((what, about))

    def did(self, *kinds: str) -> list[tuple[str, Any]]:
        """Return what was done of these kinds, in order."""
        return [entry for entry in self.journal if entry[0] in kinds]

    def pipeline(self, *, dry_run: bool = False, each: bool = False, **about: Any) -> Pipeline:
        return Pipeline(
            intake=intake(self.settings),
            settings=self.settings,
            records=self,
            dead_letters=None if dry_run else self,
            lanes=self.lanes,
            gate=self.gate,
            workers=self.workers,
            reporter=Reporter(destination="not-my-tom", log=self.log, metrics=self.metrics, each=each),
            metrics=self.metrics,
            log=self.log,
            now=lambda: NOW,
            clock=self.clock,
            **about,
        )
