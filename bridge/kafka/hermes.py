"""Publishing straight to a topic that carries Hermes messages, in the form in which Hermes itself writes them."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from bridge.codecs import native
from bridge.codecs.hermes.losses import Lost
from bridge.codecs.hermes.wire import hermes_records
from bridge.codecs.hermes.writing import MOST_BYTES
from bridge.codecs.record import Record
from bridge.errors import BridgeError, Rejected, Retryable
from bridge.kafka.connection import Connection
from bridge.kafka.publisher import Publisher

__all__ = ["WirePublisher"]


class WirePublisher:
    """A `Publisher` whose records of ours become Hermes messages on the way.

    Parameters
    ----------
    publisher
        What publishes them.
    connection
        Its stream; who logs in there is the sender.
    authors
        For events that name none.
    told
        Told what an event is about and what of it Hermes does not carry.
    limit
        Returns a topic's ``max.message.bytes``, or None if nobody knows it; asked once for each topic, and may take its time.
    """

    def __init__(
        self,
        publisher: Publisher,
        connection: Connection,
        *,
        authors: str = "",
        told: Callable[[str, Sequence[Lost]], None],
        limit: Callable[[str], int | None],
    ) -> None:
        self._publisher = publisher
        self._limit = limit
        self._most_bytes: dict[str, int] = {}
        self._sender = str(connection.config.get("sasl.username", ""))
        self._authors = authors
        self._told = told
        self._nothing_to_send: list[Callable[[BridgeError | None], None]] = []
        self._rest = deque[tuple[str, Record, _Together]]()
        """Parts of an event whose first part is with the client, and for which it has no room yet."""

    def publish(
        self, topic: str, records: Iterable[Record], *, on_delivered: Callable[[int], None] = lambda _number: None
    ) -> int:
        """Publish events in order and return how many, all confirmed by the broker.

        An event of which Hermes carries nothing is left out, and that is told.

        Parameters
        ----------
        topic
            Where to.
        records
            Share events in the native form.
        on_delivered
            Called with the number done so far, for progress.

        Raises
        ------
        BridgeError
            As `Publisher.publish`.
        """
        translated = [self._translate_or_tell(topic, record) for record in records]
        ends = [*accumulate(map(len, translated))]
        every = [record for parts in translated for record in parts]
        self._publisher.publish(topic, every, on_delivered=lambda number: on_delivered(bisect_right(ends, number)))
        return sum(map(bool, translated))

    def send(self, topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        """Hand an event over without waiting for it; return False if there is no room at present.

        Parameters
        ----------
        topic, record, report
            As for `Publisher.send`; the event is reported once, when all of its messages are.

        Raises
        ------
        BridgeError
            If Hermes carries nothing of the event, or as `Publisher.send`.
        """
        if self._rest:
            return False
        parts = self._translate(topic, record)
        if not parts:
            self._nothing_to_send.append(report)
            return True
        together = _Together(len(parts), report)
        if not self._publisher.send(topic, parts[0], together):
            return False
        self._rest.extend((topic, part, together) for part in parts[1:])
        self._send_rest()
        return True

    def serve(self, seconds: float) -> None:
        """Let reports come in, for so long or until there is one."""
        waiting, self._nothing_to_send = self._nothing_to_send, []
        for report in waiting:
            report(None)
        self._publisher.serve(0 if waiting else seconds)
        self._send_rest()

    def abandon(self) -> None:
        """Give up every record that is not confirmed, as `Publisher.abandon`."""
        self.serve(0)
        self._publisher.abandon()
        while self._rest:
            self._rest.popleft()[2](Retryable("given up"))

    def _send_rest(self) -> None:
        """Hand over what is left of an event, as far as there is room. Nobody waits for more: a broker may be away for good."""
        while self._rest:
            topic, part, together = self._rest[0]
            try:
                if not self._publisher.send(topic, part, together):
                    return
            except BridgeError as error:
                together(error)
            self._rest.popleft()

    def trouble(self, topic: str) -> BridgeError | None:
        """Return what the client said last of its connection, if it said anything."""
        return self._publisher.trouble(topic)

    def _translate(self, topic: str, record: Record) -> Sequence[Record]:
        if topic not in self._most_bytes:
            # Never more than the default: neither does librdkafka hand over more, nor is an event larger.
            self._most_bytes[topic] = min(self._limit(topic) or MOST_BYTES, MOST_BYTES)
        most = self._most_bytes[topic]
        found = hermes_records(record, topic=topic, sender=self._sender, authors=self._authors, most_bytes=most)
        if found.lost:
            self._told(found.subject, found.lost)
        return found.records

    def _translate_or_tell(self, topic: str, record: Record) -> Sequence[Record]:
        try:
            return self._translate(topic, record)
        except Rejected as error:
            self._told(native.decode(record).body.subject, (Lost("event", error.detail),))
            return ()


class _Together:
    """Reports once for several records: when the last is confirmed, or the first is not."""

    def __init__(self, count: int, report: Callable[[BridgeError | None], None]) -> None:
        self._missing = count
        self._report = report

    def __call__(self, error: BridgeError | None) -> None:
        self._missing -= 1
        if error is not None and self._missing >= 0:
            self._missing = -1  # said; what else comes of it does not count
            self._report(error)
        elif self._missing == 0:
            self._report(None)
