"""Publishing the outbox: sealed events of one destination, in order, each marked when the broker has it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.db.models import F
from django.utils import timezone

from bridge.emitter.configuration import Stream
from bridge.emitter.models import OutboxEvent
from bridge.emitter.ways import Way, open_way, place_of
from bridge.errors import BridgeError, Halt, Rejected, Retryable
from bridge.settings import StreamTopic

__all__ = ["Outlet"]

MOST_IN_FLIGHT = 1_000
MOST_BYTES_IN_FLIGHT = 20_000_000
"""So many events, and so many bytes, are with the broker unconfirmed."""
SILENCE_SECONDS = 5.0
"""When the broker has confirmed nothing for so long, it is said to be away."""
LONGEST_PAUSE_SECONDS = 60.0
"""Longest pause after a failure; the first is a second, and each is twice as long as the one before."""

_log = logging.getLogger(__name__)


class Outlet:
    """Publishes what waits for one destination. Call `pump` again and again; only `wait` and `close` wait for the broker.

    A record waits for its broker as long as that takes, so none is overtaken by a later one. After any failure everything
    unconfirmed is given up and published again from the first on: the broker may then have an event twice, with one id.

    Parameters
    ----------
    stream, destination
        Where to.
    clock
        Seconds that only ever grow.
    """

    def __init__(self, stream: Stream, destination: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._topic = StreamTopic.parse(destination).topic
        self._stream = stream
        self._clock = clock
        self._batches = True
        self._publisher = self._new_publisher()
        self._in_flight: dict[int, int] = {}
        self._last_sent = 0
        self._delivered: list[int] = []
        self._failures: list[tuple[int, BridgeError]] = []
        self._pause = 1.0
        self._not_before = 0.0
        self._heard = clock()
        self.trouble = ""
        """Why nothing gets through at present, or an empty string."""
        self.published = 0
        """How many events the broker has confirmed."""

    @property
    def busy(self) -> bool:
        """Whether anything is with the broker unconfirmed."""
        return bool(self._in_flight)

    def pump(self) -> None:
        """Hand over what waits, take in what was confirmed, and mark it."""
        self._publisher.serve(0)
        self._mark()  # first, or what was just confirmed would be sent again
        if self._clock() >= self._not_before:
            self._send()
        if self._failures:
            self._recover()
        elif self._in_flight and self._clock() - self._heard > SILENCE_SECONDS:
            trouble = self._publisher.trouble(self._topic)
            self._say(str(trouble or f"{place_of(self._stream)}: no answer"))

    def wait(self, seconds: float) -> None:
        """Wait for a confirmation, at most so long."""
        self._publisher.serve(seconds)

    def close(self, seconds: float) -> None:
        """Wait so long at most for confirmations, mark what is confirmed, and leave the rest in the outbox."""
        deadline = self._clock() + seconds
        while self._in_flight and not self._failures and self._clock() < deadline:
            self._publisher.serve(0.1)
        self._publisher.abandon()
        self._mark()

    def discard(self) -> None:
        """Give up what is with the broker unconfirmed, and mark nothing: another relay may be at work by now."""
        self._publisher.abandon()

    def _new_publisher(self) -> Way:
        return open_way(self._stream, batches=self._batches)

    def _send(self) -> None:
        room = MOST_BYTES_IN_FLIGHT - sum(self._in_flight.values())
        if not self._in_flight:
            self._last_sent, self._heard = 0, self._clock()
        if len(self._in_flight) >= MOST_IN_FLIGHT or room <= 0:
            return
        waiting = OutboxEvent.objects.filter(destination=self._destination, published_at=None, refused=False)
        rows = waiting.filter(pk__gt=self._last_sent).order_by("pk")[: MOST_IN_FLIGHT - len(self._in_flight)]
        for row in rows.iterator(chunk_size=20):
            record = row.record
            try:
                taken = self._publisher.send(self._topic, record, self._report(row.pk))
            except BridgeError as error:
                self._failures.append((row.pk, error))
                return
            if not taken:
                return
            self._in_flight[row.pk] = record.size
            self._last_sent = row.pk
            room -= record.size
            if room <= 0:
                return

    def _report(self, pk: int) -> Callable[[BridgeError | None], None]:
        def report(error: BridgeError | None) -> None:
            self._in_flight.pop(pk, None)
            self._heard = self._clock()
            if error is None:
                self._delivered.append(pk)
            else:
                self._failures.append((pk, error))

        return report

    def _mark(self) -> None:
        if self._delivered:
            marked, self._delivered = self._delivered, []
            OutboxEvent.objects.filter(pk__in=marked).update(published_at=timezone.now(), last_error="")
            self.published += len(marked)
            self._pause = 1.0
            if self.trouble:
                _log.info("%s: events get through again", self._destination)
                self.trouble = ""

    def _recover(self) -> None:
        """Begin again at the first event that is not confirmed; an event that can never go stands aside."""
        pk, error = self._failures[0]
        self._publisher.abandon()
        self._mark()
        self._failures.clear()
        self._in_flight.clear()
        row = OutboxEvent.objects.filter(pk=pk)
        too_large = isinstance(error, Halt) and error.reason == "too_large_for_topic"
        if too_large and self._batches:
            # The topic's limit holds for all that go together, small ones too: from now on each event goes by itself.
            self._batches = False
        elif too_large or isinstance(error, Rejected):
            row.update(refused=True, attempts=F("attempts") + 1, last_error=str(error))
            _log.error("%s: event %s is set aside: %s", self._destination, pk, error)
        else:
            row.update(attempts=F("attempts") + 1, last_error=str(error))
            self._say(str(error))
            asked_for = error.retry_after if isinstance(error, Retryable) else None
            self._not_before = self._clock() + max(self._pause, min(asked_for or 0.0, LONGEST_PAUSE_SECONDS))
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._publisher = self._new_publisher()

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("%s: events wait: %s", self._destination, trouble)
            OutboxEvent.objects.filter(pk=min(self._in_flight, default=0)).update(last_error=trouble)
        self.trouble = trouble
