"""The relay: seals what has come to rest, publishes what is sealed, and tidies up, until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.core.signals import request_started
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from bridge.emitter.configuration import Configuration, read_configuration
from bridge.emitter.lock import RelayLock
from bridge.emitter.models import OutboxEvent
from bridge.emitter.outlet import Outlet
from bridge.emitter.sealing import Sealer
from bridge.errors import BridgeError, Misconfigured, Retryable
from bridge.stopping import Stop

__all__ = ["Relay", "run_in_web_process"]

IDLE_SECONDS = 0.25
"""How often the database is asked for something new."""
TROUBLE_SECONDS = 5.0
"""Pause after an error of the database."""
LOOK_SECONDS = 1.0
"""How long the lock may be taken by somebody who only looks whether a relay works."""
CLOSE_SECONDS = 10.0
"""How long a relay that stops waits for the broker's last confirmations."""
PURGE_AT_ONCE = 500
PURGE_SECONDS = 3600.0
"""How often published events are removed."""

_log = logging.getLogger(__name__)


class Relay:
    """One relay. Of several, one works at a time; the others wait for its lock.

    Parameters
    ----------
    configuration
        The TOM's streams.
    clock
        Seconds that only ever grow.
    """

    def __init__(self, configuration: Configuration, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._lock = RelayLock(connection)
        self._sealer = Sealer(configuration, clock=clock)
        self._outlets: dict[str, Outlet] = {}
        self._next_look = self._next_purge = clock()
        self._unopened: dict[str, str] = {}

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set, and then wait for the last confirmations."""
        waits = False
        try:
            while not stop.is_set():
                try:
                    if not self._lock.acquire():
                        if not waits:
                            _log.info("another relay works; this one waits for its turn")
                        waits = True
                        stop.wait(1.0)
                        continue
                    if waits:
                        _log.info("this relay's turn")
                        waits = False
                    if not self.step():
                        self._rest(stop)
                except (DatabaseError, InterfaceError) as error:
                    _log.warning("the database: %s; trying again", str(error).strip())
                    self._begin_anew()
                    stop.wait(TROUBLE_SECONDS)
        finally:
            self._close()

    def run_once(self, *, patience_seconds: float, on_progress: Callable[[], None] = lambda: None) -> int:
        """Seal and publish all that there is now; return how many events that were.

        Parameters
        ----------
        patience_seconds
            How long sealed events may wait, with nothing getting through, before that is given up.
        on_progress
            Called again and again.

        Raises
        ------
        Retryable
            If another relay holds the lock, or events can't be published; they stay in the outbox.
        """
        stop, deadline = Stop(), self._clock() + LOOK_SECONDS
        while not self._lock.acquire():
            if self._clock() > deadline:
                raise Retryable("another relay works on this TOM's outbox; leave the work to it, or stop it first")
            stop.wait(LOOK_SECONDS / 10)
        try:
            left, since = self._left(), self._clock()
            while any(left):
                if not self.step():
                    self._rest(stop)
                on_progress()
                before, left = left, self._left()
                unpublished = left[1]
                if left != before or not unpublished:
                    since = self._clock()
                if self._clock() - since > patience_seconds:
                    troubles = (outlet.trouble for outlet in self._outlets.values() if outlet.trouble)
                    trouble = next(iter([*troubles, *self._unopened.values()]), "")
                    raise Retryable(f"{unpublished:,} events wait in the outbox: {trouble or 'nothing gets through'}")
            return sum(outlet.published for outlet in self._outlets.values())
        finally:
            self._close()

    def step(self) -> bool:
        """Seal and publish some; return whether there may be more to do at once."""
        sealed = 0
        if self._clock() >= self._next_look:
            sealed = self._sealer.seal()
            self._open_outlets()
            if not sealed:
                self._next_look = self._clock() + IDLE_SECONDS
        for outlet in self._outlets.values():
            outlet.pump()
        if self._clock() >= self._next_purge:
            self._purge()
        return sealed > 0

    def _purge(self) -> None:
        """Remove some of what was published long ago; a little at a time, since on SQLite nobody else writes meanwhile."""
        before = timezone.now() - timedelta(days=self._configuration.emitter.KEEP_PUBLISHED_DAYS)
        old = OutboxEvent.objects.filter(published_at__lt=before).values_list("pk", flat=True)[:PURGE_AT_ONCE]
        count, _by_model = OutboxEvent.objects.filter(pk__in=list(old)).delete()
        if count < PURGE_AT_ONCE:
            self._next_purge = self._clock() + PURGE_SECONDS

    def _left(self) -> tuple[int, int]:
        """Return how many targets wait to be sealed, and how many events to be published."""
        return self._sealer.waiting(), OutboxEvent.objects.filter(published_at=None, refused=False).count()

    def _open_outlets(self) -> None:
        waiting = OutboxEvent.objects.filter(published_at=None, refused=False)
        for destination in waiting.order_by("destination").values_list("destination", flat=True).distinct():
            if destination in self._outlets:
                continue
            stream = self._configuration.stream_of(destination)
            if stream is None:
                row = waiting.filter(destination=destination)
                row.update(refused=True, last_error="no stream and topic of this TOM any more; see DATA_SHARING")
                _log.error("%s is no stream and topic of this TOM any more; its events are set aside", destination)
                continue
            try:
                self._outlets[destination] = Outlet(stream, destination, clock=self._clock)
            except BridgeError as error:
                if self._unopened.get(destination) != str(error):
                    _log.error("%s: events wait: %s", destination, error)
                    waiting.filter(destination=destination).update(last_error=str(error))
                self._unopened[destination] = str(error)

    def _rest(self, stop: Stop) -> None:
        busy = next((outlet for outlet in self._outlets.values() if outlet.busy), None)
        if busy is not None:
            busy.wait(IDLE_SECONDS / 5)
        else:
            stop.wait(IDLE_SECONDS)

    def _begin_anew(self) -> None:
        """Drop everything that hangs on the database's connection; what was unconfirmed is published again."""
        for outlet in self._outlets.values():
            outlet.discard()  # or it would publish later, behind our back
        self._outlets.clear()
        connection.close()

    def _close(self) -> None:
        try:
            deadline = self._clock() + CLOSE_SECONDS
            for outlet in self._outlets.values():
                outlet.close(max(0.0, deadline - self._clock()))
            self._lock.release()
        except (DatabaseError, InterfaceError) as error:
            _log.warning("the database: %s; what was confirmed last may be published again", str(error).strip())
        finally:
            self._begin_anew()


def run_in_web_process() -> None:
    """Start a relay as a thread when the first request comes: so in web servers only, and after they have forked."""
    started = threading.Lock()

    def start(**_signal: object) -> None:
        if not started.acquire(blocking=False):
            return
        request_started.disconnect(start)
        threading.Thread(target=_run_thread, name="bridge-relay", daemon=True).start()

    request_started.connect(start, weak=False)


def _run_thread() -> None:
    try:
        Relay(read_configuration()).run(Stop())
    except Misconfigured as error:
        _log.error("the relay does not run: %s", error)
