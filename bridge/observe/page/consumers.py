"""What anybody can know of a consumer: how far its group has committed, and what its replicas say where they are asked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.errors import BridgeError
from bridge.ledger import Partition
from bridge.observe.page.scrape import Report

__all__ = ["ConsumerWatch", "Observed", "OffsetsDoor"]


class OffsetsDoor(Protocol):
    """What is asked of the broker."""

    def extents(self, topics: Sequence[str]) -> dict[Partition, tuple[int, int]]:
        """Return first and next offset of every partition of those of the topics that there are."""

    def committed(self, places: Sequence[Partition]) -> dict[Partition, int]:
        """Return what the group has committed; a partition without a commit is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A consumer as its settings name it.

    Parameters
    ----------
    name
        The destination's key.
    title
        Its name for people.
    group, topics, start
        What it reads, and where it began.
    letters
        Its dead-letter topic, as ``stream:topic``.
    addresses
        ``--http`` addresses of its replicas, as far as they were given.
    problem
        What is wrong with its settings, if that is all that is known.
    """

    name: str
    title: str = ""
    group: str = ""
    topics: tuple[str, ...] = ()
    start: str = "earliest"
    letters: str = ""
    addresses: tuple[tuple[str, int], ...] = ()
    problem: str = ""


class ConsumerWatch:
    """Looks at one consumer now and then. For one thread.

    Parameters
    ----------
    observed
        Which.
    offsets
        Asks the broker.
    ask
        Asks a replica: host, port and the consumer's name.
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(
        self,
        observed: Observed,
        *,
        offsets: OffsetsDoor,
        ask: Callable[..., Report],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.observed = observed
        self._offsets = offsets
        self._ask = ask
        self._clock = clock
        self._committed: dict[Partition, int] | None = None
        self._moved_at: float | None = None

    def before(self) -> dict[str, Any]:
        """Return what is known before the first look."""
        observed = self.observed
        return {
            "name": observed.name,
            "title": observed.title,
            "group": observed.group,
            "topics": list(observed.topics),
            "letters": observed.letters,
            "problem": observed.problem,
            "replicas": [],
        }

    def look(self) -> dict[str, Any]:
        """Return what is known now, as JSON can carry it. Blocks for a few seconds at most; never raises."""
        observed = self.observed
        document = self.before() | {"replicas": [self._replica(host, port) for host, port in observed.addresses]}
        if observed.problem:
            return document
        try:
            extents = self._offsets.extents(observed.topics)
            committed = self._offsets.committed(list(extents))
        except BridgeError as error:
            return document | {"problem": str(error)}
        if self._committed is not None and committed != self._committed:
            self._moved_at = self._clock()
        self._committed = committed
        partitions = [self._partition(place, extent, committed.get(place)) for place, extent in sorted(extents.items())]
        lags = [partition["lag"] for partition in partitions]
        return document | {
            "partitions": partitions,
            "lag": sum(lag or 0 for lag in lags) if any(lag is not None for lag in lags) or not lags else None,
            "lag_is_least": None in lags,
            "begun": bool(committed),
            "lost": sum(partition["lost"] for partition in partitions),
            "moved_seconds": None if self._moved_at is None else round(self._clock() - self._moved_at),
        }

    def _partition(self, place: Partition, extent: tuple[int, int], committed: int | None) -> dict[str, Any]:
        first, end = extent
        if committed is None:
            # Where it begins is known only if that is the beginning, or if there is nothing to read.
            lag = end - first if self.observed.start == "earliest" or end == first else None
        else:
            lag = max(0, end - max(committed, first))
        return {
            "topic": place[0],
            "partition": place[1],
            "committed": committed,
            "end": end,
            "lag": lag,
            "lost": max(0, first - committed) if committed is not None else 0,
        }

    def _replica(self, host: str, port: int) -> dict[str, Any]:
        report = self._ask(host, port, destination=self.observed.name)
        ends = sorted(report.ends.items(), key=lambda end: -end[1])
        return {
            "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "trouble": report.trouble,
            "ends": [{"outcome": outcome, "reason": reason, "count": count} for (outcome, reason), count in ends],
            **report.numbers,
        }
