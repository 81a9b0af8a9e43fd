"""Order for what belongs together, and the rest in parallel.

An event runs when no earlier event that is not done shares one of its keys. So the events of one target stay in order, also
while one of them waits to be tried again, and events of different targets do not wait for each other.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable

from bridge.consumer.work import Work

__all__ = ["Lanes"]


class Lanes:
    """Events that wait for their turn; safe to use from many threads.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._lanes: dict[str, deque[Work]] = {}
        self._ready: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._begun: set[Work] = set()
        self._closed = False

    def add(self, work: Work) -> None:
        """Put an event behind all earlier ones that share a key with it."""
        with self._changed:
            for key in work.keys:
                self._lanes.setdefault(key, deque()).append(work)
            self._release(work)

    def next(self) -> Work | None:
        """Return an event whose turn it is, or None once the lanes are closed. Blocks until there is one."""
        with self._changed:
            while not self._closed:
                self._promote()
                if self._ready:
                    work = self._ready.popleft()
                    self._begun.add(work)
                    return work
                self._changed.wait(self._later[0][0] - self._clock() if self._later else None)
            return None

    def again(self, work: Work, delay_seconds: float) -> None:
        """Put an event that was begun back to the head of its lanes, to be begun again later; a cancelled one leaves."""
        with self._changed:
            if work.cancelled:
                self._remove(work)
                return
            self._begun.discard(work)
            heapq.heappush(self._later, (self._clock() + delay_seconds, next(self._order), work))
            self._changed.notify()

    def done(self, work: Work) -> None:
        """Let those behind an event come up."""
        with self._changed:
            self._remove(work)

    def cancel(self, concerned: Callable[[Work], bool], *, begun: bool) -> list[Work]:
        """Cancel events; those that were not begun leave at once and are returned, the others when they are done.

        Parameters
        ----------
        concerned
            Which.
        begun
            Whether those in work are cancelled, too.
        """
        with self._changed:
            everything = dict.fromkeys(work for lane in self._lanes.values() for work in lane if concerned(work))
            waiting = [work for work in everything if work not in self._begun]
            for work in waiting:
                work.cancelled = True
            for work in everything if begun else ():
                work.cancelled = True
            for work in waiting:
                self._remove(work)
            return waiting

    def busy(self, concerned: Callable[[Work], bool]) -> bool:
        """Whether one of these events is in work."""
        with self._changed:
            return any(concerned(work) for work in self._begun)

    def close(self) -> None:
        """Give out no more events; whoever waits for one is told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _promote(self) -> None:
        """Make those ready whose pause is over."""
        while self._later and self._later[0][0] <= self._clock():
            work = heapq.heappop(self._later)[2]
            if not work.cancelled:
                self._ready.append(work)

    def _release(self, work: Work) -> None:
        if all(self._lanes[key][0] is work for key in work.keys):
            self._ready.append(work)
            self._changed.notify()

    def _remove(self, work: Work) -> None:
        behind = dict[Work, None]()
        self._begun.discard(work)
        if work in self._ready:
            self._ready.remove(work)
        for key in work.keys:
            lane = self._lanes[key]
            was_first = lane[0] is work
            lane.remove(work)
            if not lane:
                del self._lanes[key]
            elif was_first:
                behind[lane[0]] = None
        for candidate in behind:
            if not candidate.cancelled:
                self._release(candidate)
