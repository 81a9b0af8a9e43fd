"""Asking a broker about its topics, and creating them."""

from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bridge.errors import Misconfigured
from bridge.kafka.connection import Connection, LastError, translate_error

__all__ = ["Admin", "TopicInfo"]

REQUEST_SECONDS = 10.0
"""How long a question to the broker may take."""


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the broker describes it."""

    name: str
    partitions: int
    replicas: int


class Admin:
    """Questions to a broker that are not about records.

    Parameters
    ----------
    connection
        The stream.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last_error = LastError()
        config: dict[str, Any] = {**connection.config, "error_cb": self._last_error}
        self._client = AdminClient(config)

    def topics(self) -> dict[str, TopicInfo]:
        """Return the topics that this login may see, by name.

        Raises
        ------
        BridgeError
            If the broker can't be reached or refuses the login.
        """
        try:
            found = self._client.list_topics(timeout=REQUEST_SECONDS).topics
        except KafkaException as error:
            self._client.poll(0)
            raise translate_error(self._last_error.behind(error), self._connection, "listing topics") from error
        return {
            name: TopicInfo(name, len(topic.partitions), max((len(p.replicas) for p in topic.partitions.values()), default=0))
            for name, topic in sorted(found.items())
            if topic.error is None and not name.startswith("__")
        }

    def is_embedded(self) -> bool:
        """Whether this is librdkafka's mock cluster (`bridge.kafka.embedded`), which says so in its cluster id."""
        try:
            return str(self._client.list_topics(timeout=REQUEST_SECONDS).cluster_id).startswith("mockCluster")
        except KafkaException as error:
            self._client.poll(0)
            raise translate_error(self._last_error.behind(error), self._connection, "connecting") from error

    def extents(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return first and next offset of each partition of a topic.

        Raises
        ------
        Misconfigured
            If there is no such topic.
        BridgeError
            If the broker can't be reached or refuses.
        """
        info = self.topics().get(topic)
        if info is None:
            raise Misconfigured(f"stream {self._connection.stream}: no topic {topic} that this login may see")
        consumer = Consumer({**self._connection.config, "group.id": "tom-bridge.describe", "enable.auto.commit": False})
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=REQUEST_SECONDS)
                for number in range(info.partitions)
            }
        except KafkaException as error:
            raise translate_error(error, self._connection, f"describing {topic}") from error
        finally:
            consumer.close()

    def members(self, group: str) -> int:
        """Return how many members a consumer group has at present; 0 on the embedded broker, which does not say.

        Raises
        ------
        BridgeError
            If the broker can't be reached or refuses.
        """
        if self.is_embedded():
            return 0
        try:
            described = self._client.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise translate_error(error, self._connection, f"describing group {group}") from error
        return len(described.members)

    def create(self, topic: str, *, partitions: int, replicas: int) -> None:
        """Create a topic; blocks until the broker has it.

        Raises
        ------
        Misconfigured
            If it exists already, or the broker cannot create topics (the embedded one makes them on first use).
        BridgeError
            If the broker can't be reached or refuses.
        """
        if self.is_embedded():
            raise Misconfigured(
                f"{self._connection.stream}: this is the embedded broker, which makes a topic on first use, with 4 partitions"
            )
        wanted = NewTopic(topic, num_partitions=partitions, replication_factor=replicas)
        try:
            self._client.create_topics([wanted], operation_timeout=REQUEST_SECONDS)[topic].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                raise Misconfigured(f"stream {self._connection.stream}: topic {topic} exists already") from error
            raise translate_error(error, self._connection, f"creating topic {topic}") from error
