"""Telling a process to stop, from a signal's handler."""

import signal
import threading
from contextlib import suppress

__all__ = ["Stop", "stop_on_signals"]


class Stop:
    """Whether to stop; may be told by a signal while the main thread waits for just that.

    `threading.Event` may not: its handler would wait for ever for a lock that the main thread, in the midst of which it runs,
    holds in ``wait``. A bare lock that is released once needs no other.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._until_set = threading.Lock()
        self._until_set.acquire()

    def set(self) -> None:
        """Tell everybody to stop."""
        if not self._is_set:
            self._is_set = True
            self._let_go()

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._is_set

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until it is told, but no longer than this; return whether it was."""
        if self._until_set.acquire(timeout=-1.0 if timeout_seconds is None else timeout_seconds):
            self._let_go()  # for others that wait, and for the next time
        return self._is_set

    def _let_go(self) -> None:
        with suppress(RuntimeError):  # a second signal, in the midst of the first one, has done so
            self._until_set.release()


def stop_on_signals(stop: Stop) -> None:
    """Have SIGTERM and SIGINT tell it; to be called in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
