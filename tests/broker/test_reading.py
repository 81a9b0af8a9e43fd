"""Reading a topic up to its end: all of it, in order, and nobody's offsets move."""

import pytest

from bridge.codecs.record import Record
from bridge.errors import Misconfigured
from bridge.kafka.connection import Connection
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.messages import UNREADABLE
from bridge.kafka.publisher import Publisher
from bridge.kafka.reading import read_to_end
from tests.broker.conftest import Subscribe, numbered, read, values
from tests.support.odd_headers import publish_with_header_name


def test_all_is_read_each_partition_in_order(connection: Connection, publisher: Publisher, topic: str) -> None:
    publisher.publish(topic, numbered(40))

    found = list(read_to_end(connection, topic))

    assert values(found) == list(range(40))
    assert len({consumed.partition for consumed in found}) > 1
    for partition in {consumed.partition for consumed in found}:
        offsets = [consumed.offset for consumed in found if consumed.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_an_empty_topic_has_nothing(connection: Connection, topic: str) -> None:
    assert list(read_to_end(connection, topic)) == []


def test_what_comes_later_is_not_waited_for(connection: Connection, publisher: Publisher, topic: str) -> None:
    publisher.publish(topic, numbered(3, key="a"))
    reading = read_to_end(connection, topic)
    first = next(reading)
    publisher.publish(topic, numbered(5, key="a"))

    assert values([first, *reading]) == [0, 1, 2]


def test_a_consumer_of_the_topic_is_not_disturbed(
    connection: Connection, publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10))
    subscription = subscribe()
    before = read(subscription, 10)
    for record in before:
        assert subscription.commit({(topic, record.partition): record.next_offset})

    assert len(list(read_to_end(connection, topic))) == 10

    publisher.publish(topic, numbered(4))
    assert len(read(subscription, 4)) == 4


def test_a_topic_that_does_not_exist_is_named(connection: Connection) -> None:
    with pytest.raises(Misconfigured, match=r"no topic nowhere.*topics create share-stream:nowhere"):
        list(read_to_end(connection, "nowhere"))


def test_a_header_whose_name_is_not_utf8_is_told_however_many_were_read_before(
    broker: EmbeddedBroker, connection: Connection, publisher: Publisher, topic: str
) -> None:
    many = 200  # calls after which Python takes short cuts
    publisher.publish(topic, [Record(key=b"a", value=b"0", headers=(("name", b"value"),))] * many)
    for _ in range(3):
        publish_with_header_name(broker.bootstrap, topic, b"\xff\xfe", b"0")

    headers = [consumed.record.headers for consumed in read_to_end(connection, topic)]

    assert sorted(headers) == [(("name", b"value"),)] * many + [UNREADABLE] * 3
