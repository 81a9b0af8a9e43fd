"""A broker inside this process: librdkafka's own mock cluster, for the demo and quick tests.

It keeps the newest 5 MiB of each partition and then drops the oldest without a word, so a guard here stops before that.
It can't create topics on request (they appear on first use, with 4 partitions), list groups, authenticate or survive
the process: for all of that use Apache Kafka.
"""

from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from bridge.errors import Misconfigured
from bridge.kafka.connection import librdkafka_log

__all__ = ["EmbeddedBroker"]

KEPT_BYTES = 5 * 1024 * 1024
"""What the mock cluster keeps of a partition (librdkafka ``rdkafka_mock.c``)."""


class EmbeddedBroker:
    """A Kafka broker in this process; other processes of this machine reach it too.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._cluster = Producer({"test.mock.num.brokers": 1, "logger": librdkafka_log()})
        metadata = self._cluster.list_topics(timeout=10.0)
        broker = next(iter(metadata.brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Its address as DATA_SHARING's ``BASE_URL``."""
        return f"kafka://{self.bootstrap}/"

    def create_topic(self, topic: str) -> None:
        """Make a topic appear, as any client's first question about it does."""
        self._cluster.list_topics(topic, timeout=10.0)

    @staticmethod
    def guard(total_bytes: int) -> None:
        """Refuse to send more than a partition is sure to keep.

        Raises
        ------
        Misconfigured
            If so many bytes, all in one partition, would push out the oldest.
        """
        if total_bytes > KEPT_BYTES * 9 // 10:
            raise Misconfigured(
                f"{total_bytes:,} bytes are too many for the embedded broker, which keeps {KEPT_BYTES:,} a partition "
                "and drops the oldest in silence; use Apache Kafka"
            )

    def close(self) -> None:
        """End the broker; everything in it is gone."""
        del self._cluster
