"""Reading a topic from a place up to its present end, as nobody's consumer: no offset of anybody moves."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bridge.codecs.record import ConsumedRecord
from bridge.errors import Misconfigured, Retryable
from bridge.kafka.connection import Connection, LastError, open_client, translate_error
from bridge.kafka.messages import consumed_record, is_end

__all__ = ["read_to_end"]

REQUEST_SECONDS = 15.0
"""How long a question to the broker may take, and how long it may give nothing before the end is reached."""


def read_to_end(connection: Connection, topic: str) -> Iterator[ConsumedRecord]:
    """Yield what a topic has, each partition in order, up to the end that it has now.

    Raises
    ------
    Misconfigured
        If there is no such topic.
    BridgeError
        If the broker can't be reached or refuses.
    """
    last_error = LastError()
    config: dict[str, Any] = {
        **connection.config,
        "error_cb": last_error,
        "group.id": "tom-bridge.reading",  # librdkafka wants one; nothing joins it, and nothing is committed
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }
    with closing(open_client(Consumer, config, connection)) as consumer:
        try:
            ends = _ends(consumer, connection, topic)
            yield from _records(consumer, connection, topic, ends)
        except KafkaException as error:
            raise translate_error(last_error.behind(error), connection, f"reading {topic}") from error


def _ends(consumer: Consumer, connection: Connection, topic: str) -> dict[int, int]:
    known = consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics.get(topic)
    if known is None or known.error is not None:
        raise Misconfigured(
            f"stream {connection.stream} ({connection.bootstrap}): no topic {topic}; "
            f"create it: tom-bridge topics create {connection.stream}:{topic}"
        )
    ends, begins = {}, []
    for number in known.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=REQUEST_SECONDS)
        if high > low:
            ends[number] = high
            begins.append(TopicPartition(topic, number, low))
    consumer.assign(begins)
    return ends


def _records(consumer: Consumer, connection: Connection, topic: str, ends: dict[int, int]) -> Iterator[ConsumedRecord]:
    while ends:
        message = consumer.poll(REQUEST_SECONDS)
        if message is None:
            raise Retryable(f"stream {connection.stream} ({connection.bootstrap}): {topic} gives nothing more, before its end")
        error, partition = message.error(), message.partition() or 0
        if error is not None:
            if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                continue  # librdkafka looks for the group's coordinator though nothing joins it; reading needs no right on it
            if not is_end(error):
                raise translate_error(error, connection, f"reading {topic}")
            ends.pop(partition, None)
            continue
        record = consumed_record(message)
        if record.next_offset >= ends.get(partition, 0):
            ends.pop(partition, None)
        yield record
