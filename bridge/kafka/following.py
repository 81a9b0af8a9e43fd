"""Following topics as nobody's consumer: outside of any group, so that no offset of anybody moves."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.codecs.record import ConsumedRecord
from bridge.errors import BridgeError, Misconfigured, Retryable
from bridge.kafka.connection import PASSING, Connection, LastError, open_client, translate_error
from bridge.kafka.messages import consumed_record, is_end, place_of
from bridge.ledger import Partition

__all__ = ["Following"]

REQUEST_SECONDS = 15.0
"""How long a question to the broker may take at the beginning."""
LOOK_SECONDS = 5.0
"""How often the broker is asked for new partitions, and whether it still is there."""
LOOK_REQUEST_SECONDS = 5.0
"""How long such a question may take: nothing is read meanwhile."""
AWAY_REQUEST_SECONDS = 1.0
"""The same, of a broker that was away last time; and how often it is asked."""
STALL_SECONDS = 30.0
"""How long the client may give nothing of a partition before the broker is asked whether there is something."""
MOST_ASKED = 4
"""Partitions that the broker is asked about at a time."""
PATIENCE_SECONDS = 60.0
"""How long a topic that is read to its end may give nothing before that is an error."""
POLL_SECONDS = 0.2


class Following:
    """The records of some topics, as they come.

    Joins no group, commits nothing, and needs no right but to read the topics. New partitions are noticed and read from their
    beginning. A broker that goes away is waited for, and every partition goes on where it was. To be used by one thread.

    Parameters
    ----------
    connection
        The stream.
    topics
        Topics' names; all have to exist.
    start
        Where to begin: ``earliest``, ``latest``, or a time in ISO 8601, which without a zone is UTC.

    Raises
    ------
    Misconfigured
        If a topic does not exist, or `start` is none.
    BridgeError
        If the broker can't be reached now, or refuses.
    """

    def __init__(self, connection: Connection, *, topics: Sequence[str], start: str) -> None:
        self._connection = connection
        self._topics = list(dict.fromkeys(topics))
        self._start: str | int = start if start in {"earliest", "latest"} else _milliseconds(start)
        self._not_before = 0
        self._last_error = LastError()
        self._is_away = False
        self._ends: dict[Partition, int] = {}
        self._next: dict[Partition, int] = {}
        self._given_at: dict[Partition, float] = {}
        self._suspects: set[Partition] = set()
        self._look_at = time.monotonic() + LOOK_SECONDS
        self.passed_over = 0
        """Records that the topics dropped before they were read here."""
        self._consumer = self._open()
        try:
            self._begin()
        except (KafkaException, BridgeError) as error:
            self._consumer.poll(0)  # the client says only there why
            self._consumer.close()
            if isinstance(error, KafkaException):
                raise self._told(error, "connecting") from error
            raise

    @property
    def partitions(self) -> list[Partition]:
        """What is read: topics and partitions."""
        return list(self._next)

    @property
    def positions(self) -> dict[Partition, int]:
        """Where each partition goes on."""
        return dict(self._next)

    def go_on(self, positions: Mapping[Partition, int]) -> None:
        """Go on where another has come to that followed these topics; what it did not know is read from its beginning.

        Or where this one was: of one that was interrupted in `poll`, nobody has the record that it was about to return.
        """
        self._next = {place: positions.get(place, 0) for place in self._next}
        self._given_at = dict.fromkeys(self._next, time.monotonic())
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._next.items()])

    @property
    def drained(self) -> bool:
        """Whether every partition was read up to the end that it had at the beginning."""
        return all(self._next[place] >= end for place, end in self._ends.items())

    @property
    def trouble(self) -> BridgeError | None:
        """Why the broker can't be reached at present; None if it can."""
        if not self._is_away:
            return None
        said = self._last_error.latest
        return self._away() if said is None else self._told(said, "reading")

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        """Return the next record, or None if there is none within the time.

        Blocks up to the time, and every few seconds a little longer, for a question to the broker.

        Raises
        ------
        BridgeError
            If the broker refuses the login or the topic, or a topic is gone.
        """
        message = self._consumer.poll(timeout_seconds)
        found = None if message is None else self._take(message)
        if time.monotonic() >= self._look_at:
            self._look_around()
        return found

    def records(self, *, drain: bool, idle: Callable[[], None] = lambda: None) -> Iterator[ConsumedRecord]:
        """Yield records as they come.

        Parameters
        ----------
        drain
            Stop at the end that each partition had at the beginning; else it never ends.
        idle
            Called whenever nothing waits to be read, several times a second: the moment to write out what is buffered.

        Raises
        ------
        BridgeError
            As `poll`; and with `drain`, if the broker gives nothing for long.
        """
        patience = time.monotonic() + PATIENCE_SECONDS
        while not (drain and self.drained):
            consumed = self.poll(POLL_SECONDS)
            if consumed is None:
                idle()
                if drain and time.monotonic() > patience and not self.drained:
                    raise self.trouble or Retryable(f"{self._where}: gives nothing more, before its end")
                continue
            patience = time.monotonic() + PATIENCE_SECONDS
            if not drain or consumed.offset < self._ends[consumed.topic, consumed.partition]:
                yield consumed

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    @property
    def _where(self) -> str:
        return f"stream {self._connection.stream} ({self._connection.bootstrap}), reading {', '.join(self._topics)}"

    def _open(self) -> Consumer:
        config: dict[str, Any] = {
            **self._connection.config,
            "error_cb": self._heard,
            "group.id": "tom-bridge.following",  # librdkafka wants one; nothing joins it, and nothing is committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 1_024,  # of large records librdkafka fetches ten times as much ahead
            "fetch.queue.backoff.ms": 50,
            "reconnect.backoff.max.ms": 2_000,
        }
        return open_client(Consumer, config, self._connection)

    # --- where to begin

    def _begin(self) -> None:
        cluster = self._consumer.list_topics(timeout=REQUEST_SECONDS)
        known = cluster.topics
        missing = [topic for topic in self._topics if topic not in known or known[topic].error is not None]
        if missing:
            raise Misconfigured(
                f"stream {self._connection.stream} ({self._connection.bootstrap}): no topic {', '.join(missing)}; "
                f"create it: tom-bridge topics create {self._connection.stream}:{missing[0]}"
            )
        if isinstance(self._start, int) and str(cluster.cluster_id).startswith("mockCluster"):
            self._not_before = self._start  # the embedded broker finds no offsets by time
            self._start = "earliest"
        for place in [(topic, number) for topic in self._topics for number in known[topic].partitions]:
            low, high = self._range(place, REQUEST_SECONDS)
            self._ends[place] = high
            self._next[place] = self._first_offset(place, low, high)
        self._assign(self._next)

    def _first_offset(self, place: Partition, low: int, high: int) -> int:
        if isinstance(self._start, str):
            return low if self._start == "earliest" else high
        asked = TopicPartition(*place, self._start)
        found = int(self._consumer.offsets_for_times([asked], timeout=REQUEST_SECONDS)[0].offset)
        return found if found >= 0 else high

    def _range(self, place: Partition, seconds: float) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=seconds)
        return int(low), int(high)

    def _assign(self, offsets: dict[Partition, int]) -> None:
        self._given_at |= dict.fromkeys(offsets, time.monotonic())
        self._consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in offsets.items()])

    # --- what comes

    def _take(self, message: Message) -> ConsumedRecord | None:
        place = place_of(message)
        error = message.error()
        if error is None:
            record = consumed_record(message)
            self._got(place, record.next_offset)
            return record if record.timestamp_ms >= self._not_before else None
        code = error.code()
        if is_end(error):
            self._got(place, max(self._next.get(place, 0), message.offset() or 0))
        elif code in _EXPIRED and place in self._next:
            self._start_anew(place)
        elif code not in _PASSING and not error.retriable():
            raise self._told(error, f"reading {', '.join(self._topics)}")
        return None

    def _got(self, place: Partition, following: int) -> None:
        self._is_away = False
        self._next[place] = following
        self._given_at[place] = time.monotonic()

    def _start_anew(self, place: Partition) -> None:
        """Go on at the oldest record of a partition that no longer keeps the next one, or that was made anew."""
        try:
            low, high = self._range(place, AWAY_REQUEST_SECONDS)
            self._consumer.incremental_unassign([TopicPartition(*place)])
        except KafkaException:
            self._given_at[place] = -math.inf  # it is away; what is silent is looked into once it is back
            return
        self.passed_over += max(0, low - self._next[place])
        self._next[place] = low
        self._ends[place] = min(self._ends[place], high)
        self._assign({place: low})

    def _heard(self, error: KafkaError) -> None:
        self._last_error(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._is_away = True
            self._look_at = min(self._look_at, time.monotonic() + AWAY_REQUEST_SECONDS)

    # --- what else there is to know of the broker

    def _look_around(self) -> None:
        """Ask for new partitions, and whether there is something that the client does not give."""
        seconds = AWAY_REQUEST_SECONDS if self._is_away else LOOK_REQUEST_SECONDS
        try:
            fresh = [place for place in self._partitions(seconds) if place not in self._next]
            silent = self._silent()
            behind = {place for place in silent if self._range(place, seconds)[1] > self._next[place]}
        except KafkaException:
            self._is_away = True
            self._look_at = time.monotonic() + AWAY_REQUEST_SECONDS
            return
        self._is_away = False
        self._look_at = time.monotonic() + LOOK_SECONDS
        if fresh:
            # Nothing of them was there at the beginning: the broker gives numbers from 0 on.
            self._ends |= dict.fromkeys(fresh, 0)
            self._next |= dict.fromkeys(fresh, 0)
            self._assign(dict.fromkeys(fresh, 0))
        stalled, self._suspects = self._suspects & behind, behind  # what was on its way has come by the second time
        self._given_at |= dict.fromkeys(set(silent) - behind, time.monotonic())
        if stalled:
            self._replace_client()

    def _partitions(self, seconds: float) -> list[Partition]:
        """Return the partitions that the topics have; none of a topic that is gone, or not known yet after a restart."""
        one = self._topics[0] if len(self._topics) == 1 else None  # else all in one question
        known = self._consumer.list_topics(one, timeout=seconds).topics
        return [(topic, number) for topic in self._topics if topic in known for number in known[topic].partitions]

    def _silent(self) -> list[Partition]:
        since = time.monotonic() - STALL_SECONDS
        silent = [place for place, given_at in self._given_at.items() if given_at < since]
        return sorted(silent, key=self._given_at.__getitem__)[:MOST_ASKED]

    def _replace_client(self) -> None:
        """Go on with a new client: librdkafka 2.16 sometimes stops fetching when a broker has restarted, for good."""
        fresh = self._open()
        self._consumer.close()
        self._consumer, self._suspects = fresh, set()
        self._assign(self._next)

    def _told(self, error: KafkaError | KafkaException, doing: str) -> BridgeError:
        return translate_error(self._last_error.behind(error), self._connection, doing)

    def _away(self) -> BridgeError:
        return Retryable(f"{self._where}: the broker cannot be reached")


_EXPIRED = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
_PASSING = PASSING | {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""librdkafka looks for the group's coordinator, though nothing joins it."""


def _milliseconds(start: str) -> int | str:
    """Return a time as Kafka counts it; what is before 1970 is before everything."""
    try:
        moment = datetime.fromisoformat(start)
        since = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Misconfigured(
            f"start: {start!r} is neither earliest, latest nor a time, for instance 2026-11-01T00:00:00Z"
        ) from None
    return since if since > 0 else "earliest"
