"""An embedded broker for each test, and what one does with it."""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from bridge.codecs.record import ConsumedRecord, Record
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.support.publishing import publisher_to
from tests.support.waiting import wait_for

TOPIC = "tom.shares"


@pytest.fixture(autouse=True)
def _short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock cluster hands the partitions of a member that left on only when its session is over."""
    monkeypatch.setattr("bridge.kafka.subscription.SESSION_MS", 4_000)


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """The broker; topics are the tests' own."""
    with EmbeddedBroker() as running:
        yield running


_numbers = itertools.count()


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    """A topic of the test's own, with the embedded broker's four partitions."""
    name = f"{TOPIC}.at-broker.{next(_numbers)}"  # other tests, beside these on Apache Kafka, count theirs without it
    broker.create_topic(name)
    return name


@pytest.fixture(scope="session")
def connection(broker: EmbeddedBroker) -> Connection:
    return connect_settings("share-stream", StreamEntry(BASE_URL=broker.url))


@pytest.fixture(scope="session")
def publisher(broker: EmbeddedBroker) -> Publisher:
    return publisher_to(broker.url)


Subscribe = Callable[..., Subscription]


@pytest.fixture
def subscribe(connection: Connection, topic: str) -> Iterator[Subscribe]:
    """Subscribe to the test's topic; what is still open at its end is closed."""
    made: list[Subscription] = []

    def start(**about: object) -> Subscription:
        options = {"topics": [topic], "group": f"group of {topic}", "start": "earliest"} | about
        made.append(Subscription(connection, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for subscription in made:
        subscription.close()


def numbered(count: int, key: str | None = None) -> list[Record]:
    """Return records whose value is their number, each of a target of its own unless a key is given."""
    return [Record(key=(key or f"target-{number}").encode(), value=str(number).encode(), headers=()) for number in range(count)]


def read(subscription: Subscription, count: int, seconds: float = 20.0) -> list[ConsumedRecord]:
    """Return so many records, or fewer if they don't come in time."""
    found: list[ConsumedRecord] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        record = subscription.poll(0.1)
        if record is not None:
            found.append(record)
    return found


def values(records: list[ConsumedRecord]) -> list[int]:
    return sorted(int(consumed.record.value or b"") for consumed in records)


until = partial(wait_for, what="it comes about", seconds=30.0, every=0.05)
"""Wait until a condition is true."""
