"""Where the page begins: at a time on any broker, the embedded one included, which finds no offsets by time."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from bridge.cli.serving import _Parts
from bridge.kafka.embedded import EmbeddedBroker
from bridge.settings import Settings

NOW = datetime.now(UTC)
Begun = Callable[[str], list[bytes | None]]


@pytest.fixture
def begun(broker: EmbeddedBroker, topic: str) -> Begun:
    """A topic with records of two days ago, an hour ago and now; returns what the page reads of it from a place on."""
    producer = Producer({"bootstrap.servers": broker.url.removeprefix("kafka://").rstrip("/")})
    for hours in (48, 1, 0):
        moment = NOW - timedelta(hours=hours)
        producer.produce(topic, str(hours).encode(), b"key", timestamp=int(moment.timestamp() * 1000))
    assert producer.flush(20) == 0
    settings = Settings(origin="test", sharing={"stream": {"BASE_URL": broker.url}}, consumers={}, environment=None)
    parts = _Parts(settings, "stream", [topic], {})

    def read(start: str) -> list[bytes | None]:
        with closing(parts.follow(start)) as following:
            return [consumed.record.value for consumed in following.records(drain=True)]

    return read


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", [b"48", b"1", b"0"]),
        ("", [b"1", b"0"]),
        ((NOW - timedelta(minutes=1)).isoformat(), [b"0"]),
        ("latest", []),
    ],
    ids=["earliest", "a day ago", "a minute ago", "latest"],  # the same in every process
)
def test_the_page_begins_where_it_is_told_to_or_a_day_ago(begun: Begun, start: str, expected: list[bytes]) -> None:
    assert begun(start) == expected
