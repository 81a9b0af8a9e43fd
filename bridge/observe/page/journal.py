"""The newest events in bounded memory, and a way for those who watch to wait for the next."""

import heapq
import itertools
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MOST_KEPT", "Journal", "News"]

MOST_KEPT = 300
"""Events that are kept: the newest, about a kilobyte each."""


@dataclass(frozen=True, slots=True)
class News:
    """What came since somebody looked last.

    Parameters
    ----------
    number
        Of the last event that came; what to ask with the next time.
    lines
        The events, oldest first, each as JSON.
    missed
        How many more came, that are no longer kept here.
    """

    number: int
    lines: tuple[str, ...]
    missed: int


class Journal:
    """Events by the order in which they came, and by their time. Any thread may call anything.

    While history is read the two differ: partitions come one after the other.

    Parameters
    ----------
    most
        Events that are kept.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._came = threading.Condition()
        self._numbers = itertools.count(1)
        self._number = 0
        self._recent: deque[tuple[int, str]] = deque(maxlen=most)
        self._newest: list[tuple[int, int, str]] = []

    def add(self, line: Mapping[str, Any], *, time_ms: int, now_ms: int) -> None:
        """Add an event, and wake who waits.

        Parameters
        ----------
        line
            What is shown of it.
        time_ms
            When it was written, as its producer says.
        now_ms
            The time of day: an event from the future is one from now, so that it does not stay the newest for ever.
        """
        with self._came:
            self._number = number = next(self._numbers)
            text = json.dumps({**line, "number": number}, ensure_ascii=False)
            self._recent.append((number, text))
            entry = (min(time_ms, now_ms), number, text)
            if len(self._newest) < self._most:
                heapq.heappush(self._newest, entry)
            else:
                heapq.heappushpop(self._newest, entry)
            self._came.notify_all()

    def newest(self) -> News:
        """Return the newest events by their time, newest first."""
        with self._came:
            kept, number = sorted(self._newest, reverse=True), self._number
        return News(number, tuple(text for _time, _number, text in kept), 0)

    def after(self, number: int, *, seconds: float, most: int) -> News:
        """Return the events after one; blocks until there is any, or for the time.

        Parameters
        ----------
        number
            Of the last one that is known.
        seconds
            How long to wait.
        most
            Events that are returned; earlier ones count as missed.
        """
        with self._came:
            self._came.wait_for(lambda: self._number > number, seconds)
            lines = [text for each, text in self._recent if each > number]
            lines = lines[max(0, len(lines) - most) :]
            return News(self._number, tuple(lines), max(0, self._number - number - len(lines)))

    def wake(self) -> None:
        """Let everybody who waits look again, as at the end."""
        with self._came:
            self._came.notify_all()
