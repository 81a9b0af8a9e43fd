"""Poison on a real broker before a real TOM: each is a dead letter, as it came, with its reason; good events flow past."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import Producer

from bridge.codecs.dead_letter import DeadLetter, open_letters
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetIdentity, TomIdentity
from tests.support.kafka import ApacheKafka
from tests.support.odd_headers import publish_with_header_name
from tests.support.poison import CASES, SOURCE, Case
from tests.support.world import Said, World, dump, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url=SOURCE)
NIGHT = datetime(2024, 5, 1, tzinfo=UTC)
LONG_NAME = CASES["name_of_10000_characters"]
SMALL = [case for case in CASES.values() if not case.is_large and case is not LONG_NAME]
LARGE = [case for case in CASES.values() if case.is_large]
LARGEST_BYTES = 20_000_000
AT_ONCE_SECONDS = 15.0
"""Between two lines of the log; on a machine that does much else as well."""
names = unique("SN 2046p")


def good(name: str) -> Record:
    """Return an event that can be written: a datum of a target that is there."""
    target = TargetIdentity(name=name, type="SIDEREAL", ra=1.0, dec=2.0)
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.5, bandpass="r")
    return encode(new_event(ReducedDatumsShared(tom=ELSEWHERE, target=target, datums=(datum,)), now=datetime.now(UTC)))


def publish(between: World, before: Record, cases: Iterable[Case], after: Record) -> None:
    """Publish cases between two good events, however large they are, and with headers that have no value."""
    producer = Producer({**between.connection.config, "message.max.bytes": LARGEST_BYTES, "enable.idempotence": True})
    failures: list[Any] = []
    for record in (before, *cases, after):
        producer.produce(
            between.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            on_delivery=lambda error, _message: failures.append(error) if error else None,
        )
        producer.flush()  # one after the other: a batch would be larger than the topic takes
    assert failures == []


def case_of(record: Record) -> Case | None:
    key = record.key or b""
    return CASES["nothing_at_all"] if record.key is None else CASES.get(key.removeprefix(b"poison-").decode(errors="replace"))


def ends(between: World, said: Said) -> dict[str, str]:
    """Return, of each case, the reason of its dead letter, or how it ended otherwise, as the log says it."""
    cases = {(found.partition, found.offset): case_of(found.record) for found in between.read(between.topic)}
    lines = {(line["partition"], line["offset"]): line for line in said.lines}
    assert len(lines) == len(said.lines) == len(cases)
    return {
        case.name: lines[place]["reason"] if lines[place]["outcome"] == "refused" else lines[place]["outcome"]
        for place, case in cases.items()
        if case is not None
    }


def letters(between: World) -> dict[str, DeadLetter]:
    """Return the open dead letters by the name of their case."""
    found = open_letters(between.read(between.dead_letter_topic), destination="destination").values()
    cases = {consumed.place: case_of(consumed.record) for consumed in between.read(between.topic)}
    by_case = {case.name: letter for letter in found if (case := cases[letter.origin]) is not None}
    assert len(by_case) == len(found)
    return by_case


def assert_good_ones_flowed(between: World, said: Said, *good_names: str) -> None:
    """Assert that good events were written, and that nobody waited for anything."""
    written = [line for line in said.lines if line.get("about") in good_names]
    there = {row["target"] for row in dump(between.destination)["datums"]}

    assert [(line["outcome"], line["attempts"]) for line in written] == [("written", 1)] * len(good_names)
    assert set(good_names) <= there
    assert longest_pause(said) < AT_ONCE_SECONDS
    assert said.code == 0


def longest_pause(said: Said) -> float:
    moments = [datetime.fromisoformat(line["timestamp"]) for line in said.lines]
    return max((after - before).total_seconds() for before, after in pairwise(moments))


@pytest.mark.parametrize("version", [TWO, THREE])
def test_each_is_a_dead_letter_as_it_came_and_the_next_event_flows_at_once(world: Callable[..., World], version: str):
    between = world(TWO, version)
    before, after = next(names), next(names)
    seed(
        between.destination,
        *({"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}} for name in (before, after)),
    )
    publish(between, good(before), SMALL, good(after))

    said = between.consume()

    assert ends(between, said) == {case.name: case.consumed for case in SMALL}
    assert_good_ones_flowed(between, said, before, after)
    found = letters(between)
    expected = {case.name: case for case in SMALL if case.consumed not in {"skipped", "written"}}
    assert found.keys() == expected.keys()
    for name, case in expected.items():
        letter = found[name]
        assert letter.reason == case.consumed
        assert letter.detail
        if letter.reason == case.reason:
            assert case.says in letter.detail
        assert (letter.record.key, letter.record.value, letter.record.headers) == (case.key, case.value, case.record.headers)


def test_a_name_that_no_tom_can_hold_is_not_asked_for(world: Callable[..., World]):
    """Else 20 of them look like a TOM that refuses everything, and stop the consumer."""
    between = world(TWO, THREE)
    between.publish(LONG_NAME.record)

    assert ends(between, between.consume()) == {LONG_NAME.name: LONG_NAME.consumed}


def test_one_among_good_events_holds_up_neither_of_them(world: Callable[..., World]):
    """One after the other, each between two good events of one target: its lane goes on."""
    between = world(TWO, THREE)
    name, case = next(names), CASES["bad_utf8"]
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    event = good(name)
    poison = Record(key=event.key, value=case.value, headers=case.record.headers)
    between.publish(event, *[poison, event] * 5)

    said = between.consume()

    assert said.code == 0
    assert sorted(said.outcomes) == ["present"] * 5 + ["refused"] * 5 + ["written"]
    assert longest_pause(said) < AT_ONCE_SECONDS
    assert len(between.dead_letters()) == 5


def test_a_header_whose_name_is_not_utf8_stops_nobody(world: Callable[..., World]):
    between = world(TWO, THREE)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    publish_with_header_name(str(between.connection.config["bootstrap.servers"]), between.topic, b"\xff\xfe", b"hunter2")
    between.publish(good(name))

    said = between.consume()

    assert (said.code, sorted(said.outcomes)) == (0, ["refused", "written"])
    [letter] = between.read(between.dead_letter_topic)
    assert letter.record.value == b"hunter2"


def test_what_is_too_large_for_the_dead_letter_topic_is_named_by_place_size_and_hash(
    world: Callable[..., World], apache_kafka: ApacheKafka
):
    between = world(TWO, THREE)
    apache_kafka.set_config(between.topic, {"max.message.bytes": str(LARGEST_BYTES)})
    before, after = next(names), next(names)
    seed(
        between.destination,
        *({"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}} for name in (before, after)),
    )
    publish(between, good(before), LARGE, good(after))

    said = between.consume()

    assert ends(between, said) == {case.name: case.consumed for case in LARGE}
    assert_good_ones_flowed(between, said, before, after)
    found = letters(between)
    expected = {case.name: case for case in LARGE if case.consumed != "skipped"}
    assert found.keys() == expected.keys()
    offsets = {case_of(consumed.record): consumed.offset for consumed in between.read(between.topic)}
    for name, case in expected.items():
        letter, value = found[name], case.value or b""
        assert letter.reason == case.consumed
        assert letter.origin == f"{between.topic}[0]@{offsets[case]}"
        assert (letter.left_out_bytes, letter.left_out_sha256) == (len(value), hashlib.sha256(value).hexdigest())
        assert (letter.record.key, letter.record.value, letter.record.headers) == (case.key, None, case.record.headers)
