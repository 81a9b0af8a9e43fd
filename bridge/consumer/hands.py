"""Several threads that help one with what it is at: the datums of one event go to the destination beside each other."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from bridge.consumer.work import Current

__all__ = ["Hands"]

Item = TypeVar("Item")


class Hands:
    """Threads that help; safe to use from many threads, which share them.

    Parameters
    ----------
    number
        How many there are beside the thread that is helped.
    current
        Told that a hand is at what that thread is at.
    """

    def __init__(self, number: int, *, current: Current) -> None:
        self._current = current
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        # Daemons: a request that never comes back must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._help, name=f"hand-{number}", daemon=True) for number in range(1, number + 1)
        ]
        for thread in self._threads:
            thread.start()

    def each(self, items: Iterable[Item], do: Callable[[Item], None]) -> None:
        """Do something with every item, several at a time; the calling thread does its part.

        After an error no more are begun, and it is raised once those that were begun have ended.
        """
        job = _Job(items, do, self._current.here())
        for _ in range(min(len(self._threads), len(job) - 1)):
            self._jobs.put(job)
        job.work()
        job.finish()

    def close(self) -> None:
        """Let the threads end, once they are done with what they are at."""
        for _ in self._threads:
            self._jobs.put(None)

    def _help(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.help()


class _Job(Generic[Item]):
    """What one thread is at, to be done by several."""

    def __init__(
        self, items: Iterable[Item], do: Callable[[Item], None], there: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._left = deque(items)
        self._do = do
        self._there = there
        self._changed = threading.Condition()
        self._helping = 0
        self._errors: list[BaseException] = []

    def __len__(self) -> int:
        return len(self._left)

    def work(self) -> None:
        """Do what is left, item by item, until there is nothing more or something failed."""
        while not self._errors:
            try:
                item = self._left.popleft()
            except IndexError:
                return
            try:
                self._do(item)
            except BaseException as error:  # noqa: BLE001  raised in the thread whose work it is
                self._errors.append(error)

    def help(self) -> None:
        """Work in another thread, if there is something left."""
        with self._changed:
            if not self._left or self._errors:
                return
            self._helping += 1
        try:
            with self._there():
                self.work()
        finally:
            with self._changed:
                self._helping -= 1
                self._changed.notify_all()

    def finish(self) -> None:
        """Wait for those who help, and raise the first error."""
        with self._changed:
            self._changed.wait_for(lambda: not self._helping)
        if self._errors:
            raise self._errors[0]
