"""Asking a broker about its topics and about rights, and creating topics."""

import time
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from bridge.errors import BridgeError, Misconfigured, Retryable
from bridge.kafka.connection import Connection, LastError, open_client, translate_error

__all__ = ["Admin", "TopicInfo"]

REQUEST_SECONDS = 10.0
"""How long a question to the broker may take."""
ASK_AGAIN_SECONDS = 0.2

_FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
_UNTOLD = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
}
"""There is nothing of that name, or a broker that is not asked for rights (before Kafka 2.3)."""
_STARTING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
"""A broker says these of a group for a moment after it has started."""


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
        self._client = open_client(AdminClient, config, connection)

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
        config = {**self._connection.config, "group.id": "tom-bridge.describe", "enable.auto.commit": False}
        consumer = open_client(Consumer, config, self._connection)
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=REQUEST_SECONDS)
                for number in range(info.partitions)
            }
        except KafkaException as error:
            raise translate_error(error, self._connection, f"describing {topic}") from error
        finally:
            consumer.close()

    def most_bytes(self, topic: str) -> int | None:
        """Return a topic's ``max.message.bytes``, or None if the broker is away or does not say: it takes DescribeConfigs."""
        resource = ConfigResource("topic", topic)
        try:
            if self.is_embedded():  # it never answers this
                return None
            asked = self._client.describe_configs([resource], request_timeout=REQUEST_SECONDS)[resource]
            return int(asked.result(2 * REQUEST_SECONDS)["max.message.bytes"].value)
        except (BridgeError, KafkaException, TimeoutError, KeyError, ValueError):
            return None

    def rights(self, kind: Literal["topic", "group"], name: str) -> frozenset[str] | None:
        """Return what this login may do with a topic or a consumer group, by the names in `kafka-acls`, such as ``Read``.

        Nobody joins the group for it, and a group that does not exist yet has rights, too. Not for a process that has to live
        on: librdkafka may end it, or never answer, if the broker is killed over the question.

        Returns
        -------
        frozenset or None
            None if there is no such topic, or if the broker does not tell; the embedded one must not be asked.

        Raises
        ------
        BridgeError
            If the broker can't be reached or does not answer.
        """
        give_up_at = time.monotonic() + REQUEST_SECONDS
        while True:
            try:
                described = self._describe(kind, name).result(2 * REQUEST_SECONDS)
            except KafkaException as error:
                code = error.args[0].code()
                if code in _FORBIDDEN:
                    return frozenset()
                if code in _UNTOLD:
                    return None
                if code not in _STARTING or time.monotonic() > give_up_at:
                    raise translate_error(error, self._connection, f"asking for the rights on {kind} {name}") from error
                time.sleep(ASK_AGAIN_SECONDS)
            except TimeoutError as error:  # the broker died over it
                raise Retryable(f"stream {self._connection.stream}: no answer about the rights on {kind} {name}") from error
            else:
                return frozenset(_name_of(operation) for operation in described.authorized_operations or ()) or None

    def _describe(self, kind: Literal["topic", "group"], name: str) -> "Future[Any]":
        about: dict[str, Any] = {"include_authorized_operations": True, "request_timeout": REQUEST_SECONDS}
        if kind == "topic":
            return self._client.describe_topics(TopicCollection([name]), **about)[name]
        return self._client.describe_consumer_groups([name], **about)[name]

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


def _name_of(operation: Enum) -> str:
    """Return an operation's name as `kafka-acls` has it: ``DESCRIBE_CONFIGS`` is ``DescribeConfigs``."""
    return operation.name.title().replace("_", "")
