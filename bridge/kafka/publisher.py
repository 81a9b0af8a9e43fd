"""Publishing: nothing is called published before the broker has confirmed it."""

from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.codecs.record import Record
from bridge.errors import BridgeError, Retryable
from bridge.kafka.connection import Connection, LastError, open_client, translate_error

__all__ = ["Publisher"]

DELIVERY_TIMEOUT_SECONDS = 30.0
"""How long librdkafka itself tries to deliver a record before it gives up and says so."""


class Publisher:
    """An idempotent producer that waits for all in-sync replicas (``acks=all``).

    Parameters
    ----------
    connection
        The stream.
    delivery_timeout_seconds
        How long a record may wait for the broker; 0: as long as it takes, so that none is overtaken by a later one.
    batches
        Whether records may go to the broker together, which is faster. A topic's ``max.message.bytes`` holds for all that
        go together.
    """

    def __init__(
        self, connection: Connection, *, delivery_timeout_seconds: float = DELIVERY_TIMEOUT_SECONDS, batches: bool = True
    ) -> None:
        self._connection = connection
        self._last_error = LastError()
        self._producer = open_client(
            Producer,
            {
                **connection.config,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "zstd",
                "linger.ms": 20 if batches else 0,
                **({} if batches else {"batch.num.messages": 1}),
                "delivery.timeout.ms": int(delivery_timeout_seconds * 1000),
                "error_cb": self._last_error,
            },
            connection,
        )

    def publish(
        self, topic: str, records: Iterable[Record], *, on_delivered: Callable[[int], None] = lambda _number: None
    ) -> int:
        """Publish records in order and return how many, all of them confirmed by the broker.

        Blocks until the last one is confirmed.

        Parameters
        ----------
        topic
            Where to.
        records
            Any number; they are taken as fast as the broker takes them.
        on_delivered
            Called with the number confirmed so far, for progress.

        Raises
        ------
        BridgeError
            At the first record that the broker does not take; what was confirmed before stays published, and
            publishing the same events again does no harm.
        """
        confirmed, failures = 0, list[BridgeError]()

        def report(error: BridgeError | None) -> None:
            nonlocal confirmed
            if error is None:
                confirmed += 1
                on_delivered(confirmed)
            else:
                failures.append(error)

        for record in records:
            while not self.send(topic, record, report):
                self.serve(1.0)
            self.serve(0)
            if failures:
                break
        remaining = self._producer.flush(2 * DELIVERY_TIMEOUT_SECONDS)
        if failures:
            raise failures[0]
        if remaining:
            raise Retryable(f"stream {self._connection.stream}: {remaining} events are not confirmed by the broker")
        return confirmed

    def send(self, topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        """Hand a record over without waiting for it; return False if there is no room at present.

        Parameters
        ----------
        topic
            Where to.
        record
            What.
        report
            Called once, by `serve`, when the broker has confirmed the record (None), or why it has not.

        Raises
        ------
        BridgeError
            If it cannot even be handed over.
        """

        def delivered(error: KafkaError | None, _message: Message) -> None:
            report(None if error is None else self._failure(error, topic))

        try:
            self._producer.produce(
                topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=delivered
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise translate_error(error, self._connection, f"publishing to {topic}") from error
        return True

    def serve(self, seconds: float) -> None:
        """Let reports come in, for so long or until there is one."""
        self._producer.poll(seconds)

    def abandon(self) -> None:
        """Give up every record that is not confirmed; each is reported as failed. The broker may have some all the same."""
        self._producer.purge()
        self._producer.flush(DELIVERY_TIMEOUT_SECONDS)

    def trouble(self, topic: str) -> BridgeError | None:
        """Return what the client said last of its connection, if it said anything."""
        error = self._last_error.latest
        return None if error is None else translate_error(error, self._connection, f"publishing to {topic}")

    def _failure(self, error: KafkaError, topic: str) -> BridgeError:
        return translate_error(self._last_error.behind(error), self._connection, f"publishing to {topic}")
