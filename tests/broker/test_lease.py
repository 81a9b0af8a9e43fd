"""The right to write: one of several has it, and the next one gets it when that one leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
import structlog
from confluent_kafka import Consumer, TopicPartition

from bridge.errors import Abandoned, Misconfigured, Retryable
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.lease import Lease
from bridge.settings import StreamEntry
from tests.support.kafka import ApacheKafka

PATIENCE = 60.0
Join = Callable[..., Lease]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another member learns of the lease only when the mock cluster's session of the old one is over."""
    monkeypatch.setattr("bridge.kafka.lease.SESSION_SECONDS", 6.0)
    monkeypatch.setattr("bridge.kafka.lease.BELIEVED_SECONDS", 4.0)
    monkeypatch.setattr("bridge.kafka.lease.RENEW_SECONDS", 1.0)


@pytest.fixture
def join(connection: Connection, topic: str) -> Iterator[Join]:
    """Become a member; what is still open at the end is closed."""
    made: list[Lease] = []

    def start(to: Connection = connection, on: str = topic, **about: object) -> Lease:
        group = f"group of {on}.writer"
        made.append(Lease(to, topic=on, group=group, log=structlog.get_logger(), **about))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for lease in made:
        if lease._thread.is_alive():
            lease.close()


def holders(*leases: Lease) -> int:
    return sum(lease.is_held for lease in leases)


def test_a_member_alone_has_it_and_keeps_it_by_commits(join: Join) -> None:
    told: list[bool] = []
    lease = join(on_change=told.append)
    with lease.using(unless=never):
        assert lease.is_held
        proven = lease._proven_at
        until(lambda: lease._proven_at > proven)
        assert lease.is_held

    assert told == [True]
    lease.close()
    assert told == [True, False]
    assert not lease.is_held


def test_one_of_two_has_it_and_the_other_gets_it_when_that_one_leaves(join: Join) -> None:
    one, other = join(), join()
    until(lambda: holders(one, other) == 1)
    first, second = (one, other) if one.is_held else (other, one)
    with ThreadPoolExecutor(1) as pool:
        begun = threading.Event()

        def write() -> float:
            with second.using(unless=never):
                begun.set()
                return time.monotonic()

        waits = pool.submit(write)
        with first.using(unless=never):
            assert not begun.wait(1.0)
            assert holders(one, other) == 1
        closed_at = time.monotonic()
        first.close()
        assert waits.result(PATIENCE) > closed_at
    assert not first.is_held


def test_uses_may_be_nested_and_many_threads_may_use_it_at_once(join: Join) -> None:
    lease = join()
    with ThreadPoolExecutor(4) as pool:
        together = threading.Barrier(4)

        def write() -> int:
            with lease.using(unless=never), lease.using(unless=never):
                return together.wait(PATIENCE)

        assert sorted(future.result(PATIENCE) for future in [pool.submit(write) for _ in range(4)]) == [0, 1, 2, 3]
    assert lease._inside == 0


def test_who_waits_for_it_can_give_up(join: Join) -> None:
    one, other = join(), join()
    until(lambda: holders(one, other) == 1)
    second = other if one.is_held else one
    looks: list[int] = []
    with pytest.raises(Abandoned), second.using(unless=lambda: len(looks) > 2 or looks.append(1) is not None):
        pytest.fail("it was had")
    assert second._inside == 0


def test_it_is_given_back_when_there_is_nothing_to_write_and_had_again_when_there_is(join: Join) -> None:
    lease = join()
    until(lambda: lease.is_held)
    lease.release()
    until(lambda: not lease.is_held)
    with lease.using(unless=never):
        assert lease.is_held


def test_it_is_not_given_back_under_a_request(join: Join) -> None:
    lease = join()
    with lease.using(unless=never):
        lease.release()
        until(lambda: not lease._held)  # nobody new comes in
        with lease.using(unless=never):  # but what was begun may go on, for longer than it would be believed without commits
            proven = lease._proven_at
            until(lambda: lease._proven_at > proven + 2.0)
        with lease.using(unless=never):
            pass
    until(lambda: lease._inside == 0)


def test_a_process_that_stood_still_does_not_go_on_as_if_nothing_had_happened(join: Join) -> None:
    lease = join()
    with lease.using(unless=never):
        lease._prove = lambda _now: None  # type: ignore[method-assign]
        until(lambda: time.monotonic() > lease._proven_at + 4.0)
        assert not lease.is_held
        with pytest.raises(Retryable, match="could not be renewed"), lease.using(unless=never):
            pytest.fail("it went on")


def test_what_was_begun_before_somebody_else_had_it_does_not_go_on_after_it_was_given_again(join: Join) -> None:
    class Elsewhere:
        """The client is with its own thread."""

        def assign(self, _partitions: list[TopicPartition]) -> None:
            """Do nothing."""

    lease, client = join(), cast(Consumer, Elsewhere())
    with lease.using(unless=never):
        lease._lost(client, [])
        lease._assigned(client, [TopicPartition(lease._topic, 0)])
        until(lambda: lease.is_held)
        with pytest.raises(Retryable, match="could not be renewed"), lease.using(unless=never):
            pytest.fail("it went on")
    with lease.using(unless=never):
        assert lease.is_held


def test_a_failure_that_does_not_pass_is_told_to_who_waits(join: Join) -> None:
    lease = join(on="no.such.topic")
    with pytest.raises(Misconfigured, match="the topic does not exist"), lease.using(unless=never):
        pytest.fail("it was had")


def test_one_that_may_pass_is_not(join: Join) -> None:
    lease = join()
    lease._fail(Retryable("the broker restarts"))
    with lease.using(unless=never):
        assert lease.is_held


def test_on_apache_kafka_a_turn_ends_when_another_waits(
    apache_kafka: ApacheKafka, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.lease.TURN_SECONDS", 1.0)
    topic = f"lease.{time.monotonic_ns()}"
    apache_kafka.create_topic(topic)
    to = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://{apache_kafka.bootstrap}/"))
    leases = [join(to, topic) for _ in range(2)]
    inside, most, turns, stop = [0], [0], [0, 0], threading.Event()
    lock = threading.Lock()

    def write(number: int) -> None:
        while not stop.is_set():
            try:
                with leases[number].using(unless=stop.is_set):
                    with lock:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                        turns[number] += 1
                    time.sleep(0.005)
                    with lock:
                        inside[0] -= 1
            except Abandoned:
                return

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(write, number) for number in range(2)]
        try:
            until(lambda: min(turns) > 0)
        finally:
            stop.set()
        for future in both:
            future.result(PATIENCE)

    assert most == [1]


def test_on_apache_kafka_the_one_that_has_waited_longest_is_the_next(
    apache_kafka: ApacheKafka, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.kafka.lease.TURN_SECONDS", 1.0)
    topic = f"lease.{time.monotonic_ns()}"
    apache_kafka.create_topic(topic)
    to = connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://{apache_kafka.bootstrap}/"))
    leases = [join(to, topic) for _ in range(3)]
    turns: list[int] = []
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            try:
                with leases[number].using(unless=stop.is_set):
                    if turns[-1:] != [number]:
                        turns.append(number)
                    stop.wait(0.005)
            except Abandoned:
                return

    with ThreadPoolExecutor(3) as pool:
        everyone = [pool.submit(write, number) for number in range(3)]
        try:
            until(lambda: len(turns) >= 9)
        finally:
            stop.set()
        for future in everyone:
            future.result(PATIENCE)

    in_turn = turns[3:9]  # who is there first depends on who joined first
    assert all(len(set(in_turn[start : start + 3])) == 3 for start in range(4)), turns
