"""Asking a broker how far topics reach, and how far a consumer group has come in them. Nobody joins a group for it."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from bridge.errors import BridgeError
from bridge.kafka.connection import Connection, LastError, open_client, translate_error
from bridge.ledger import Partition

__all__ = ["Offsets", "first_offset"]

REQUEST_SECONDS = 5.0
"""How long a question to the broker may take."""


class Offsets:
    """Questions about offsets; to be asked by one thread. Another may close it.

    Parameters
    ----------
    connection
        The stream.
    group
        Whose commits are asked for; empty: nobody's.
    """

    def __init__(self, connection: Connection, *, group: str = "") -> None:
        self._connection = connection
        self._group = group
        self._last_error = LastError()
        self._in_use = threading.Lock()
        config: dict[str, Any] = {
            **connection.config,
            "error_cb": self._last_error,
            "group.id": group or "tom-bridge.offsets",  # librdkafka wants one; nothing subscribes, so that nothing joins it
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 2_000,
        }
        self._consumer = open_client(Consumer, config, connection)

    def extents(self, topics: Sequence[str]) -> dict[Partition, tuple[int, int]]:
        """Return first and next offset of every partition of those of the topics that there are.

        Raises
        ------
        BridgeError
            If the broker can't be reached or refuses.
        """
        with self._in_use:
            try:
                known = self._consumer.list_topics(timeout=REQUEST_SECONDS).topics
                there = [name for name in topics if name in known and known[name].error is None]
                places = [(name, number) for name in there for number in sorted(known[name].partitions)]
                return {place: self._extent(place) for place in places}
            except KafkaException as error:
                self._consumer.poll(0)  # the client says only there why
                raise translate_error(self._last_error.behind(error), self._connection, "asking for offsets") from error

    def committed(self, places: Sequence[Partition]) -> dict[Partition, int]:
        """Return what the group has committed of some partitions; one without a commit is left out.

        Raises
        ------
        BridgeError
            If the broker can't be reached, or this login may not read in the group.
        """
        if not places:
            return {}
        with self._in_use:
            try:
                found = self._consumer.committed([TopicPartition(*place) for place in places], timeout=REQUEST_SECONDS)
            except KafkaException as error:
                self._consumer.poll(0)
                raise self._told(error) from error
        failed = next((partition.error for partition in found if partition.error is not None), None)
        if failed is not None:
            raise self._told(failed)
        return {(each.topic, each.partition): each.offset for each in found if each.offset != OFFSET_INVALID}

    def close(self) -> None:
        """Close the connection. If a question is under way, it ends with the process: a client in use can't be closed."""
        if self._in_use.acquire(blocking=False):
            self._consumer.close()

    def _extent(self, place: Partition) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=REQUEST_SECONDS)
        return low, high

    def _told(self, error: KafkaError | KafkaException) -> BridgeError:
        doing = f"asking for the offsets of group {self._group}"
        return translate_error(self._last_error.behind(error), self._connection, doing)


def first_offset(consumer: Consumer, partition: TopicPartition, *, start: str, extent: tuple[int, int]) -> int:
    """Return where a partition without a commit begins.

    Parameters
    ----------
    consumer
        What asks, where the start is a time.
    partition
        Which.
    start
        ``earliest``, ``latest`` or an ISO time with its zone.
    extent
        Its first offset, and its next.

    Raises
    ------
    KafkaException
        If the broker does not say.
    """
    low, high = extent
    if start == "earliest":
        return low
    if start == "latest":
        return high
    milliseconds = int(datetime.fromisoformat(start).timestamp() * 1000)
    asked = TopicPartition(partition.topic, partition.partition, milliseconds)
    found = int(consumer.offsets_for_times([asked], timeout=REQUEST_SECONDS)[0].offset)
    return found if found >= 0 else high
