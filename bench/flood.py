"""Very many events on a topic within seconds, by confluent_kafka alone, and a client that reads them and does nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer

from bridge.codecs.record import Record

__all__ = ["flood", "idle_rate"]

SERVE_EVERY = 1000
"""How many records are handed over before reports are looked at."""
MOST_AT_ONCE = 100
"""So many records are taken at a time: one by one costs more."""


def flood(
    bootstrap: str,
    topic: str,
    records: Sequence[Record],
    events: int,
    *,
    body: Callable[[bytes, int], bytes] = lambda value, _number: value,
) -> None:
    """Publish events, compressed as the bridge's own publisher does.

    Parameters
    ----------
    bootstrap, topic
        Where to.
    records
        What they are made of, in turn; each gets an id and a key of its own.
    events
        How many.
    body
        Makes an event's value from the record's and the event's number.
    """
    failures: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 50,
            "queue.buffering.max.messages": 100_000,
            "error_cb": failures.append,
        }
    )
    first = uuid.uuid4().int & ~0xFFFFFFFF
    for number in range(events):
        record = records[number % len(records)]
        own = uuid.UUID(int=first + number)
        ids = {"ce_id": str(own).encode(), "_id": own.bytes}
        headers: list[tuple[str, str | bytes | None]] = [(name, ids.get(name, value)) for name, value in record.headers]
        value = body(record.value or b"", number)
        while True:
            try:
                producer.produce(topic, value=value, key=b"%d" % number, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        if number % SERVE_EVERY == 0:
            producer.poll(0)
    if (left := producer.flush(60)) or failures:
        raise RuntimeError(f"{left} of {events} events are not on {topic}: {failures}")


def idle_rate(bootstrap: str, topic: str, events: int, settings: Mapping[str, Any]) -> float:
    """Return how many events a second a client takes that does nothing with them, from its first to its last.

    Parameters
    ----------
    bootstrap, topic
        Where they are.
    events
        How many there are.
    settings
        Of librdkafka, beside what it takes to read from the beginning.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"nothing-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **settings,
        }
    )
    consumer.subscribe([topic])
    while consumer.poll(1.0) is None:
        pass
    began, taken = time.perf_counter(), 1
    while taken < events:
        taken += len(consumer.consume(min(MOST_AT_ONCE, events - taken), 1.0))  # it would wait for more than there are
    took = time.perf_counter() - began
    consumer.close()
    return (events - 1) / took
