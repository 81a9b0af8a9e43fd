"""The consumer's loop: take a record, decide, write, and only then commit."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from itertools import count
from threading import Event as Signal
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from bridge.codecs import native
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.admission import admit
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.errors import BridgeError, Poison, Retryable
from bridge.events import ShareEvent
from bridge.settings import ConsumerSettings

__all__ = ["Letters", "Pipeline", "Records", "Writes"]

POLL_SECONDS = 0.5
"""How long one look for a record blocks; a stop is noticed within it."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Pauses while the destination is away double from the first to the longest."""
DRAIN_ATTEMPTS = 5
"""A drain gives up on a destination that is away after so many attempts, since somebody waits for it."""


class Records(Protocol):
    """Where records come from: `bridge.kafka.subscription.Subscription`."""

    @property
    def drained(self) -> bool:
        """Whether the present end is reached."""

    def poll(self, timeout_seconds: float, /) -> ConsumedRecord | None:
        """Return the next record, or None."""

    def hold(self, seconds: float, /, *, until: Callable[[], bool]) -> None:
        """Stay a member of the group for some seconds without taking records."""

    def owns(self, record: ConsumedRecord, /) -> bool:
        """Whether the record's partition is still this member's."""

    def commit(self, record: ConsumedRecord, /) -> bool:
        """Commit everything up to and including the record; False if its partition is no longer this member's."""


class Writes(Protocol):
    """Where admitted events go: `bridge.consumer.destination.Destination`."""

    def write(self, event: ShareEvent, /, *, only: Collection[int] | None = None) -> Outcome:
        """Write an event; or, of its datums, only those with these numbers."""


class Letters(Protocol):
    """Where dead letters go: `bridge.consumer.dead_letters.DeadLetters`."""

    def add(self, consumed: ConsumedRecord, outcome: Outcome, /, *, now: datetime, attempts: int) -> None:
        """Publish a dead letter and wait until the broker has it."""


class Pipeline:
    """One consumer service.

    Parameters
    ----------
    name, url
        The destination: the consumer's name and the TOM's URL.
    settings
        What it may do.
    records, destination, dead_letters
        Its doors; without ``dead_letters`` (a dry run) nothing is published, and nothing is committed.
    now
        The time of day, in UTC.
    log
        Where the line of each event goes.
    on_event
        Told the event that is being worked on, or None after it; marks the requests.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        settings: ConsumerSettings,
        records: Records,
        destination: Writes,
        dead_letters: Letters | None,
        now: Callable[[], datetime],
        log: FilteringBoundLogger,
        on_event: Callable[[ShareEvent | None], None] = lambda _event: None,
    ) -> None:
        self._name = name
        self._url = url
        self._settings = settings
        self._records = records
        self._destination = destination
        self._dead_letters = dead_letters
        self._now = now
        self._log = log
        self._on_event = on_event
        self._gone = 0
        self.stop = Signal()
        self.ends: Counter[str] = Counter()

    def run(self, *, drain: bool = False, on_record: Callable[[int], None] = lambda _number: None) -> Counter[str]:
        """Consume until `stop` is set, or, for a drain, until the topics' present end.

        Parameters
        ----------
        drain
            Whether to end there.
        on_record
            Called with the number of records done, for progress.

        Returns
        -------
        Counter
            How many records came to which end.

        Raises
        ------
        BridgeError
            If going on makes no sense. What was not committed comes again at the next start.
        """
        while not self.stop.is_set():
            consumed = self._records.poll(POLL_SECONDS)
            if consumed is None:
                if drain and self._records.drained:
                    break
                continue
            self._finish(consumed, drain=drain)
            on_record(self.ends.total())
            if drain and self._records.drained:
                break
        if drain and self._gone:
            raise Retryable(f"{self._gone} records went to another member before they were committed; drain again")
        return self.ends

    def _finish(self, consumed: ConsumedRecord, *, drain: bool) -> None:
        """Bring one record to its end, however often it takes, and commit it."""
        started, attempt = time.monotonic(), 1
        while True:
            try:
                event, outcome = self._handle(consumed)
                break
            except Retryable as error:
                if drain and (attempt >= DRAIN_ATTEMPTS or (error.retry_after or 0.0) > LONGEST_PAUSE_SECONDS):
                    raise
                self._pause(error, attempt)
                if self.stop.is_set() or not self._records.owns(consumed):
                    return
                attempt += 1
        if self._dead_letters is not None:
            if outcome.is_dead_letter:
                self._dead_letters.add(consumed, outcome, now=self._now(), attempts=attempt)
            self._commit(consumed, drain=drain)
        self.ends[outcome.end] += 1
        self._say(consumed, event, outcome, attempt=attempt, seconds=time.monotonic() - started)

    def _commit(self, consumed: ConsumedRecord, *, drain: bool) -> None:
        """Commit a record, through a restart of the broker if need be."""
        for attempt in count(1):
            try:
                committed = self._records.commit(consumed)
            except Retryable as error:
                if drain and attempt >= DRAIN_ATTEMPTS:
                    raise
                self._pause(error, attempt)
                if self.stop.is_set():
                    return
            else:
                if not committed:
                    self._log.warning("partition went to another member before the commit", place=consumed.place)
                    self._gone += 1
                return

    def _pause(self, error: Retryable, attempt: int) -> None:
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
        pause = max(pause, error.retry_after or 0.0)
        self._log.warning("waiting", why=error.detail, attempt=attempt, pause_seconds=pause)
        self._records.hold(pause, until=self.stop.is_set)

    def _handle(self, consumed: ConsumedRecord) -> tuple[ShareEvent | None, Outcome]:
        try:
            event = native.decode(consumed.record)
        except Poison as error:
            return None, refused(error.reason, error.detail)
        except native.Ignored as error:
            return None, skipped("reserved_type", str(error))
        passed_over = admit(event, name=self._name, url=self._url, settings=self._settings)
        if passed_over is not None:
            return event, passed_over
        self._on_event(event)
        try:
            return event, self._destination.write(event)
        except BridgeError:
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours must not hold up everything behind this one event
            self._log.exception("internal error", place=consumed.place)
            return event, refused("internal_error", f"the bridge failed on it ({type(error).__name__}); please report the log")
        finally:
            self._on_event(None)

    def _say(
        self, consumed: ConsumedRecord, event: ShareEvent | None, outcome: Outcome, *, attempt: int, seconds: float
    ) -> None:
        """Log the one line of this record."""
        line: dict[str, object] = {
            "topic": consumed.topic,
            "partition": consumed.partition,
            "offset": consumed.offset,
            "destination": self._name,
            "outcome": outcome.end,
            "attempts": attempt,
            "ms": round(seconds * 1000),
        }
        if event is not None:
            line |= {"event_id": str(event.id), "type": event.type, "source": event.source, "about": event.body.subject}
        if outcome.reason:
            line |= {"reason": outcome.reason}
        if outcome.detail:
            line |= {"detail": outcome.detail}
        if outcome.written is not None:
            line |= {
                "target": outcome.written.target_id,
                "written": outcome.written.written,
                "present": outcome.written.present,
            }
            if outcome.written.notes:
                line |= {"notes": outcome.written.notes[:20]}
        (self._log.warning if outcome.is_dead_letter else self._log.info)("event", **line)
