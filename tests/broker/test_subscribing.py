"""Reading as a member of a group: nothing is passed over, nothing is committed by itself."""

import threading
import time

import pytest

from bridge.errors import Retryable
from bridge.kafka.connection import connect_settings
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read, values
from tests.support.ports import free_port


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
        first.commit(consumed)
    first.close()
    publisher.publish(topic, numbered(12, key="one target")[10:])

    assert values(read(subscribe(), 8)) == list(range(4, 12))


def test_a_commit_covers_what_is_before_it_and_not_what_was_read_after(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(10, key="one target"))
    first = subscribe()
    records = read(first, 10)
    first.commit(records[5])
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
                subscription.commit(consumed)

    threads = [threading.Thread(target=consume, args=pair) for pair in enumerate((one, other))]
    for thread in threads:
        thread.start()
    try:
        _until(lambda: len(one.assigned) == len(other.assigned) == 2)
        assert not set(one.assigned) & set(other.assigned)
        publisher.publish(topic, numbered(40))
        _until(lambda: len(found[0]) + len(found[1]) >= 40)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert sorted(found[0] + found[1]) == list(range(40))
    assert found[0]
    assert found[1]


def _until(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_partitions_are_announced_before_they_are_taken_away(publisher: Publisher, topic: str, subscribe: Subscribe) -> None:
    publisher.publish(topic, numbered(8))
    revoked: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=revoked.extend)
    record = read(subscription, 1)[0]

    assert subscription.owns(record)
    subscription.close()
    assert sorted(revoked) == [(topic, number) for number in range(4)]
    assert not subscription.owns(record)


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
    _until(lambda: subscription.poll(0.1) is None and subscription.drained)
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
    other_joins = threading.Thread(target=lambda: _until(lambda: other.poll(0.1) is None and bool(other.assigned)))
    other_joins.start()
    end = time.monotonic() + 30
    while not len(other.assigned) == len(one.assigned) == 2 and time.monotonic() < end:
        one.hold(0.05, until=lambda: False)
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
    _until(lambda: first.poll(0.1) is None and bool(first.assigned))
    first.close()
    publisher.publish(topic, numbered(14)[10:])

    assert values(read(subscribe(start="latest"), 4)) == [10, 11, 12, 13]


def test_a_hold_keeps_the_partitions_takes_no_records_and_loses_none(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(20))
    subscription = subscribe()
    before = read(subscription, 3)
    subscription.hold(1.2, until=lambda: False)

    assert len(subscription.assigned) == 4
    assert values(before + read(subscription, 17)) == list(range(20))


def test_a_hold_ends_when_it_is_told_to(subscribe: Subscribe) -> None:
    subscription = subscribe()
    started = time.monotonic()
    subscription.hold(60.0, until=lambda: time.monotonic() - started > 0.5)

    assert time.monotonic() - started < 5


def test_a_closed_port_is_told_with_the_streams_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.kafka.subscription.REQUEST_SECONDS", 1.0)
    closed = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/"))
    with pytest.raises(Retryable, match="stream share-stream"):
        Subscription(closed, topics=["t"], group="g", start="earliest")
