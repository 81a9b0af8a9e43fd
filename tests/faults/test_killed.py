"""Consumers, TOMs and brokers that die, freeze and come back: nothing lost, nothing twice, in order, all committed."""

import signal
import time
from collections.abc import Callable

import pytest

from bridge.demo.toms import Tom
from tests.faults.random_run import run
from tests.support.door import FaultyDoor
from tests.support.exchange import is_write
from tests.support.faults import Delay
from tests.support.kafka import ApacheKafka
from tests.support.site import Site
from tests.support.waiting import wait_for
from tests.support.world import Toms

TWO, THREE = "2.32.4", "3.1.0"
LIVE = ("--http", "127.0.0.1:0")
GAVE_TO_OTHERS = "the broker did not hear from us for too long, and gave our partitions to others"


def test_random_run(site: Callable[..., Site], own_kafka: ApacheKafka, toms: Toms, faults_seed: int, short: bool):
    tom = toms.get("struck", THREE)
    between = site(kafka=own_kafka, destination=tom, partitions=6)
    size = {"seconds": 30, "datums": 300, "targets": 40} if short else {"seconds": 300, "datums": 5000, "targets": 200}
    acts = {"consumer_kill": 2, "consumer_term": 1, "tom_kill": 1, "kafka_kill": 1}
    figures = run(between, replicas=3, seed=faults_seed, at_least=acts, say=print, **size)
    print(figures.line)

    assert figures.problems == []
    assert figures.errors == []


def test_consumers_killed_with_9(site: Callable[..., Site], faults_seed: int, short: bool):
    between = site(TWO, partitions=6)
    size = {"seconds": 12, "datums": 150, "targets": 20} if short else {"seconds": 90, "datums": 1500, "targets": 80}
    kills = 6 if short else 20
    figures = run(
        between, replicas=2, seed=faults_seed, mix={"consumer_kill": 1}, pause_seconds=(0.2, 3.0),
        at_least={"consumer_kill": kills}, say=print, **size,
    )  # fmt: skip
    print(figures.line)

    assert (figures.problems, figures.errors, figures.gave_up) == ([], [], [])
    in_flight = 500
    assert figures.outcomes["present"] <= in_flight * figures.kills["consumer_kill"]


def test_a_storm_of_rebalances(site: Callable[..., Site], faults_seed: int, short: bool):
    between = site(THREE, partitions=8)
    size = {"seconds": 15, "datums": 150, "targets": 20} if short else {"seconds": 90, "datums": 1500, "targets": 80}
    figures = run(
        between, replicas=4, seed=faults_seed, mix={"consumer_kill": 1, "consumer_term": 3}, pause_seconds=(0.1, 1.5),
        at_least={"consumer_term": 4}, say=print, **size,
    )  # fmt: skip
    print(figures.line)

    assert (figures.problems, figures.errors, figures.gave_up) == ([], [], [])
    # Contiguous: each record was brought to its end by somebody, and the log says so before the commit is made. That each
    # commit was its owner's to make, none after a revoke, is among the problems above.
    for partition, (_committed, end) in between.offsets().items():
        ended = {offset for replica in between.replicas for place, offset in replica.ends if place == partition}
        assert ended == set(range(end))
    last = max(commit.generation for commit in between.commits())
    print(f"a storm of rebalances: partitions were shared out {last} times")
    assert last >= 3, "there was no storm"


@pytest.mark.parametrize("seconds", [3.0, 15.0])
def test_a_broker_that_is_frozen(site: Callable[..., Site], own_kafka: ApacheKafka, seconds: float):
    between = site(kafka=own_kafka, partitions=3)
    between.publish_data(range(3))
    with between.running(*LIVE) as [replica]:
        between.wait_until_done()
        assert replica.is_ready()
        process = own_kafka._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            # Ready again by itself is what is shown; how long the broker is frozen is the fault.
            thaw_at = time.monotonic() + seconds
            seen = []
            while time.monotonic() < thaw_at:
                seen.append(replica.is_ready())
                time.sleep(0.2)
        finally:
            process.send_signal(signal.SIGCONT)
        between.publish_data(range(3, 6), events=2)
        between.wait_until_done()
        wait_for(replica.is_ready, "it is ready again")
        assert replica.stop() == 0
    if seconds > 12:
        assert seen[-1] is False, f"a broker silent for {seconds} s is nothing to be ready with"
    between.assert_well()
    assert len(replica.said(GAVE_TO_OTHERS)) <= 1
    assert between.wrong_commits() == []


def test_a_consumer_that_is_frozen_for_longer_than_its_session(site: Callable[..., Site], toms: Toms):
    """Another has its partitions when it goes on. It commits nothing of them, learns of its loss, and is a member anew."""
    tom = toms.get("destination", THREE)
    with FaultyDoor(tom.url) as door:
        between = site(door=door, partitions=4)
        between.publish(*between.target_events(range(8)))
        with between.running(*LIVE) as [frozen]:
            between.wait_until_done()
            door.on(is_write, Delay(0.4))
            between.publish(*(between.datum_event(number) for _ in range(15) for number in range(8)))
            wait_for(lambda: committed(between) > 10, "it is in the middle of its work, and has committed some of it")
            door.journal.wait_for(lambda entries: any(entry.waits for entry in entries), 30)
            frozen.signal(signal.SIGSTOP)
            left = committed(between)
            other = between.replica(*LIVE).start()
            wait_for(lambda: committed(between) >= left + 5, "the other writes and commits what the frozen one had")
            assert not between.is_done(), "what comes now is to be in the middle of the other's work"
            frozen.signal(signal.SIGCONT)
            wait_for(lambda: frozen.said(GAVE_TO_OTHERS), "it learns that its partitions went")
            wait_for(lambda: frozen.readiness().get("partitions"), "it has partitions again")
            door.clear()
            between.wait_until_done()
            between.publish_data(range(8, 16), events=2)
            between.wait_until_done()
            assert [frozen.stop(), other.stop()] == [0, 0]
        assert between.wrong_commits() == []
        assert (len(frozen.said(GAVE_TO_OTHERS)), other.said(GAVE_TO_OTHERS)) == (1, [])
        between.assert_well()


def committed(between: Site) -> int:
    """Return how many records are committed, by the broker's word."""
    return sum(offset for offset, _end in between.offsets().values())


def test_a_broker_that_is_killed_and_restarted(site: Callable[..., Site], own_kafka: ApacheKafka):
    between = site(kafka=own_kafka, partitions=3)
    between.publish_data(range(3))
    with between.running(*LIVE) as [replica]:
        between.wait_until_done()
        assert replica.is_ready()
        own_kafka.kill()
        wait_for(lambda: replica.page("readyz")[0] == 503, "it says that it is not ready")
        assert replica.readiness()["broker_there"] is False
        wait_for(lambda: replica.said("broker is away"), "it says that the broker is away")
        own_kafka.start()
        wait_for(replica.is_ready, "it is ready again")
        between.publish_data(range(3, 6), events=2)
        between.wait_until_done()
        assert replica.page("healthz")[0] == 200
        assert replica.stop() == 0
    assert (len(replica.said("broker is away")), len(replica.said("broker is back"))) == (1, 1)
    between.assert_well()


def test_sigterm_under_load(site: Callable[..., Site], toms: Toms):
    tom: Tom = toms.get("destination", THREE)
    with FaultyDoor(tom.url) as door:
        between = site(door=door, partitions=2)
        between.publish_data(range(12), events=4)
        with between.running() as [replica]:
            wait_for(lambda: len(replica.events) >= 15, "some are written")
            door.on(is_write, Delay(0.5))
            door.journal.wait_for(lambda entries: any(entry.waits for entry in entries), 30)
            began = time.monotonic()
            assert replica.stop(seconds=15) == 0
            took = time.monotonic() - began
            ended = {(line["partition"], line["offset"]) for line in replica.events}
            for partition, (committed, end) in between.offsets().items():
                assert all((partition, offset) in ended for offset in range(committed))
                assert committed == end or (partition, committed) not in ended
            assert len(ended) < 60, "it was not under load"
            door.clear()
            later = between.replica().start()
            between.wait_until_done()
            assert later.stop() == 0
        print(f"SIGTERM under load: ended in {took:.1f} s")
        between.assert_well()
