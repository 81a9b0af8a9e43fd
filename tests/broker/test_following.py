"""Following topics as nobody's consumer: from any place, live or to the end, and without a trace at the broker."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions

from bridge.codecs.record import ConsumedRecord
from bridge.demo.ports import free_port
from bridge.errors import Misconfigured, Retryable
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.following import Following
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read, values
from tests.support.kafka import ApacheKafka

Follow = Callable[..., Following]


@pytest.fixture
def follow(connection: Connection, topic: str) -> Iterator[Follow]:
    """Follow the test's topic; what is still open at its end is closed."""
    made: list[Following] = []

    def start(start: str = "earliest", *, on: Connection = connection, topics: tuple[str, ...] = (topic,)) -> Following:
        made.append(Following(on, topics=topics, start=start))
        return made[-1]

    yield start
    for following in made:
        following.close()


@pytest.fixture
def kafka(apache_kafka: ApacheKafka, topic: str) -> tuple[ApacheKafka, Connection]:
    """Apache Kafka with the test's topic, of one partition."""
    apache_kafka.create_topic(topic)
    return apache_kafka, connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://{apache_kafka.bootstrap}/"))


def take(following: Following, count: int, seconds: float = 20.0) -> list[int]:
    """Return the numbers of so many records, in the order in which they came."""
    found: list[int] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        consumed = following.poll(0.1)
        if consumed is not None:
            found.append(int(consumed.record.value or b""))
    return found


def nothing_comes(following: Following, seconds: float = 0.5) -> bool:
    return take(following, 1, seconds) == []


def drained(following: Following) -> list[ConsumedRecord]:
    return list(following.records(drain=True))


# --- where it begins


def test_earliest_is_all_that_is_there_each_partition_in_order(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(40))
    found = drained(follow("earliest"))

    assert values(found) == list(range(40))
    assert len({consumed.partition for consumed in found}) > 1
    for partition in {consumed.partition for consumed in found}:
        offsets = [consumed.offset for consumed in found if consumed.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_latest_is_what_comes_from_now_on(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(10))
    following = follow("latest")
    assert nothing_comes(following)
    publisher.publish(topic, numbered(13)[10:])

    assert sorted(take(following, 3)) == [10, 11, 12]
    assert nothing_comes(following)


def test_nothing_between_its_making_and_its_first_poll_is_missed(publisher: Publisher, topic: str, follow: Follow) -> None:
    following = follow("latest")
    publisher.publish(topic, numbered(3))

    assert sorted(take(following, 3)) == [0, 1, 2]


@pytest.mark.parametrize("on", ["the embedded broker", "Apache Kafka"])
def test_a_time_is_a_place_to_begin(
    request: pytest.FixtureRequest, connection: Connection, topic: str, follow: Follow, on: str
) -> None:
    if on == "Apache Kafka":
        _broker, connection = request.getfixturevalue("kafka")
    publisher = Publisher(connection)
    publisher.publish(topic, numbered(5))
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)
    publisher.publish(topic, numbered(8)[5:])
    as_texts = [between.isoformat(), between.replace(tzinfo=None).isoformat(), f"{between:%Y-%m-%dT%H:%M:%S.%fZ}"]

    assert [values(drained(follow(text, on=connection))) for text in as_texts] == [[5, 6, 7]] * 3


@pytest.mark.parametrize(("days", "expected"), [(-1, [0, 1, 2]), (-100_000, [0, 1, 2]), (1, [])])
def test_a_time_before_everything_or_after_it_is_a_place_too(
    kafka: tuple[ApacheKafka, Connection], topic: str, follow: Follow, days: int, expected: list[int]
) -> None:
    _broker, connection = kafka
    Publisher(connection).publish(topic, numbered(3))
    start = (datetime.now(UTC) + timedelta(days=days)).isoformat()

    assert values(drained(follow(start, on=connection))) == expected


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_another_goes_on_where_one_was_left_wherever_it_began(
    publisher: Publisher, topic: str, follow: Follow, start: str
) -> None:
    publisher.publish(topic, numbered(10))
    left = follow("earliest")
    before = take(left, 4)
    publisher.publish(topic, numbered(13)[10:])
    following = follow(start)
    following.go_on(left.positions)

    assert sorted(before + take(following, 9)) == list(range(13))
    assert nothing_comes(following)
    publisher.publish(topic, numbered(14)[13:])
    assert take(following, 1) == [13]


def test_a_partition_that_was_not_there_is_read_from_its_beginning(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(10))
    left = follow("earliest")
    first = min(consumed.partition for consumed in drained(left))
    known = {place: offset for place, offset in left.positions.items() if place[1] != first}
    following = follow("latest")
    following.go_on(known)

    assert {consumed.partition for consumed in following.records(drain=True)} == {first}


@pytest.mark.parametrize("start", ["", "yesterday", "0", "-1", "2026-13-01", "earliest "])
def test_what_is_no_place_to_begin_is_refused(follow: Follow, start: str) -> None:
    with pytest.raises(Misconfigured, match="neither earliest, latest nor a time"):
        follow(start)


def test_topics_are_followed_together(broker: EmbeddedBroker, publisher: Publisher, topic: str, follow: Follow) -> None:
    other = f"{topic}.other"
    broker.create_topic(other)
    publisher.publish(other, numbered(4))
    publisher.publish(topic, numbered(6)[4:])
    found = drained(follow(topics=(topic, other, topic)))

    assert values(found) == list(range(6))
    assert {consumed.topic for consumed in found} == {topic, other}


def test_a_topic_that_does_not_exist_is_named(follow: Follow) -> None:
    with pytest.raises(Misconfigured, match=r"no topic nowhere.*topics create share-stream:nowhere"):
        follow(topics=("nowhere",))


def test_a_closed_port_is_told_with_the_streams_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kafka.following.REQUEST_SECONDS", 1.0)
    closed = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/"))
    with pytest.raises(Retryable, match="stream share-stream"):
        Following(closed, topics=["t"], start="earliest")


# --- to the end


def test_drained_means_read_up_to_the_end_that_was_there_at_the_beginning(
    publisher: Publisher, topic: str, follow: Follow
) -> None:
    publisher.publish(topic, numbered(10))
    following = follow()

    assert not following.drained
    take(following, 9)
    assert not following.drained
    publisher.publish(topic, numbered(1))
    take(following, 2)
    assert following.drained


def test_what_comes_while_it_drains_is_left_out(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(3, key="a"))
    publisher.publish(topic, numbered(4)[3:])
    reading = follow().records(drain=True)
    publisher.publish(topic, numbered(9, key="a")[4:])

    assert values(list(reading)) == [0, 1, 2, 3]


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_an_empty_topic_is_drained_at_once(follow: Follow, start: str) -> None:
    following = follow(start)

    assert following.drained
    assert drained(following) == []


def test_latest_is_drained_at_once(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(10))

    assert drained(follow("latest")) == []


def test_who_waits_is_told_that_nothing_is_there(publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(2))
    told: list[float] = []
    live = follow().records(drain=False, idle=lambda: told.append(time.monotonic()) or publisher.publish(topic, numbered(1)))
    found = [next(live) for _ in range(3)]

    assert values(found) == [0, 0, 1]
    assert told


def test_a_topic_that_gives_nothing_before_its_end_is_an_error(
    publisher: Publisher, topic: str, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.following.PATIENCE_SECONDS", 1.0)
    publisher.publish(topic, numbered(3))
    following = follow()
    following._consumer.pause([TopicPartition(*place) for place in following.partitions])

    with pytest.raises(Retryable, match="nothing more, before its end"):
        drained(following)


# --- nobody is disturbed


def test_a_consumer_of_the_topic_is_not_disturbed_and_two_see_everything(
    publisher: Publisher, topic: str, subscribe: Subscribe, follow: Follow
) -> None:
    publisher.publish(topic, numbered(10))
    subscription = subscribe()
    for record in read(subscription, 10):
        assert subscription.commit({(topic, record.partition): record.next_offset})
    one, other = follow(), follow()

    assert sorted(take(one, 10)) == sorted(take(other, 10)) == list(range(10))
    publisher.publish(topic, numbered(4))
    assert len(read(subscription, 4)) == len(take(one, 4)) == len(take(other, 4)) == 4
    assert subscription.is_member


def test_nothing_is_committed(connection: Connection, publisher: Publisher, topic: str, follow: Follow) -> None:
    publisher.publish(topic, numbered(10))
    following = follow()
    assert len(drained(following)) == 10
    following.close()
    asking = Consumer({**connection.config, "group.id": "tom-bridge.following"})
    committed = asking.committed([TopicPartition(topic, number) for number in range(4)], timeout=10)
    asking.close()

    assert [place.offset for place in committed] == [OFFSET_INVALID] * 4


def test_the_broker_knows_of_no_group(kafka: tuple[ApacheKafka, Connection], topic: str, follow: Follow) -> None:
    broker, connection = kafka
    Publisher(connection).publish(topic, numbered(10))
    following = follow(on=connection)
    assert len(drained(following)) == 10
    admin = broker.admin
    during = admin.list_consumer_groups().result(30)
    following.close()
    after = admin.list_consumer_groups().result(30)

    assert [group.group_id for listed in (during, after) for group in listed.valid if "following" in group.group_id] == []


# --- what happens to a topic


def test_new_partitions_are_noticed_and_read_from_their_beginning(
    kafka: tuple[ApacheKafka, Connection], topic: str, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.following.LOOK_SECONDS", 0.5)
    broker, connection = kafka
    publisher = Publisher(connection)
    publisher.publish(topic, numbered(3))
    following = follow("latest", on=connection)
    assert nothing_comes(following)
    admin = broker.admin
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)
    Publisher(connection).publish(topic, numbered(43)[3:])  # a new one, which knows of four

    assert sorted(take(following, 40)) == list(range(3, 43))
    assert sorted(following.partitions) == [(topic, number) for number in range(4)]


def test_what_a_topic_no_longer_keeps_is_passed_over_and_counted(
    kafka: tuple[ApacheKafka, Connection], topic: str, follow: Follow
) -> None:
    broker, connection = kafka
    publisher = Publisher(connection)
    publisher.publish(topic, numbered(3))
    following = follow(on=connection)
    assert take(following, 3) == [0, 1, 2]
    following._consumer.pause([TopicPartition(topic, 0)])
    publisher.publish(topic, numbered(10)[3:])
    admin = broker.admin
    admin.delete_records([TopicPartition(topic, 0, 8)])[TopicPartition(topic, 0, 8)].result(30)
    following._consumer.seek(TopicPartition(topic, 0, 3))
    following._consumer.resume([TopicPartition(topic, 0)])

    assert take(following, 2) == [8, 9]
    assert following.passed_over == 5
    assert nothing_comes(following)


def test_a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(
    kafka: tuple[ApacheKafka, Connection], topic: str, follow: Follow
) -> None:
    broker, connection = kafka
    Publisher(connection).publish(topic, numbered(10))
    following = follow(on=connection)
    assert len(take(following, 10)) == 10
    broker.delete_topic(topic)
    broker.create_topic(topic)
    Publisher(connection).publish(topic, numbered(2))

    assert take(following, 2, 60) == [0, 1]


def test_a_client_that_gives_nothing_of_what_is_there_is_replaced(
    publisher: Publisher, topic: str, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.following.STALL_SECONDS", 1.0)
    monkeypatch.setattr("bridge.kafka.following.LOOK_SECONDS", 0.5)
    publisher.publish(topic, numbered(10, key="one target"))
    following = follow()
    first = take(following, 4)
    stalled = following._consumer
    stalled.pause([TopicPartition(*place) for place in following.partitions])  # as if it had forgotten to fetch

    assert first + take(following, 6) == list(range(10))
    assert following._consumer is not stalled
