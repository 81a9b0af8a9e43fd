"""A TOM or a broker that goes away and comes back: nothing is lost, nothing is written twice, nobody has to help."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from bridge.codecs.native import encode, new_event
from bridge.events import PhotometryDatum, Target, TargetShared, TomIdentity
from bridge.events.shares import ReducedDatumsShared
from tests.support.kafka import ApacheKafka
from tests.support.world import Toms, World, dump, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
PATIENCE_SECONDS = 90.0
names = unique("A")


def publish(between: World, *targets: str) -> None:
    for number, name in enumerate(targets):
        target = Target(name=name, type="SIDEREAL", ra=1.0, dec=2.0, primary_key=number)
        point = PhotometryDatum(timestamp=datetime(2024, 1, 1, tzinfo=UTC), brightness=18.5, bandpass="r")
        bodies = (
            TargetShared(tom=ELSEWHERE, target=target),
            ReducedDatumsShared(tom=ELSEWHERE, target=target.identity(), datums=(point,)),
        )
        between.publish(*(encode(new_event(body, now=datetime.now(UTC))) for body in bodies))


def once_each(between: World, targets: list[str]) -> bool:
    found = dump(between.destination)
    at = [target["name"] for target in found["targets"]]
    rows = [row["target"] for row in found["datums"]]
    return all(at.count(name) == 1 and rows.count(name) == 1 for name in targets)


@contextmanager
def running(between: World) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--config", str(between.write_config())]
    consumer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield consumer
    finally:
        consumer.kill()
        consumer.communicate()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"


@pytest.mark.parametrize("version", [TWO, THREE])
def test_a_tom_that_is_down_is_waited_for_and_then_gets_everything_once(world: Callable[..., World], version: str):
    between = world(TWO, version)
    first, second = next(names), next(names)
    with running(between) as consumer:
        publish(between, first)
        wait_for(lambda: once_each(between, [first]), "the first target arrives")
        between.destination.kill()
        try:
            publish(between, second)
            said = ""
            while '"destination is away"' not in said:
                assert consumer.stderr is not None
                said = consumer.stderr.readline()
                assert said, "the consumer ended while its TOM was down"
            assert "cannot be reached" in said
        finally:
            between.destination.start()
        wait_for(lambda: once_each(between, [first, second]), "what was shared meanwhile arrives")
        consumer.send_signal(signal.SIGTERM)
        out, _err = consumer.communicate(timeout=30)
    assert consumer.returncode == 0
    assert "4 written" in out
    assert between.dead_letters() == []


def test_a_drain_into_a_tom_that_is_down_fails_and_loses_nothing(world: Callable[..., World]):
    between = world(TWO, THREE)
    name = next(names)
    publish(between, name)
    between.destination.stop()
    try:
        said = between.consume()
    finally:
        between.destination.start()
    assert said.code == 1
    assert "cannot be reached" in said.err

    assert between.consume().outcomes == ["written", "written"]
    assert once_each(between, [name])


def test_a_broker_that_is_killed_and_restarted_is_waited_for(tmp_path: Path, toms: Toms, apache_kafka: ApacheKafka):
    (tmp_path / "kafka").mkdir()
    kafka = ApacheKafka(tmp_path / "kafka", apache_kafka.libs)
    kafka.start()
    try:
        between = World(
            home=tmp_path,
            stream_url=f"kafka://{kafka.bootstrap}/",
            create_topic=kafka.create_topic,
            source=toms.get("source", TWO),
            destination=toms.get("destination", THREE),
        )
        first, second = next(names), next(names)
        with running(between) as consumer:
            publish(between, first)
            wait_for(lambda: once_each(between, [first]), "the first target arrives")
            kafka.kill()
            kafka.start()
            publish(between, second)
            wait_for(lambda: once_each(between, [first, second]), "what was shared after the restart arrives")
            consumer.send_signal(signal.SIGTERM)
            out, err = consumer.communicate(timeout=30)
        assert consumer.returncode == 0, err
        assert "4 written" in out or ("3 written" in out and "present" in out)
        assert between.dead_letters() == []
    finally:
        kafka.stop()


def test_events_that_expired_before_they_were_read_stop_the_consumer_loudly(
    world: Callable[..., World], apache_kafka: ApacheKafka
):
    between = world(TWO, THREE)
    first, second = next(names), next(names)
    publish(between, first)
    assert between.consume().outcomes == ["written", "written"]
    publish(between, second)
    admin = apache_kafka.admin
    [expired] = admin.delete_records([TopicPartition(between.topic, 0, 3)]).values()
    expired.result(30)

    said = between.consume()

    assert said.code == 1
    assert "expired_offset" in said.err
    assert "events are lost" in said.err
    assert between.dead_letters() == []
