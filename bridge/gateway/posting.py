"""Publishing for many threads: each waits until the broker has its record, or until it is clear that it has not."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import structlog

from bridge.codecs.record import Record
from bridge.errors import Away, BridgeError, Halt, Retryable

__all__ = ["DELIVERY_SECONDS", "Posting", "Producer"]

DELIVERY_SECONDS = 10.0
"""How long a record may wait for the broker. A TOM waits as long, in the middle of saving; its web server gives up after 30."""
SLACK_SECONDS = 5.0
"""How much longer the report may take; without one, nobody knows what became of the record."""
SERVE_SECONDS = 0.2
"""How long a thread waits for reports at a time, and so how long it takes to close."""
PROBE_SECONDS = 1.0
"""Pause between questions to a broker that is away."""


class Producer(Protocol):
    """What a `bridge.kafka.publisher.Publisher` can do of which this makes use."""

    def send(self, topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        """Hand a record over."""

    def serve(self, seconds: float) -> None:
        """Let reports come in."""

    def abandon(self) -> None:
        """Give up what is not confirmed."""


class Posting:
    """Publishes while it is open, as a context manager.

    After a failure the broker is taken for away: it is asked in the background until it answers, and nobody waits for it
    meanwhile. Then a new producer goes to work, since there are failures that a producer never recovers from.

    Parameters
    ----------
    producer
        Makes a producer.
    probe
        Asks the broker anything; raises `BridgeError` if it does not answer.
    wait_seconds
        How long a record may take in all.
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(
        self,
        *,
        producer: Callable[[], Producer],
        probe: Callable[[], object],
        wait_seconds: float = DELIVERY_SECONDS + SLACK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._make = producer
        self._probe = probe
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._producer = producer()
        self._trouble: BridgeError | None = None
        self._threads = [threading.Thread(target=self._serve, name="gateway-reports", daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(self._wait_seconds)
        self._producer.abandon()

    @property
    def trouble(self) -> BridgeError | None:
        """Why the broker is taken for away; None if it is not."""
        return self._trouble

    def publish(self, topic: str, record: Record) -> None:
        """Publish a record; when this returns, the broker has it.

        Raises
        ------
        Away
            If the broker was away before; the record was not handed to it.
        BridgeError
            If it has not confirmed the record. It may have it all the same.
        """
        done = threading.Event()
        ends: list[BridgeError | None] = []

        def report(error: BridgeError | None) -> None:
            ends.append(error)
            done.set()

        try:
            with self._lock:  # so that no producer is given up between being looked up and being used
                if self._trouble is not None:
                    raise Away(str(self._trouble))
                taken = self._producer.send(topic, record, report)
            if not taken:
                raise Retryable(f"publishing to {topic}: too much waits for the broker already")
            if not done.wait(self._wait_seconds):
                raise Retryable(f"publishing to {topic}: the broker has not said whether it has the message")
            if ends[0] is not None:
                raise ends[0]
        except BridgeError as error:
            if _concerns_all(error):
                self.lose(error)
            raise

    def lose(self, error: BridgeError) -> None:
        """Take the broker for away, until it answers."""
        with self._lock:
            if self._trouble is not None or self._closing.is_set():
                return
            self._trouble = error
            thread = threading.Thread(target=self._wait_for_broker, name="gateway-probe", daemon=True)
            self._threads[1:] = [thread]
        structlog.get_logger().warning("broker is away", why=str(error))
        thread.start()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.serve(SERVE_SECONDS)

    def _wait_for_broker(self) -> None:
        while not self._closing.wait(PROBE_SECONDS):
            try:
                self._probe()
                fresh = self._make()
            except BridgeError as error:
                self._trouble = error
                continue
            with self._lock:
                old, self._producer = self._producer, fresh
                self._trouble = None
            structlog.get_logger().info("broker is back")
            self._see_out(old)
            return

    def _see_out(self, producer: Producer) -> None:
        """Let a producer end what was handed to it: now that the broker is back, that may well succeed."""
        until = self._clock() + DELIVERY_SECONDS
        while self._clock() < until and not self._closing.is_set():
            producer.serve(SERVE_SECONDS)
        producer.abandon()


def _concerns_all(error: BridgeError) -> bool:
    """Say whether other records would fare no better."""
    return isinstance(error, Retryable) or (isinstance(error, Halt) and error.reason == "broker_login")
