"""Subscribing as a member of a consumer group, with commits by hand."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.codecs.record import ConsumedRecord
from bridge.errors import Misconfigured, Retryable
from bridge.kafka.connection import FETCHING, PASSING, Connection, LastError, open_client, translate_error
from bridge.kafka.messages import consumed_record, is_end, place_of
from bridge.kafka.offsets import first_offset
from bridge.kafka.stall import STALL_SECONDS, StallWatch
from bridge.ledger import Partition

__all__ = ["Subscription"]

REQUEST_SECONDS = 15.0
"""How long a question to the broker may take."""
SESSION_MS = 12_000
"""After a kill -9 the group waits this long before it hands the partitions on."""

LOOK_SECONDS = 2.0
"""How often a broker that is away is looked for."""

MOST_AHEAD = 100
"""Records that are taken from the client together, which costs less than one by one, and given out one by one."""
SERVE_SECONDS = 0.1
"""How often the client is served while there are such: rebalances happen only then."""


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
        Called, while polling, when partitions are about to be taken away; the last moment at which their offsets may be
        committed. What it raises, `poll` or `rest` raises.
    on_lost
        Called, while polling, when partitions were taken away without a word: nothing of them may be committed any more.
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
        on_lost: Callable[[list[Partition]], None] = lambda _partitions: None,
    ) -> None:
        self._connection = connection
        self._topics = list(topics)
        self._start = start
        self._commits = commits
        self.on_revoke = on_revoke
        self.on_lost = on_lost
        self._joined = False
        self._is_resting = False
        self._paused: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._next: dict[Partition, int] = {}
        self._ahead: deque[Message] = deque()
        self._partings = 0
        self._served_at = 0.0
        self._failure: Exception | None = None
        self._last_error = LastError()
        self._away_since: float | None = None
        self._look_at = 0.0
        self._stall = StallWatch(self._records_behind)
        self._is_stalled = False
        self._config: dict[str, Any] = {
            **connection.config,
            "error_cb": self._heard,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "range,roundrobin",
            "session.timeout.ms": SESSION_MS,
            "enable.partition.eof": True,
            **FETCHING,
        }
        self._consumer = open_client(Consumer, self._config, connection)
        self._require_topics()
        self._subscribe()

    @property
    def assigned(self) -> list[Partition]:
        """The partitions that are this member's at present."""
        return list(self._ends)

    @property
    def drained(self) -> bool:
        """Whether every assigned partition was read up to the end it had when it was assigned."""
        return self._joined and all(self._next[place] >= end for place, end in self._ends.items())

    @property
    def is_member(self) -> bool:
        """Whether the group has given us our partitions, be it none."""
        return self._joined

    @property
    def is_broker_there(self) -> bool:
        """Whether the broker could be reached last."""
        return self._away_since is None

    def lag(self, partition: Partition, after: int | None) -> int | None:
        """Return how many records of an assigned partition are not done with, or None if that is not known yet.

        Parameters
        ----------
        partition
            Which.
        after
            The first offset that is not done with; None: all that were taken are.
        """
        _low, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        position = after if after is not None else self._next.get(partition)
        return None if high < 0 or position is None else max(0, high - position)

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        """Return the next record, or None if there is none within the time.

        Blocks up to the time. Rebalances happen in here.

        Raises
        ------
        BridgeError
            If the broker refuses the login, the topic, the group, or the offset has expired.
        """
        if self._is_resting:
            self._is_resting = False
            self._stall.start_anew(time.monotonic())
            self._consumer.resume([TopicPartition(*place) for place in self._paused & set(self._ends)])
            self._paused.clear()
        return self._poll(timeout_seconds)

    def rest(self, timeout_seconds: float) -> None:
        """Stay a member of the group without taking records. Blocks for the time; rebalances happen in here.

        Raises
        ------
        BridgeError
            As `poll`.
        """
        self._is_resting = True
        fresh = set(self._ends) - self._paused
        try:
            self._consumer.pause([TopicPartition(*place) for place in fresh])
            self._paused |= fresh
        except KafkaException as error:
            raise translate_error(error, self._connection, "pausing") from error
        self._serve(timeout_seconds)  # what was fetched between a rebalance and its pause is kept

    def rejoin(self) -> None:
        """Leave the group and join it anew, after something went wrong on the way in."""
        if self._is_stalled:
            fresh = open_client(Consumer, self._config, self._connection)
            self._consumer.close()  # calls _revoked
            self._consumer, self._is_stalled = fresh, False
        else:
            self._consumer.unsubscribe()
        self._subscribe()

    def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commit the next offsets of some partitions; blocks until the broker has them.

        Returns
        -------
        bool
            False if the group has given them to others meanwhile, who get the records again.

        Raises
        ------
        BridgeError
            If they can't be committed now.
        """
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        try:
            done = self._consumer.commit(offsets=wanted, asynchronous=False) or []
            failed = next((partition.error for partition in done if partition.error is not None), None)
        except KafkaException as error:
            failed = error.args[0]
        if failed is not None:
            if failed.code() in _NO_LONGER_A_MEMBER:
                return False
            cause = self._last_error.behind(failed)
            raise translate_error(cause, self._connection, f"committing to {', '.join(self._topics)}")
        self._away_since = None
        return True

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()

    def _subscribe(self) -> None:
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def _poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        if not self._ahead:
            self._serve(timeout_seconds)
            self._take_ahead()
        elif time.monotonic() >= self._served_at + SERVE_SECONDS:
            self._serve(0.0)
        if not self._ahead:
            return None
        message = self._ahead.popleft()
        if (error := message.error()) is not None:
            self._note(error, message)
            return None
        record = consumed_record(message)
        self._next[record.topic, record.partition] = record.next_offset
        return record

    def _serve(self, timeout_seconds: float) -> None:
        """Let rebalances happen, and take what the client gives within the time."""
        message = self._consumer.poll(timeout_seconds)
        self._served_at = time.monotonic()
        if message is not None:
            self._hold([message])
        self._raise_failure()
        if not self._ahead:
            self._look_for_broker()
            if not self._is_resting:
                self._look_for_stall()

    def _take_ahead(self) -> None:
        """Where the client gave one record, take what it has ready behind it."""
        if not self._ahead:
            return
        partings = self._partings
        try:
            messages = self._consumer.consume(MOST_AHEAD, 0)
            if self._partings == partings:
                self._hold(messages)
            else:
                self._begin_anew(messages)
        except KafkaException as error:
            raise translate_error(error, self._connection, f"reading {', '.join(self._topics)}") from error
        self._raise_failure()

    def _hold(self, messages: Sequence[Message]) -> None:
        self._ahead.extend(messages)
        if any(message.error() is None for message in messages):
            self._away_since = None
        self._stall.gave({place_of(message) for message in messages}, self._served_at)

    def _begin_anew(self, messages: Sequence[Message]) -> None:
        """Go on, in all that are ours, behind what was given out: records came in the midst of which partitions went."""
        held = (*self._ahead, *messages)
        self._ahead = deque(message for message in held if (error := message.error()) is not None and not is_end(error))
        if self._ends:  # else all went, and none came back yet
            # Not seek(): librdkafka refuses it for a partition that it has not begun to fetch yet.
            self._consumer.assign([TopicPartition(*place, self._next[place]) for place in self._ends])

    def _drop(self, places: Collection[Partition]) -> None:
        self._ahead = deque(message for message in self._ahead if place_of(message) not in places)

    def _raise_failure(self) -> None:
        """Raise what a callback has met: from in there librdkafka would lose it."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _note(self, error: KafkaError, message: Message) -> None:
        if is_end(error):
            place = place_of(message)
            self._next[place] = max(self._next.get(place, 0), message.offset() or 0)
            self._away_since = None
        elif not (error.retriable() or error.code() in PASSING):
            raise translate_error(error, self._connection, f"reading {', '.join(self._topics)}")

    def _heard(self, error: KafkaError) -> None:
        self._last_error(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._away_since is None:  # noqa: SLF001
            self._away_since = time.monotonic()

    def _look_for_broker(self) -> None:
        """Ask a broker that was away whether it is back: a topic without news would not tell."""
        if self._away_since is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._consumer.list_topics(self._topics[0], timeout=LOOK_SECONDS / 4)
        except KafkaException:
            return  # not yet
        self._away_since = None

    def _look_for_stall(self) -> None:
        """Ask the broker whether there is anything if the client has given nothing for long.

        Raises
        ------
        Retryable
            If there is.
        """
        if not self._joined or self._away_since is not None:
            return
        try:
            waiting = self._stall.look(time.monotonic())
        except KafkaException:
            return  # it is away, and that is another matter
        if waiting:
            self._is_stalled = True
            raise Retryable(
                f"stream {self._connection.stream} ({self._connection.bootstrap}): the Kafka client gave none of "
                f"{waiting} records that wait, for {STALL_SECONDS:.0f} seconds; it is replaced"
            )

    def _records_behind(self, place: Partition) -> int:
        _low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=LOOK_SECONDS)
        return int(high) - self._next[place]

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
            consumer.resume(placed)  # librdkafka keeps a pause over a rebalance: who rested as they went would get nothing more
            self._joined = True
        except KafkaException as error:
            self._failure = translate_error(error, self._connection, "taking partitions over")

    def _place(self, consumer: Consumer, partition: TopicPartition) -> TopicPartition:
        low, high = consumer.get_watermark_offsets(partition, timeout=REQUEST_SECONDS)
        if partition.offset == OFFSET_INVALID:
            partition.offset = first_offset(consumer, partition, start=self._start, extent=(low, high))
            if self._start != "earliest" and self._commits:
                # Else what is published while a new consumer is down, before its first commit, would be passed over.
                consumer.commit(offsets=[partition], asynchronous=False)
        place = partition.topic, partition.partition
        self._ends[place] = high
        self._next[place] = partition.offset
        self._stall.follow(place, time.monotonic())
        return partition

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._part_with(partitions, self.on_revoke)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._part_with(partitions, self.on_lost)

    def _part_with(self, partitions: list[TopicPartition], say: Callable[[list[Partition]], None]) -> None:
        places = [(partition.topic, partition.partition) for partition in partitions]
        try:
            say(places)
        except Exception as error:  # noqa: BLE001  raised by poll(): from in here librdkafka would lose it
            self._failure = error
        self._joined = False  # until the next assignment, which may be empty
        self._partings += 1
        self._drop(places)
        for place in places:
            self._ends.pop(place, None)
            self._next.pop(place, None)
            self._stall.leave(place)
            self._paused.discard(place)


_NO_LONGER_A_MEMBER = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
}
