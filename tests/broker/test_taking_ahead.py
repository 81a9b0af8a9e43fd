"""Records that a subscription takes ahead of their turn: none is lost, none comes twice, or after its partition went."""

import time
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition

from bridge.codecs.record import ConsumedRecord
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import SERVE_SECONDS, Subscription
from tests.broker.conftest import Subscribe, numbered, read, until


def read_ahead(subscription: Subscription) -> list[ConsumedRecord]:
    """Read until the client has given more than was asked for; return what was."""
    found: list[ConsumedRecord] = []
    until(lambda: found.extend(read(subscription, 1)) or len(subscription._ahead) > 5)
    return found


def test_records_that_were_taken_ahead_of_their_turn_are_given_out_in_order_and_once(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(300, key="one target"))
    subscription = subscribe()
    found = read_ahead(subscription)
    while len(found) < 300:
        subscription.rest(0.0)
        found += read(subscription, min(60, 300 - len(found)))

    assert [int(record.record.value or b"") for record in found] == list(range(300))
    assert read(subscription, 1, seconds=0.5) == []


def test_what_was_taken_ahead_of_its_turn_goes_with_its_partition(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    """Who gave it out after that would have it committed, past what the next owner has to do."""
    publisher.publish(topic, numbered(300, key="one target"))
    gone: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=gone.extend)
    found = read_ahead(subscription)
    subscription.commit({(topic, found[0].partition): 1})
    subscription.rejoin()
    until(lambda: subscription.rest(0.05) or gone)

    assert not subscription._ahead
    assert [record.offset for record in read(subscription, 299)] == list(range(1, 300))


class Interrupted:
    """The client, but as it takes records its partitions go, and come back: nobody can tell which records are from before.

    Parameters
    ----------
    subscription
        Whose client it is.
    late
        Whether those that it takes are fetched after the partitions came back.
    """

    def __init__(self, subscription: Subscription, *, late: bool) -> None:
        self._subscription = subscription
        self._client = subscription._consumer
        self._late = late
        self.times = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def consume(self, most: int, timeout: float) -> list[Message]:
        messages = self._client.consume(most, timeout)
        if messages and self.times:
            self.times -= 1
            partitions = [TopicPartition(*place) for place in self._subscription.assigned]
            self._subscription._revoked(self._client, partitions)
            self._subscription._assigned(self._client, partitions)
            if self._late:
                taken = (self._client.consume(1, 5.0) for _ in range(10))  # some are partitions' ends
                messages = next(some for some in taken if any(message.error() is None for message in some))
        return messages


@pytest.mark.parametrize("late", [False, True], ids=["fetched-before", "fetched-after"])
def test_records_in_the_midst_of_which_partitions_went_are_asked_for_again(
    publisher: Publisher, topic: str, subscribe: Subscribe, late: bool
) -> None:
    publisher.publish(topic, numbered(300, key="one target"))
    subscription = subscribe()
    interrupted: Any = Interrupted(subscription, late=late)
    subscription._consumer = interrupted
    found = read(subscription, 300)

    assert interrupted.times == 0
    assert [record.offset for record in found] == list(range(300))


def test_rebalances_are_served_though_records_wait_that_were_taken_ahead_of_their_turn(
    publisher: Publisher, topic: str, subscribe: Subscribe
) -> None:
    """A slow destination takes long for those; the other members must not wait for it."""
    publisher.publish(topic, numbered(300, key="one target"))
    gone: list[tuple[str, int]] = []
    subscription = subscribe(on_revoke=gone.extend)
    read_ahead(subscription)
    subscription.rejoin()
    waiting: list[int] = []

    def poll_slowly() -> bool:
        waiting.append(len(subscription._ahead))
        subscription.poll(0.0)
        time.sleep(SERVE_SECONDS)
        return bool(gone)

    until(poll_slowly)
    assert min(waiting) > 0
