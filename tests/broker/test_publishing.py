"""Publishing to a broker: what is called published is there, as it was given."""

import time

import pytest

from bridge import schemas
from bridge.codecs.native import decode, encode
from bridge.codecs.record import Record
from bridge.demo.ports import free_port
from bridge.errors import Misconfigured, Retryable
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import KEPT_BYTES, EmbeddedBroker
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read, values

EVENTS = list(schemas.example_events().values())


def test_events_arrive_as_they_were_published_headers_and_keys_included(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, [encode(event) for event in EVENTS])
    arrived = [consumed.record for consumed in read(subscribe(), len(EVENTS))]

    assert sorted(arrived, key=lambda record: dict(record.headers)["ce_id"]) == [encode(event) for event in EVENTS]
    assert {decode(record).id for record in arrived} == {event.id for event in EVENTS}


def test_what_is_called_published_is_at_the_broker(publisher: Publisher, topic: str, connection: Connection) -> None:
    confirmed: list[int] = []
    count = publisher.publish(topic, numbered(50), on_delivered=confirmed.append)
    extents = Admin(connection).extents(topic)

    assert count == 50
    assert confirmed == list(range(1, 51))
    assert sum(high - low for low, high in extents.values()) == 50


def test_publishing_nothing_is_fine(publisher: Publisher, topic: str) -> None:
    assert publisher.publish(topic, []) == 0


def test_one_targets_events_stay_in_one_partition_in_order(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(40, key="https://tom.example.org/targets/41/"))
    arrived = read(subscribe(), 40)

    assert len({consumed.partition for consumed in arrived}) == 1
    assert [int(consumed.record.value or b"") for consumed in arrived] == list(range(40))


def test_different_targets_spread_over_the_partitions(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(60))

    assert {consumed.partition for consumed in read(subscribe(), 60)} == {0, 1, 2, 3}


def test_records_without_key_or_value_arrive_so(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    odd = Record(key=None, value=None, headers=(("a", b"\xff"), ("a", b""), ("α", "β".encode())))
    publisher.publish(topic, [odd])

    assert [consumed.record for consumed in read(subscribe(), 1)] == [odd]


def test_a_closed_port_is_told_within_seconds_with_the_streams_name() -> None:
    closed = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/"))
    started = time.monotonic()
    with pytest.raises(Retryable, match=r"stream share-stream \(127\.0\.0\.1:\d+\), publishing to t: .*refused"):
        Publisher(closed, delivery_timeout_seconds=1.5).publish("t", numbered(1))

    assert time.monotonic() - started < 5


def test_admin_tells_a_closed_port_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kafka.admin.REQUEST_SECONDS", 1.0)
    closed = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/"))
    with pytest.raises(Retryable, match=r"stream share-stream .*listing topics: .*refused"):
        Admin(closed).topics()


def test_a_publisher_goes_on_after_a_topic_that_it_could_not_write(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(1))
    with pytest.raises(Exception, match="more bytes than"):
        publisher.publish(topic, _failing())
    publisher.publish(topic, numbered(2)[1:])

    assert set(values(read(subscribe(), 2))) >= {0, 1}


def _failing() -> list[Record]:
    raise ValueError("more bytes than there are")


def test_topics_are_listed_with_their_partitions(connection: Connection, topic: str) -> None:
    info = Admin(connection).topics()[topic]

    assert (info.name, info.partitions, info.replicas) == (topic, 4, 1)


def test_the_extents_of_a_topic_that_is_not_there_are_refused(connection: Connection) -> None:
    with pytest.raises(Misconfigured, match=r"share-stream: no topic not\.there"):
        Admin(connection).extents("not.there")


def test_the_embedded_broker_says_that_it_cannot_create_topics(connection: Connection) -> None:
    with pytest.raises(Misconfigured, match="this is the embedded broker, which makes a topic on first use"):
        Admin(connection).create("new.topic", partitions=1, replicas=1)


def test_the_byte_guard_stops_before_the_embedded_broker_drops_data() -> None:
    EmbeddedBroker.guard(KEPT_BYTES * 8 // 10)
    with pytest.raises(Misconfigured, match=r"5,242,880 bytes are too many .* use Apache Kafka"):
        EmbeddedBroker.guard(KEPT_BYTES)


def test_the_guard_is_right_about_what_the_embedded_broker_keeps(
    publisher: Publisher, topic: str, connection: Connection
) -> None:
    """Below the guard's limit everything is kept, in one partition too; beyond it the oldest is gone."""
    import random

    noise = random.Random(4)
    half = [Record(key=b"k", value=noise.randbytes(100_000), headers=()) for _ in range(45)]

    publisher.publish(topic, half)
    assert {low for low, _high in Admin(connection).extents(topic).values()} == {0}
    publisher.publish(topic, half)
    assert {low for low, _high in Admin(connection).extents(topic).values()} != {0}


def test_two_embedded_brokers_do_not_know_each_other(broker: EmbeddedBroker, topic: str, publisher: Publisher) -> None:
    publisher.publish(topic, numbered(3))
    with EmbeddedBroker() as other:
        other.create_topic(topic)
        connection = connect_settings("other", StreamEntry(BASE_URL=other.url))
        extents = Admin(connection).extents(topic)

    assert other.bootstrap != broker.bootstrap
    assert set(extents.values()) == {(0, 0)}


def test_a_missing_topic_is_told_with_the_command_to_run(connection: Connection) -> None:
    with pytest.raises(
        Misconfigured, match=r"no topic not\.there; create it: tom-bridge topics create share-stream:not\.there"
    ):
        Subscription(connection, topics=["not.there"], group="g", start="earliest")
