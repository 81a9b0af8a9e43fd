"""What the loop asks of its doors: where records come from, and where dead letters go."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from bridge.codecs.record import ConsumedRecord
from bridge.consumer.outcome import Outcome
from bridge.ledger import Partition

__all__ = ["Letters", "Records"]


class Records(Protocol):
    """Where records come from: `bridge.kafka.subscription.Subscription`."""

    on_revoke: Callable[[list[Partition]], None]
    on_lost: Callable[[list[Partition]], None]

    @property
    def drained(self) -> bool:
        """Whether the present end is reached."""

    @property
    def is_broker_there(self) -> bool:
        """Whether the broker could be reached last."""

    @property
    def is_member(self) -> bool:
        """Whether the group has given us our partitions."""

    @property
    def assigned(self) -> list[Partition]:
        """The partitions that are ours."""

    def lag(self, partition: Partition, after: int | None, /) -> int | None:
        """Return how many records of a partition are not done with."""

    def poll(self, timeout_seconds: float, /) -> ConsumedRecord | None:
        """Return the next record, or None."""

    def rest(self, timeout_seconds: float, /) -> None:
        """Stay a member of the group without taking records."""

    def rejoin(self) -> None:
        """Leave the group and join it anew."""

    def commit(self, offsets: Mapping[Partition, int], /) -> bool:
        """Commit next offsets; False if the partitions are no longer this member's."""


class Letters(Protocol):
    """Where dead letters go: `bridge.consumer.dead_letters.DeadLetters`."""

    def add(self, consumed: ConsumedRecord, outcome: Outcome, /, *, now: datetime, attempts: int) -> None:
        """Publish a dead letter and wait until the broker has it."""
