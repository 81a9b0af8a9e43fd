"""Dead letters on real TOMs: listed, shown, replayed once their cause is gone, and then they are off the list."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.events import PhotometryDatum, ReducedDatumsShared, Target, TomIdentity
from tests.support.kafka import ApacheKafka
from tests.support.relaying import wait_for
from tests.support.world import World, dump, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
NIGHT = datetime(2024, 5, 1, tzinfo=UTC)
names = unique("SN 2045d")


def points(name: str, *bandpasses: str) -> Record:
    """Return an event with a datum in each bandpass, a minute apart."""
    target = Target(name=name, type="SIDEREAL", ra=1.0, dec=2.0, primary_key=7)
    datums = tuple(
        PhotometryDatum(timestamp=NIGHT + timedelta(minutes=number), brightness=18.5, bandpass=bandpass)
        for number, bandpass in enumerate(bandpasses)
    )
    body = ReducedDatumsShared(tom=ELSEWHERE, target=target.identity(), datums=datums)
    return encode(new_event(body, now=datetime.now(UTC)))


def listed(between: World, *options: str) -> list[dict[str, Any]]:
    said = between.run("dead-letters", "list", "destination", "--json", *options)
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def datums_there(between: World, name: str) -> list[str]:
    return [row["timestamp"] for row in dump(between.destination)["datums"] if row["target"] == name]


@pytest.mark.parametrize("version", [TWO, THREE])
def test_what_is_held_is_written_once_its_target_is_there(world: Callable[..., World], version: str):
    between = world(TWO, version, unmatched="hold")
    name, other = next(names), next(names)
    between.publish(points(name, "r", "g"), points(other, "r"))
    assert between.consume().outcomes == ["refused", "refused"]

    assert [(letter["reason"], letter["about"]) for letter in listed(between)] == [("unmatched", name), ("unmatched", other)]
    [of_name] = listed(between, "--target", name.lower())
    shown = json.loads(between.run("dead-letters", "show", "destination", of_name["id"]).out)
    assert shown["events"][0]["data"]["target"]["name"] == name
    assert len(shown["events"][0]["data"]["datums"]) == 2

    too_early = between.run("dead-letters", "replay", "destination", of_name["id"])
    assert too_early.code == 1
    assert "1 dead letter replayed: 1 refused" in too_early.out
    [again] = listed(between, "--target", name)
    assert (again["replays"], again["origin"]) == (1, of_name["origin"])

    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    said = between.run("dead-letters", "replay", "destination", "--reason", "unmatched", "--target", name)
    assert (said.code, said.out) == (0, "1 dead letter replayed: 1 written\n")
    assert len(datums_there(between, name)) == 2
    assert [letter["about"] for letter in listed(between)] == [other]
    assert between.run("dead-letters", "show", "destination", again["id"]).code == 1


def test_of_an_event_that_was_written_in_part_only_the_rest_is_sent(world: Callable[..., World]):
    between = world(TWO, THREE)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    between.publish(points(name, "r", "", "g"))  # 3.x stores no photometry without a bandpass
    assert between.consume().outcomes == ["partial"]
    [letter] = listed(between)

    said = between.run("dead-letters", "replay", "destination", "--all")

    assert (said.code, said.out) == (1, "1 dead letter replayed: 1 refused\n")
    [again] = listed(between)
    shown = json.loads(between.run("dead-letters", "show", "destination", again["id"]).out)
    assert [item["item"].partition(" (")[0] for item in shown["items"]] == ["datum 1"]
    assert len(datums_there(between, name)) == 2
    assert again["origin"] == letter["origin"]


def test_poison_is_exported_to_the_last_byte(world: Callable[..., World]):
    between = world(TWO, THREE)
    poison = Record(key=b"\xff", value=b"\xfe{", headers=(("ce_specversion", b"1.0"), ("x", b"\x00")))
    between.publish(poison)
    assert between.consume().outcomes == ["refused"]

    [exported] = [json.loads(line) for line in between.run("dead-letters", "export", "destination").out.splitlines()]

    def raw(text: str) -> bytes:
        return base64.b64decode(text)

    assert (raw(exported["record"]["key"]), raw(exported["record"]["value"])) == (poison.key, poison.value)
    assert [(name, raw(value)) for name, value in exported["record"]["headers"]] == list(poison.headers)
    assert exported["events"] == []


def test_a_replay_into_a_tom_that_is_away_leaves_everything_as_it_is(world: Callable[..., World]):
    between = world(TWO, THREE, unmatched="hold")
    between.publish(points(next(names), "r"))
    between.consume()
    before = listed(between)
    between.destination.stop()
    try:
        said = between.run("dead-letters", "replay", "destination", "--all")
    finally:
        between.destination.start()

    assert said.code == 1
    assert "cannot be reached" in said.err
    assert listed(between) == before


def test_a_replay_beside_a_running_consumer_waits_for_its_turn_and_writes(
    world: Callable[..., World], apache_kafka: ApacheKafka
):
    assert apache_kafka.bootstrap
    between = world(TWO, THREE, unmatched="hold")
    name = next(names)
    between.publish(points(name, "r"))
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--config", str(between.write_config())]
    consumer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listed(between), "the consumer has a dead letter")
        seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
        said = between.run("dead-letters", "replay", "destination", "--all")
        assert said.code == 0, said
        assert "1 dead letter replayed: 1 written" in said.out
        assert consumer.poll() is None
    finally:
        consumer.send_signal(signal.SIGTERM)
        consumer.wait(30)
    assert len(datums_there(between, name)) == 1


def test_which_dead_letters_has_to_be_said(world: Callable[..., World]):
    between = world(TWO, THREE)

    assert "say which dead letters" in between.run("dead-letters", "replay", "destination").err
    assert "expected a time" in between.run("dead-letters", "list", "destination", "--since", "yesterday").err
    assert between.run("dead-letters", "list", "destination").out == "0 dead letters\n"
