"""How many requests may be at the destination at a time, and when the next one may go.

A TOM under gunicorn does as many things at a time as it has workers; more requests only wait there, and whoever works with the
TOM in a browser waits with them. So the polite pace has one request at a time, and after one that took much longer than usual,
because others want something of the TOM, it leaves a pause. The full pace finds by trying how many at a time go fastest.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["Climb", "Pace"]

FIRST_LIMIT = 3
"""So many at a time full pace begins with: few TOMs have fewer than two workers, and one request more waits there for the
first that is free, which else would wait for us."""
GAIN = 1.04
"""One request more at a time has to make all of them faster by so much."""
LOSS = 0.97
"""One request less may make all of them slower by so much."""
FIRST_HOLD, LONGEST_HOLD = 2, 64
"""For how many windows a number is kept that turned out to be right; it doubles each time."""
WINDOW_SECONDS = 1.0
"""The rate is measured over so long, ..."""
WINDOW_REQUESTS = 20
"""... and over so many requests."""
LOSING = 0.8
"""A trial whose rate falls below so much of what it was before is ended ..."""
LOSING_SECONDS, LOSING_REQUESTS = 0.2, 10
"""... after so long, and so many requests."""
LOOK_SECONDS = 0.2
"""How soon somebody who waits notices that he need not wait any more."""
SLOW = 2.0
"""A request that takes so many times the usual is followed by a pause."""
LONGEST_PAUSE_SECONDS = 1.0
FORGET_SECONDS = 60.0
"""In how long what is usual is learned anew, where it rises; that it falls is believed at once."""


class Climb:
    """Finds the number at a time that goes fastest, by trying one more, or one less, for a while. Knows no clock.

    Parameters
    ----------
    most
        So many at the most.
    first
        So many to begin with.
    """

    def __init__(self, most: int, *, first: int = 1) -> None:
        self._most = most
        self._kept = min(first, most)
        self._kept_rate: float | None = None
        self._trial: int | None = None
        self._upwards = True
        self._hold = FIRST_HOLD
        self._wait = 0

    @property
    def limit(self) -> int:
        """So many may go at a time now."""
        return self._trial or self._kept

    def is_losing(self, rate: float) -> bool:
        """Whether the present limit is one that is tried, and such a rate says that it is a bad one."""
        return self._trial is not None and rate < LOSING * (self._kept_rate or 0.0)

    def measured(self, rate: float) -> None:
        """Learn how many a second there were with the present limit, while others waited for their turn."""
        if self._trial is not None:
            self._judge(self._trial, rate)
            return
        self._kept_rate = rate if self._kept_rate is None else 0.7 * self._kept_rate + 0.3 * rate
        if self._wait:
            self._wait -= 1
            return
        trial = self._kept + (1 if self._upwards else -1)
        if 1 <= trial <= self._most:
            self._trial = trial
        else:
            self._upwards = not self._upwards

    def _judge(self, trial: int, rate: float) -> None:
        self._trial = None
        if rate >= (self._kept_rate or 0.0) * (GAIN if trial > self._kept else LOSS):
            self._kept, self._kept_rate, self._hold = trial, rate, FIRST_HOLD
        else:
            self._wait, self._hold, self._upwards = self._hold, min(2 * self._hold, LONGEST_HOLD), not self._upwards


class Pace:
    """Lets requests go to the destination in the order in which they come; safe to use from many threads.

    Parameters
    ----------
    kind
        ``polite`` or ``full``.
    most
        So many at a time at the most, at full pace.
    on_change
        Told how many may go at a time, whenever that changes.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        kind: Literal["polite", "full"],
        *,
        most: int,
        on_change: Callable[[int], None] = lambda _limit: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_polite = kind == "polite"
        self.most = 1 if self.is_polite else most
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[threading.Condition] = deque()
        self._alone_queue: deque[threading.Condition] = deque()
        self._climb = Climb(self.most, first=FIRST_LIMIT)
        self._inside = 0
        self._writing = 0
        self._alone = False
        self._not_before = 0.0
        self._usual: float | None = None
        self._usual_at = 0.0
        self._window_began = clock()
        self._window_ended = 0
        self._window_crowded = 0
        on_change(self._climb.limit)

    @property
    def limit(self) -> int:
        """How many may go at a time now."""
        return self._climb.limit

    def start_over(self) -> None:
        """Begin with one at a time: the destination was away, and may not be what it was."""
        with self._lock:
            self._climb = Climb(self.most)
            self._begin_window()
            self._on_change(self._climb.limit)

    @contextmanager
    def read(self, require: Callable[[], None]) -> Iterator[None]:
        """Stand around a request that changes nothing at the destination.

        Parameters
        ----------
        require
            Raises if there is no need to wait any more.
        """
        self._enter(self._queue, lambda: True, require)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def write(self, require: Callable[[], None], *, is_datum: bool = False) -> Iterator[None]:
        """Stand around a request that writes data.

        Parameters
        ----------
        require
            As for `read`.
        is_datum
            Whether it is one of many that take about as long; by those it is seen whether the destination has much to do.
        """
        self._enter(self._queue, lambda: not (self._alone or self._alone_queue), require, writing=1)
        began = self._clock()
        try:
            yield
        finally:
            self._leave(writing=1, seconds=self._clock() - began if is_datum else None)

    @contextmanager
    def alone(self, require: Callable[[], None]) -> Iterator[None]:
        """Stand around a request beside which nothing else may be written; writes that wait let it go first.

        Parameters
        ----------
        require
            As for `read`.
        """
        self._enter(self._alone_queue, lambda: not (self._alone or self._writing), require, alone=True)
        try:
            yield
        finally:
            self._leave(alone=True)

    def _enter(
        self,
        queue: deque[threading.Condition],
        is_free: Callable[[], bool],
        require: Callable[[], None],
        *,
        writing: int = 0,
        alone: bool = False,
    ) -> None:
        """Wait until all who came earlier have gone, and there is a place."""
        with self._lock:
            if not self._inside and not self._queue:
                self._begin_window()  # nobody wanted anything for a while
            if queue or not self._is_time() or not is_free():
                self._wait(queue, is_free, require)
            require()
            self._window_crowded += bool(self._queue)
            self._inside += 1
            self._writing += writing
            self._alone = self._alone or alone

    def _wait(self, queue: deque[threading.Condition], is_free: Callable[[], bool], require: Callable[[], None]) -> None:
        turn = threading.Condition(self._lock)
        queue.append(turn)
        try:
            while queue[0] is not turn or not self._is_time() or not is_free():
                require()
                turn.wait(min(LOOK_SECONDS, max(self._not_before - self._clock(), 0.0) or LOOK_SECONDS))
        finally:
            queue.remove(turn)
            self._wake()  # there may be a place for the next one, too

    def _is_time(self) -> bool:
        return self._inside < self._climb.limit and self._clock() >= self._not_before

    def _leave(self, *, writing: int = 0, alone: bool = False, seconds: float | None = None) -> None:
        with self._lock:
            self._inside -= 1
            self._writing -= writing
            if alone:
                self._alone = False
                self._begin_window()  # that was no time in which many could go
            if self.is_polite and seconds is not None:
                self._give_way(seconds)
            self._ended()
            self._wake()

    def _wake(self) -> None:
        """Let those look whose turn it may be."""
        for queue in (self._alone_queue, self._queue):
            if queue:
                queue[0].notify()

    def _ended(self) -> None:
        """Count a request towards the rate; when the window is over, see what that says of the limit."""
        self._window_ended += 1
        seconds = self._clock() - self._window_began
        is_over = seconds >= WINDOW_SECONDS and self._window_ended >= WINDOW_REQUESTS
        is_enough = is_over or (seconds >= LOSING_SECONDS and self._window_ended >= LOSING_REQUESTS)
        if not is_enough:
            return
        before, rate = self._climb.limit, self._window_ended / seconds
        was_crowded = self._window_crowded * 2 > self._window_ended  # else it was not the limit that held them up
        if not is_over and not (was_crowded and self._climb.is_losing(rate)):
            return
        if was_crowded:
            self._climb.measured(rate)
        self._begin_window()
        if self._climb.limit != before:
            self._on_change(self._climb.limit)

    def _begin_window(self) -> None:
        self._window_began, self._window_ended, self._window_crowded = self._clock(), 0, 0

    def _give_way(self, seconds: float) -> None:
        """Leave a pause after a request that took much longer than usual."""
        now = self._clock()
        usual = seconds if self._usual is None else self._usual
        if seconds > SLOW * usual:
            self._not_before = now + min(seconds, LONGEST_PAUSE_SECONDS)
        learned = -math.expm1((self._usual_at - now) / FORGET_SECONDS)
        self._usual = min(seconds, usual + (seconds - usual) * learned)
        self._usual_at = now
