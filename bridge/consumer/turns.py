"""Who may write to the destination at which moment.

Targets and lists have one writer at a time, across all replicas: two who look for a target and then create it would create
it twice, and two who write into a new list on PostgreSQL make that list twice. A TOM on SQLite with Django's default
transactions bears still less: a request that writes a target fails half-way if any other write is in the middle, and leaves a
target that nobody can see. So there everything is written under the lease, and a target alone.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from bridge.consumer.pace import Pace
from bridge.consumer.work import Current
from bridge.errors import Away, Retryable

__all__ = ["LeaseLike", "Turns"]

READS = frozenset({"GET", "HEAD", "OPTIONS"})
DATUMS = "api/reduceddatums/"


class LeaseLike(Protocol):
    """A right that one replica has at a time: `bridge.kafka.lease.Lease`."""

    def using(self, *, unless: Callable[[], bool]) -> AbstractContextManager[None]:
        """Wait until it is ours, and keep it at least until the block ends."""


class Turns:
    """Orders the requests of one process, and with a lease those of all replicas.

    Parameters
    ----------
    current
        What each thread is at.
    lease
        The right to write, if there can be replicas.
    concurrent
        Whether the destination bears writes of data beside writes of targets.
    pace
        How many requests may be there at a time.

    Attributes
    ----------
    trouble
        Returns why the destination is away, or None; an event in work asks it nothing more then.
    """

    def __init__(self, *, current: Current, lease: LeaseLike | None, concurrent: bool, pace: Pace) -> None:
        self._current = current
        self._lease = lease
        self._concurrent = concurrent
        self._pace = pace
        self._targets = threading.Lock()
        self.trouble: Callable[[], Retryable | None] = lambda: None

    @contextmanager
    def targets(self) -> Iterator[None]:
        """Be the one who writes targets and lists, from looking for one to its last request.

        Raises
        ------
        Abandoned, Retryable
            If the event is to be given up, or the lease can't be had.
        """
        with self._targets, self._leased():
            self._current.require()
            yield

    @contextmanager
    def request(self, method: str, path: str) -> Iterator[None]:
        """Stand around each request to the TOM's API.

        Raises
        ------
        Abandoned, Retryable
            As `targets`; `Away` if another thread found the destination away meanwhile.
        """
        self._require()
        if method in READS:
            # Outside of an event somebody asks how the destination is; that never waits.
            with self._pace.read(self._require) if self._current.is_at_work() else nullcontext():
                yield
        elif path.startswith("api/targets/"):
            with self._leased(), self._alone():
                yield
        else:
            leased = nullcontext() if self._concurrent else self._leased()
            is_login = path.startswith("accounts/")  # which writes, too: its session
            with leased, self._alone() if is_login else self._pace.write(self._require, is_datum=path == DATUMS):
                yield

    def _require(self) -> None:
        """Go on only if what the thread is at is still to be done, and the destination is there."""
        self._current.require()
        trouble = self.trouble() if self._current.is_at_work() else None
        if trouble is not None:
            raise Away(trouble.detail)

    def _leased(self) -> AbstractContextManager[None]:
        return nullcontext() if self._lease is None else self._lease.using(unless=self._current.is_cancelled)

    def _alone(self) -> AbstractContextManager[None]:
        """Wait until no other request writes, and let none begin; where the destination bears others, be one of many."""
        return self._pace.write(self._require) if self._concurrent else self._pace.alone(self._require)
