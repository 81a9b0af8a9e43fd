"""Reading as a member of a group: nothing is passed over, nothing is committed by itself."""

import threading
import time

import pytest
from confluent_kafka import TopicPartition

from bridge.demo.ports import free_port
from bridge.errors import Halt, Retryable
from bridge.kafka.connection import connect_settings
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read, until, values


def test_who_commits_nothing_gets_everything_again(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(20))
    first = subscribe()

    assert values(read(first, 20)) == list(range(20))
    first.close()
    assert values(read(subscribe(), 20)) == list(range(20))


def test_who_comes_back_goes_on_behind_what_was_committed(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    first = subscribe()
    for consumed in read(first, 4):
        assert first.commit({(topic, consumed.partition): consumed.next_offset})
    first.close()
    publisher.publish(topic, numbered(12, key="one target")[10:])

    assert values(read(subscribe(), 8)) == list(range(4, 12))


def test_a_commit_covers_what_is_before_it_and_not_what_was_read_after(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    first = subscribe()
    records = read(first, 10)
    assert first.commit({(topic, records[5].partition): records[5].next_offset})
    first.close()

    assert values(read(subscribe(), 4)) == [6, 7, 8, 9]


def test_each_group_reads_for_itself(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(5))

    assert values(read(subscribe(group="one"), 5)) == list(range(5))
    assert values(read(subscribe(group="other"), 5)) == list(range(5))


def test_two_members_of_a_group_share_the_partitions_and_together_read_everything_once(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    one, other = subscribe(), subscribe()
    found: dict[int, list[int]] = {0: [], 1: []}
    stop = threading.Event()

    def consume(number: int, subscription: Subscription) -> None:
        while not stop.is_set():
            consumed = subscription.poll(0.1)
            if consumed is not None:
                found[number].append(int(consumed.record.value or b""))
                subscription.commit({(topic, consumed.partition): consumed.next_offset})

    threads = [threading.Thread(target=consume, args=pair) for pair in enumerate((one, other))]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(one.assigned) == len(other.assigned) == 2)
        assert not set(one.assigned) & set(other.assigned)
        publisher.publish(topic, numbered(40))
        until(lambda: len(found[0]) + len(found[1]) >= 40)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert sorted(found[0] + found[1]) == list(range(40))
    assert found[0]
    assert found[1]


def test_partitions_are_announced_before_they_are_taken_away(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(8))
    revoked: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=revoked.extend)
    read(subscription, 1)

    assert subscription.is_member
    assert sorted(subscription.assigned) == [(topic, number) for number in range(4)]
    assert revoked == []
    subscription.close()
    assert sorted(revoked) == [(topic, number) for number in range(4)]
    assert subscription.assigned == []
    assert not subscription.is_member


def test_what_is_committed_as_partitions_go_counts(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    first = subscribe()
    partition = read(first, 6)[0].partition
    first.on_revoke = lambda _partitions: first.commit({(topic, partition): 6})
    first.close()

    assert values(read(subscribe(), 4)) == [6, 7, 8, 9]


def test_what_is_raised_as_partitions_go_is_raised_by_poll(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    subscription = subscribe()
    until(lambda: subscription.poll(0.1) is None and subscription.is_member)

    def refuse(_partitions: object) -> None:
        raise Halt("tom_login", "refused")

    subscription.on_revoke = refuse
    subscription.rejoin()
    with pytest.raises(Halt):
        until(lambda: subscription.poll(0.1) is not None)


def test_commits_of_several_partitions_go_together_and_each_goes_on_from_its_own(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(40))
    first = subscribe()
    records = read(first, 40)
    half = {(topic, number): sum(record.partition == number for record in records) // 2 for number in range(4)}
    assert first.commit(half)
    first.close()
    rest = [int(record.record.value or b"") for record in records if record.offset >= half[topic, record.partition]]

    assert values(read(subscribe(), len(rest))) == sorted(rest)


def test_who_joins_anew_is_told_that_the_partitions_went_and_begins_behind_the_commit(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    gone: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=gone.extend, on_lost=gone.extend)
    records = read(subscription, 6)
    subscription.commit({(topic, records[3].partition): records[3].next_offset})
    before = list(gone)
    subscription.rejoin()
    again = read(subscription, 6)

    assert before == []
    assert sorted(gone) == [(topic, number) for number in range(4)]
    assert values(again) == [4, 5, 6, 7, 8, 9]


def test_lag_is_what_is_not_done_with(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    subscription = subscribe()
    place = (topic, read(subscription, 10)[0].partition)

    assert subscription.lag(place, None) == 0
    assert subscription.lag(place, 4) == 6
    assert subscription.lag((topic, 99), None) is None
    assert subscription.is_broker_there


def test_drained_means_read_up_to_the_end_that_was_there_at_the_start(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10))
    subscription = subscribe()

    assert not subscription.drained
    read(subscription, 9)
    assert not subscription.drained
    publisher.publish(topic, numbered(1))
    read(subscription, 2)
    assert subscription.drained


def test_an_empty_topic_is_drained_once_its_partitions_are_known(subscribe: Subscribe) -> None:
    subscription = subscribe()

    assert not subscription.drained
    until(lambda: subscription.poll(0.1) is None and subscription.drained)
    assert len(subscription.assigned) == 4


# FAILS: between giving its partitions up and getting new ones a member has none, and calls that drained.
def test_a_member_is_not_drained_while_partitions_are_shared_out_anew(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(40))
    one = subscribe()
    first = read(one, 1)
    other = subscribe()
    called_drained: list[bool] = []
    other_joins = threading.Thread(target=lambda: until(lambda: other.poll(0.1) is None and bool(other.assigned)))
    other_joins.start()
    end = time.monotonic() + 30
    while not len(other.assigned) == len(one.assigned) == 2 and time.monotonic() < end:
        one.rest(0.05)
        called_drained.append(one.drained)
    other_joins.join()

    assert first
    assert len(one.assigned) == 2
    assert not any(called_drained)


def test_latest_begins_behind_what_is_there_and_passes_over_nothing_after(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    """What is published while a new consumer is down, before its first commit, is not passed over either."""
    publisher.publish(topic, numbered(10))
    first = subscribe(start="latest")
    until(lambda: first.poll(0.1) is None and bool(first.assigned))
    first.close()
    publisher.publish(topic, numbered(14)[10:])

    assert values(read(subscribe(start="latest"), 4)) == [10, 11, 12, 13]


def test_a_rest_keeps_the_partitions_takes_no_records_and_loses_none(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(20))
    subscription = subscribe()
    before = read(subscription, 3)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        subscription.rest(0.05)

    assert len(subscription.assigned) == 4
    assert values(before + read(subscription, 17)) == list(range(20))


def test_who_rests_and_takes_by_turns_has_everything_once(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(30))
    subscription = subscribe()
    found = read(subscription, 1)
    while len(found) < 30:
        subscription.rest(0.0)
        found += read(subscription, 1)
        subscription.rest(0.02)

    assert values(found) == list(range(30))


def test_who_rests_as_its_partitions_go_goes_on_when_they_are_back(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    gone: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=gone.extend)
    read(subscription, 10)
    subscription.rest(0.1)
    subscription.rejoin()
    until(lambda: subscription.rest(0.05) or gone)

    assert values(read(subscription, 10)) == list(range(10))


def test_a_rest_returns_in_time(subscribe: Subscribe) -> None:
    subscription = subscribe()
    started = time.monotonic()
    subscription.rest(0.3)

    assert time.monotonic() - started < 5


def test_a_closed_port_is_told_with_the_streams_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kafka.subscription.REQUEST_SECONDS", 1.0)
    closed = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/"))
    with pytest.raises(Retryable, match="stream share-stream"):
        Subscription(closed, topics=["t"], group="g", start="earliest")


def test_a_client_that_gives_nothing_of_what_is_there_is_replaced(
    publisher: Publisher, topic: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.stall.STALL_SECONDS", 1.0)
    publisher.publish(topic, numbered(4, key="one target"))
    subscription = subscribe()
    for consumed in read(subscription, 4):
        subscription.commit({(topic, consumed.partition): consumed.next_offset})
    stalled = subscription._consumer
    stalled.pause([TopicPartition(*place) for place in subscription.assigned])  # as if it had forgotten to fetch
    publisher.publish(topic, numbered(10, key="one target")[4:])

    with pytest.raises(Retryable, match="gave none of 6 records that wait"):
        read(subscription, 1)
    subscription.rejoin()

    assert subscription._consumer is not stalled
    assert values(read(subscription, 6)) == list(range(4, 10))


def test_a_client_that_has_nothing_to_give_is_left_alone(
    publisher: Publisher, topic: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.stall.STALL_SECONDS", 0.5)
    publisher.publish(topic, numbered(4))
    subscription = subscribe()
    read(subscription, 4)
    asked_at = max(subscription._stall._given_at.values())
    end = time.monotonic() + 30.0
    while min(subscription._stall._given_at.values()) < asked_at + 3 * 0.5:  # it has asked of each more than once
        assert subscription.poll(0.1) is None
        assert time.monotonic() < end
    client = subscription._consumer

    publisher.publish(topic, numbered(5)[4:])
    assert values(read(subscription, 1)) == [4]
    assert subscription._consumer is client
