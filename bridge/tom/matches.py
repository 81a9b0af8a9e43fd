"""Matches that are remembered for a while, and those of them that are believed without a question."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bridge.translate.targets import KnownTarget

__all__ = ["Match", "Matches"]

REMEMBER_SECONDS = 300.0
"""How long a match is remembered; then all names are asked for again."""
REMEMBER_TARGETS = 10_000
"""How many matches are remembered."""
BELIEVE_SECONDS = 30.0
"""How long a match is believed without asking for its target."""
BELIEVE_TARGETS = 1_000
"""Of how many matches the target itself is kept, some 5 kB each; a TOM that takes data of more in that time is quick to ask."""


@dataclass(frozen=True, slots=True)
class Match:
    """A match: which target, since when, and which of the names it has."""

    target_id: int
    since: float
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A target as the TOM has shown it, and when."""

    known: KnownTarget
    since: float


class Matches:
    """Remembers which target has which names; safe to use from many threads.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._matches: OrderedDict[frozenset[str], Match] = OrderedDict()
        self._seen: OrderedDict[frozenset[str], _Seen] = OrderedDict()

    def remembered(self, names: frozenset[str]) -> Match | None:
        """Return the match of these simplified names, unless it is too old."""
        with self._lock:
            match = self._matches.get(names)
        return match if match is not None and self._clock() - match.since <= REMEMBER_SECONDS else None

    def believed(self, names: frozenset[str]) -> KnownTarget | None:
        """Return the target of a remembered match, if it was seen so lately that nothing need be asked."""
        with self._lock:
            seen = self._seen.get(names)
        return seen.known if seen is not None and self._clock() - seen.since <= BELIEVE_SECONDS else None

    def remember(self, names: frozenset[str], match: Match) -> None:
        """Remember a match, in place of any other of these names."""
        with self._lock:
            self._seen.pop(names, None)
            self._matches[names] = match
            self._matches.move_to_end(names)
            while len(self._matches) > REMEMBER_TARGETS:
                self._matches.popitem(last=False)

    def saw(self, names: frozenset[str], known: KnownTarget, *, at: float) -> None:
        """Note how the TOM has shown the target of a remembered match."""
        with self._lock:
            self._seen[names] = _Seen(known, at)
            self._seen.move_to_end(names)
            while len(self._seen) > BELIEVE_TARGETS:
                self._seen.popitem(last=False)

    def forget(self, names: frozenset[str]) -> None:
        """Forget the match of these names."""
        with self._lock:
            self._matches.pop(names, None)
            self._seen.pop(names, None)
