"""Subscribing as a member of a consumer group, with commits by hand."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.codecs.record import ConsumedRecord, Record
from bridge.errors import Misconfigured
from bridge.kafka.connection import Connection, LastError, translate_error

__all__ = ["Subscription", "consumed_record"]

REQUEST_SECONDS = 15.0
"""How long a question to the broker may take."""
SESSION_MS = 12_000
"""After a kill -9 the group waits this long before it hands the partitions on."""

LONGEST_EVENT_MS = 6 * 3_600_000
"""How long writing one event may take: thousands of datums at a TOM with tens of thousands of targets take an hour."""

Partition = tuple[str, int]


class Subscription:
    """Records of some topics, shared with the other members of the group.

    Offsets are committed only by `commit`. Uses the classic eager assignor: commits during cooperative rebalances have
    open bugs in librdkafka (issue 4059).

    Parameters
    ----------
    connection
        The stream.
    topics
        Topics' names; all have to exist.
    group
        Consumer group.
    start
        Where partitions without a committed offset begin: ``earliest``, ``latest`` or an ISO time with its zone.
    commits
        Whether anything may be committed; a dry run does not.
    on_revoke
        Called when partitions are about to be taken away; the last moment at which their offsets may be committed.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topics: Sequence[str],
        group: str,
        start: str,
        commits: bool = True,
        on_revoke: Callable[[list[Partition]], None] = lambda _partitions: None,
    ) -> None:
        self._connection = connection
        self._topics = list(topics)
        self._start = start
        self._commits = commits
        self._on_revoke = on_revoke
        self._joined = False
        self._held: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._first: dict[Partition, int] = {}
        self._next: dict[Partition, int] = {}
        self._failure: Exception | None = None
        self._last_error = LastError()
        self._consumer = Consumer(
            {
                **connection.config,
                "error_cb": self._last_error,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "partition.assignment.strategy": "range,roundrobin",
                "session.timeout.ms": SESSION_MS,
                "max.poll.interval.ms": LONGEST_EVENT_MS,
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": 16_384,
                "fetch.queue.backoff.ms": 50,
            }
        )
        self._require_topics()
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    @property
    def assigned(self) -> list[Partition]:
        """The partitions that are this member's at present."""
        return list(self._ends)

    @property
    def drained(self) -> bool:
        """Whether every assigned partition was read up to the end it had when it was assigned."""
        return self._joined and all(self._next[place] >= end for place, end in self._ends.items())

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        """Return the next record, or None if there is none within the time.

        Blocks up to the time. Rebalances happen in here.

        Raises
        ------
        BridgeError
            If the broker refuses the login, the topic, the group, or the offset has expired.
        """
        message = self._consumer.poll(timeout_seconds)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if message is None:
            return None
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                place = (message.topic() or "", message.partition() or 0)
                self._next[place] = max(self._next.get(place, 0), message.offset() or 0)
                return None
            if error.retriable() or error.code() in _PASSING:
                return None
            raise translate_error(error, self._connection, f"reading {', '.join(self._topics)}")
        record = consumed_record(message)
        self._next[record.topic, record.partition] = record.next_offset
        return record

    def commit(self, record: ConsumedRecord) -> bool:
        """Commit that everything up to and including this record is done with; blocks until the broker has it.

        Returns
        -------
        bool
            False if the partition has gone to another member meanwhile, who gets the record again.

        Raises
        ------
        BridgeError
            If it can't be committed now.
        """
        if not self.owns(record):
            return False
        try:
            self._consumer.commit(
                offsets=[TopicPartition(record.topic, record.partition, record.next_offset)], asynchronous=False
            )
        except KafkaException as error:
            if error.args[0].code() in _NO_LONGER_A_MEMBER:
                return False
            raise translate_error(error, self._connection, f"committing {record.place}") from error
        return True

    def hold(self, seconds: float, *, until: Callable[[], bool]) -> None:
        """Stay a member of the group for some seconds without taking records.

        Parameters
        ----------
        seconds
            How long.
        until
            Asked about twice a second; ends the hold when it says so.
        """
        end = time.monotonic() + seconds
        try:
            self._hold(end, until)
        except KafkaException as error:
            raise translate_error(error, self._connection, "pausing") from error

    def _hold(self, end: float, until: Callable[[], bool]) -> None:
        while (left := end - time.monotonic()) > 0 and not until():
            fresh = set(self.assigned) - self._held
            self._consumer.pause([TopicPartition(*place) for place in fresh])
            self._held |= fresh
            message = self._consumer.poll(min(0.5, left))
            if message is not None and message.error() is None:
                # Fetched between a rebalance and its pause: ask for it again later.
                self._consumer.seek(TopicPartition(message.topic() or "", message.partition() or 0, message.offset() or 0))
        self._consumer.resume([TopicPartition(*place) for place in self._held & set(self.assigned)])
        self._held.clear()

    def owns(self, record: ConsumedRecord) -> bool:
        """Whether a record's partition is still this member's, without a break since it was taken."""
        place = (record.topic, record.partition)
        return place in self._ends and self._first[place] <= record.offset < self._next[place]

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()

    def _require_topics(self) -> None:
        try:
            known = self._consumer.list_topics(timeout=REQUEST_SECONDS).topics
        except KafkaException as error:
            self._consumer.poll(0)
            self._consumer.close()
            raise translate_error(self._last_error.behind(error), self._connection, "connecting") from error
        missing = [topic for topic in self._topics if topic not in known or known[topic].error is not None]
        if missing:
            self._consumer.close()
            raise Misconfigured(
                f"stream {self._connection.stream} ({self._connection.bootstrap}): no topic {', '.join(missing)}; "
                f"create it: tom-bridge topics create {self._connection.stream}:{missing[0]}"
            )

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Exceptions raised in a callback would be lost in librdkafka; poll() raises them.
        try:
            placed = [self._place(consumer, wanted) for wanted in consumer.committed(partitions, REQUEST_SECONDS)]
            consumer.assign(placed)
            self._joined = True
        except KafkaException as error:
            self._failure = translate_error(error, self._connection, "taking partitions over")

    def _place(self, consumer: Consumer, partition: TopicPartition) -> TopicPartition:
        low, high = consumer.get_watermark_offsets(partition, timeout=REQUEST_SECONDS)
        if partition.offset == OFFSET_INVALID:
            partition.offset = self._first_offset(consumer, partition, low, high)
            if self._start != "earliest" and self._commits:
                # Else what is published while a new consumer is down, before its first commit, would be passed over.
                consumer.commit(offsets=[partition], asynchronous=False)
        self._ends[partition.topic, partition.partition] = high
        self._first[partition.topic, partition.partition] = partition.offset
        self._next[partition.topic, partition.partition] = partition.offset
        return partition

    def _first_offset(self, consumer: Consumer, partition: TopicPartition, low: int, high: int) -> int:
        if self._start == "earliest":
            return low
        if self._start == "latest":
            return high
        milliseconds = int(datetime.fromisoformat(self._start).timestamp() * 1000)
        asked = TopicPartition(partition.topic, partition.partition, milliseconds)
        found = consumer.offsets_for_times([asked], timeout=REQUEST_SECONDS)[0].offset
        return found if found >= 0 else high

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._on_revoke([(partition.topic, partition.partition) for partition in partitions])
        self._forget(partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        self._joined = False  # until the next assignment, which may be empty
        for partition in partitions:
            self._ends.pop((partition.topic, partition.partition), None)
            self._first.pop((partition.topic, partition.partition), None)
            self._next.pop((partition.topic, partition.partition), None)
            self._held.discard((partition.topic, partition.partition))


_NO_LONGER_A_MEMBER = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
}
_PASSING = {
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
}
"""Errors that librdkafka reports and gets over by itself."""


def consumed_record(message: Message) -> ConsumedRecord:
    """Return a message of the client as a plain value."""
    return ConsumedRecord(
        record=Record(key=_bytes(message.key()), value=_bytes(message.value()), headers=_headers(message.headers())),
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
    )


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _headers(headers: Any) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, _bytes(value) or b"") for name, value in headers or ())
