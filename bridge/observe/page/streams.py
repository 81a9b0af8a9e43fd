"""Server-sent events: what comes is told to the browsers that watch; there are only so many, each for a limited time."""

import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator

from bridge.observe.page.state import State

__all__ = ["MOST_WATCHERS", "Streams"]

MOST_WATCHERS = 24
"""Browsers' windows that are told at the same time; each takes a thread. Those beyond ask every few seconds instead."""
MOST_AT_ONCE = 100
"""Events that are told in one go; of more, how many they are."""
GATHER_SECONDS = 0.1
"""How long events are gathered before they are told."""
OVERVIEW_SECONDS = 2.0
"""How often the overview is told."""
TURN_SECONDS = 0.5
"""How often a stream looks for whether its browser is gone, or the page is to end."""
PING_SECONDS = 15.0
"""A target's stream that has nothing to tell says so as often, so that whoever stands between keeps it open."""
STREAM_SECONDS = 900.0
"""After so long a stream ends, and the browser opens another; what it missed it gets then."""
LONGEST_NUMBER = 15
"""Digits; Python refuses to read thousands of them."""


class Streams:
    """Streams of what comes. Any thread may call anything.

    Parameters
    ----------
    state
        What is told.
    most
        How many may watch.
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(self, state: State, *, most: int = MOST_WATCHERS, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        self._closing = threading.Event()
        self._life = secrets.token_hex(4)

    @property
    def count(self) -> int:
        """How many watch."""
        return self._count

    def mark(self, number: int) -> str:
        """Return what a browser says to go on after an event: its number, and which life of this page counted it."""
        return f"{self._life}-{number}"

    def close(self) -> None:
        """End all of them."""
        self._closing.set()
        self._state.journal.wake()

    def open(self, *, after: str, target: str, is_gone: Callable[[], bool]) -> "_Stream | None":
        """Return a stream, or None if too many watch or the page is to end.

        Parameters
        ----------
        after
            The event that the browser knows last, as `mark` has it.
        target
            Name of the target whose changes are told, instead of all events; empty: none.
        is_gone
            Tells whether the browser has gone away.
        """
        with self._lock:
            if self._count >= self._most or self._closing.is_set():
                return None
            self._count += 1
        told = self._targets(target, is_gone) if target else self._events(after, is_gone)
        return _Stream(told, self._left)

    def _left(self) -> None:
        with self._lock:
            self._count -= 1

    def _events(self, after: str, is_gone: Callable[[], bool]) -> Generator[str]:
        yield "retry: 2000\n\n"
        number = self._number(after)
        if number is None:
            number = self._state.journal.newest().number  # now: what comes until the browser has asked is told once more
            yield _message("anew", "{}")
        overview_at, until = self._clock(), self._clock() + STREAM_SECONDS
        while not self._ends(is_gone, until):
            news = self._state.journal.after(number, seconds=TURN_SECONDS, most=0)
            if news.number != number:
                self._closing.wait(GATHER_SECONDS)
                news = self._state.journal.after(number, seconds=0.0, most=MOST_AT_ONCE)
                number = news.number
                said = f'{{"missed": {news.missed}, "events": [{",".join(news.lines)}]}}'
                yield _message("shared", said, self.mark(number))
            if self._clock() >= overview_at:
                overview_at = self._clock() + OVERVIEW_SECONDS
                yield _message("overview", self._state.overview())

    def _targets(self, name: str, is_gone: Callable[[], bool]) -> Generator[str]:
        yield "retry: 2000\n\n"
        version, said_at, until = -1, self._clock(), self._clock() + STREAM_SECONDS
        with self._state.dossiers.held(name):
            while not self._ends(is_gone, until):
                latest = self._state.dossiers.of(name).version
                if latest != version:
                    version, said_at = latest, self._clock()
                    yield _message("changed", f'{{"version": {version}}}')
                elif self._clock() >= said_at + PING_SECONDS:
                    said_at = self._clock()
                    yield ": nothing new\n\n"
                self._closing.wait(TURN_SECONDS)

    def _ends(self, is_gone: Callable[[], bool], until: float) -> bool:
        return self._closing.is_set() or is_gone() or self._clock() >= until

    def _number(self, after: str) -> int | None:
        """Return the number of the event that a browser knows last; None if that is none of this life of the page."""
        life, _dash, number = after.rpartition("-")
        if life != self._life or not (number.isascii() and number.isdecimal()) or len(number) > LONGEST_NUMBER:
            return None
        return int(number) if int(number) <= self._state.journal.newest().number else None


class _Stream:
    """What a stream tells, as bytes; whatever ends it, its place is free again."""

    def __init__(self, told: Generator[str], left: Callable[[], None]) -> None:
        self._told = told
        self._left = left
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._told).encode()

    def close(self) -> None:
        """Give the place back; called by the server at the end, however that comes."""
        if self._is_open:
            self._is_open = False
            try:
                self._told.close()
            finally:
                self._left()


def _message(event: str, data: str, number: str = "") -> str:
    # JSON has no line breaks of its own, and none from a text: they are escaped in it.
    return f"{f'id: {number}' + chr(10) if number else ''}event: {event}\ndata: {data}\n\n"
