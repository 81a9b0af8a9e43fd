"""The threads that watch: one for the topics' events, one for each dead-letter topic, one that asks about consumers."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Protocol, Self

import structlog

from bridge.codecs.record import ConsumedRecord
from bridge.errors import BridgeError
from bridge.ledger import Partition
from bridge.observe.page.consumers import ConsumerWatch, OffsetsDoor
from bridge.observe.page.state import State

__all__ = ["Followed", "Watching"]

POLL_SECONDS = 0.2
PAUSE_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Before topics that could not be read are tried again."""
LOOK_SECONDS = 5.0
"""Between two looks at consumers and at how far topics reach."""
CLOSING_SECONDS = 1.5
"""How long threads are waited for at the end; each may be in a question to a broker that is away."""


class Followed(Protocol):
    """Topics that are read as their records come, as `bridge.kafka.following.Following` does."""

    @property
    def drained(self) -> bool:
        """Whether everything was read that there was at the beginning."""

    @property
    def trouble(self) -> BridgeError | None:
        """Why the broker can't be reached at present."""

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        """Return the next record, or None if there is none within the time."""

    @property
    def positions(self) -> dict[Partition, int]:
        """Where each partition goes on."""

    def go_on(self, positions: Mapping[Partition, int]) -> None:
        """Go on where another has come to."""

    def close(self) -> None:
        """Close the connection."""


class Watching:
    """Watches while it is open, as a context manager.

    Parameters
    ----------
    state
        What is told.
    follow
        Begins to follow the topics, where it was asked to.
    letters
        Dead-letter topics as ``stream:topic``, each with what begins to follow it from its oldest record.
    offsets
        Tells how far the topics reach.
    topics
        Whose events are shown.
    consumers
        Consumers that are looked at.
    """

    def __init__(
        self,
        *,
        state: State,
        follow: Callable[[None], Followed],
        letters: dict[str, Callable[[], Followed]],
        offsets: OffsetsDoor,
        topics: Sequence[str],
        consumers: Sequence[ConsumerWatch],
    ) -> None:
        self._state = state
        self._follow = follow
        self._letters = letters
        self._offsets = offsets
        self._topics = topics
        self._consumers = consumers
        self._stop = threading.Event()
        self._positions: dict[Partition, int] = {}
        self._failures = 0
        self._log = structlog.get_logger()

    def __enter__(self) -> Self:
        first = self._follow(None)  # what is wrong with the topics is heard now
        for consumer in self._consumers:
            self._state.note_consumer(consumer.before())
        self._threads = [
            self._thread("events", lambda: self._watch_events(first)),
            self._thread("consumers", self._watch_consumers),
            *(self._thread(f"letters {name}", partial(self._watch_letters, name)) for name in self._letters),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        until = time.monotonic() + CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=run, name=f"page {name}", daemon=True)

    def _watch_events(self, first: Followed) -> None:
        """Follow the topics, come what may; after a failure from where they were left."""
        followed: Followed | None = first
        while not self._stop.is_set():
            try:
                with closing(followed or self._follow_on()) as topics:
                    self._take_events(topics)
            except Exception as error:  # noqa: BLE001  whatever it is, the page says so and goes on
                followed = None
                self._state.note(trouble=self._words(error, "events"), caught_up=False)
                self._pause(self._failures)
                self._failures += 1

    def _take_events(self, topics: Followed) -> None:
        try:
            while not self._stop.is_set():
                consumed = topics.poll(POLL_SECONDS)
                self._state.note(trouble=str(topics.trouble or ""), caught_up=topics.drained)
                self._failures = self._failures if topics.trouble else 0
                if consumed is not None:
                    self._state.saw(consumed)
        finally:
            self._positions = topics.positions

    def _follow_on(self) -> Followed:
        topics = self._follow(None)
        try:
            topics.go_on(self._positions)
        except BaseException:
            topics.close()
            raise
        return topics

    def _watch_letters(self, name: str) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                with closing(self._letters[name]()) as topic:
                    self._state.begin_letters_anew(name)
                    while not self._stop.is_set():
                        consumed = topic.poll(POLL_SECONDS)
                        self._state.note_letters(name, str(topic.trouble or ""))
                        if consumed is not None:
                            failures = 0
                            self._state.saw_letter(name, consumed)
            except Exception as error:  # noqa: BLE001
                self._state.note_letters(name, self._words(error, name))
                self._pause(failures)
                failures += 1

    def _watch_consumers(self) -> None:
        while not self._stop.is_set():
            with suppress(BridgeError):  # the thread that reads the topics says so
                self._state.note_extents(self._offsets.extents(self._topics))
            for consumer in self._consumers:
                if not self._stop.is_set():
                    self._state.note_consumer(consumer.look())
            self._stop.wait(LOOK_SECONDS)

    def _words(self, error: Exception, what: str) -> str:
        if isinstance(error, BridgeError):
            return str(error)
        self._log.exception("watching failed", what=what)
        return f"the page itself failed ({type(error).__name__}); its log has the reason"

    def _pause(self, failures: int) -> None:
        self._stop.wait(PAUSE_SECONDS[min(failures, len(PAUSE_SECONDS) - 1)])
