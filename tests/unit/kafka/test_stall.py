"""A client that has stopped fetching is noticed, and one that has nothing to give is not accused."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from bridge.kafka.stall import AGAIN_SECONDS, STALL_SECONDS, StallWatch
from bridge.ledger import Partition

ONE, OTHER = ("tom.shares", 0), ("tom.shares", 1)


class Broker:
    """Says how many records wait, and remembers what it was asked."""

    def __init__(self, **waiting: int) -> None:
        self.waiting = {ONE: waiting.get("one", 0), OTHER: waiting.get("other", 0)}
        self.asked: list[Partition] = []
        self.is_away = False

    def __call__(self, partition: Partition) -> int:
        self.asked.append(partition)
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return self.waiting[partition]


def watched(broker: Broker) -> StallWatch:
    watch = StallWatch(broker)
    watch.follow(ONE, 0.0)
    watch.follow(OTHER, 0.0)
    return watch


def test_nobody_is_asked_while_records_come() -> None:
    broker = Broker(one=5)
    watch = watched(broker)
    watch.gave([ONE, OTHER], 20.0)

    assert watch.look(STALL_SECONDS) == 0
    assert broker.asked == []


def test_a_partition_that_stays_silent_though_records_wait_has_stalled() -> None:
    broker = Broker(one=5)
    watch = watched(broker)

    assert watch.look(STALL_SECONDS) == 0  # they may be on their way
    assert watch.look(STALL_SECONDS + AGAIN_SECONDS / 2) == 0
    assert watch.look(STALL_SECONDS + AGAIN_SECONDS) == 5
    assert broker.asked == [ONE, OTHER, ONE]  # the other has nothing, and is left alone for as long again


def test_one_that_gives_after_all_has_not() -> None:
    broker = Broker(one=5)
    watch = watched(broker)
    watch.look(STALL_SECONDS)
    watch.gave([ONE], STALL_SECONDS + 1.0)

    assert watch.look(STALL_SECONDS + AGAIN_SECONDS) == 0


def test_one_that_gives_nothing_because_nothing_is_there_has_not() -> None:
    watch = watched(Broker())

    assert [watch.look(STALL_SECONDS + n * AGAIN_SECONDS) for n in range(40)] == [0] * 40


def test_after_a_rest_it_counts_anew() -> None:
    broker = Broker(one=5)
    watch = watched(broker)
    watch.start_anew(STALL_SECONDS)

    assert watch.look(2 * STALL_SECONDS - 1.0) == 0
    assert broker.asked == []


def test_what_went_is_watched_no_longer_and_does_not_come_back_by_a_late_record() -> None:
    broker = Broker(one=5)
    watch = watched(broker)
    watch.leave(ONE)
    watch.gave([ONE], 1.0)

    assert [watch.look(STALL_SECONDS + n * AGAIN_SECONDS) for n in range(3)] == [0] * 3
    assert ONE not in broker.asked


def test_a_broker_that_is_away_is_somebody_elses_matter() -> None:
    broker = Broker(one=5)
    broker.is_away = True
    with pytest.raises(KafkaException):
        watched(broker).look(STALL_SECONDS)


def test_a_broker_that_does_not_say_is_not_asked_over_and_over() -> None:
    broker = Broker(one=5)
    broker.is_away = True
    watch = watched(broker)
    with pytest.raises(KafkaException):
        watch.look(STALL_SECONDS)

    assert watch.look(2 * STALL_SECONDS - 1.0) == 0
    assert broker.asked == [ONE]
