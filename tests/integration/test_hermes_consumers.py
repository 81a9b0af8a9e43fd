"""What consumers of real TOMs do with Hermes messages: whom they listen to, what they hold, and what comes beside them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.codecs.hermes.wire import hermes_records
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.demo.toms import TOM_VERSIONS
from bridge.events import PhotometryDatum, ReducedDatumsShared, Target, TargetShared, TomIdentity
from tests.support.hermes_world import address, as_sent, datums_of, has_target, here, listed, listening, message
from tests.support.world import World, dump, seed, target_of, unique

TWO = "2.32.4"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
both = pytest.mark.parametrize("version", TOM_VERSIONS)
names = unique("SN 2046h")


@both
def test_what_comes_from_a_topic_that_is_not_accepted_is_skipped_and_the_log_names_its_address(
    world: Callable[..., World], version: str
) -> None:
    between, name = world(TWO, version), next(names)
    unreadable = message(next(names), rows={"date_obs": "some day"}, targets=[])
    between.publish(as_sent(message(name)), as_sent(unreadable))

    said = between.consume()

    assert said.outcomes == ["skipped", "skipped"]
    assert {line["reason"] for line in said.lines} == {"source_not_accepted"}
    assert all(line["detail"].startswith(f"{address(between)} ") for line in said.lines)
    assert (has_target(dump(between.destination), name), between.dead_letters()) == (False, [])

    listening(between)
    assert sorted(between.consume(anew=True).outcomes) == ["refused", "written"]
    assert len(datums_of(dump(between.destination), name)) == 1


@both
def test_targets_are_imported_from_the_topic_if_the_settings_say_so(world: Callable[..., World], version: str) -> None:
    between, name = listening(world(TWO, version), hermes_name="topic"), next(names)
    between.publish(as_sent(message(name)))

    assert between.consume().outcomes == ["written"]
    stored = dump(between.destination)
    assert target_of(stored, name)["lists"] == [f"Imported from {between.topic}"]
    assert target_of(stored, name).get("shared_from", between.topic) == between.topic
    assert [datum["source_name"] for datum in datums_of(stored, name)] == [f"Hermes:{between.topic}"]


@both
def test_data_alone_is_held_until_its_targets_are_there(world: Callable[..., World], version: str) -> None:
    between = listening(world(TWO, version), accept=["reduced_datums"], unmatched="hold")
    one, other = next(names), next(names)
    unreadable = {"name": next(names), "ra": "over there", "dec": "-3"}
    whole = message(one, other)
    whole["data"]["targets"].append(unreadable)  # no target is accepted, so nobody misses this one
    between.publish(as_sent(whole))

    assert between.consume().outcomes == ["refused"]
    [letter] = listed(between)
    assert (letter["reason"], letter["about"]) == ("unmatched", f"{one}, {other}")
    assert [item.partition(",")[0] for item, _why, _detail in json.loads(between.dead_letters()[0]["items"])] == [one, other]

    seed(between.destination, here(one))
    replayed = between.run("dead-letters", "replay", "destination", "--all")
    assert (replayed.code, replayed.out) == (1, "1 dead letter replayed: 1 partial\n")
    seed(between.destination, here(other))
    replayed = between.run("dead-letters", "replay", "destination", "--target", other)
    assert (replayed.code, replayed.out) == (0, "1 dead letter replayed: 1 written\n")

    stored = dump(between.destination)
    assert listed(between) == []
    assert [len(datums_of(stored, name)) for name in (one, other)] == [1, 1]
    assert [target_of(stored, name)["lists"] for name in (one, other)] == [[], []]


@both
def test_who_wants_targets_alone_hears_nothing_of_rows(world: Callable[..., World], version: str) -> None:
    between, name = listening(world(TWO, version), accept=["targets"]), next(names)
    between.publish(as_sent(message(name, rows={"date_obs": "some day"})))

    assert between.consume().outcomes == ["written"]
    assert (has_target(dump(between.destination), name), between.dead_letters()) == (True, [])


@both
def test_targets_without_a_position_are_dead_letters_until_they_are_there_and_stop_nobody(
    world: Callable[..., World], version: str
) -> None:
    between = listening(world(TWO, version), max_refusals_in_a_row=2)
    lost = [next(names) for _ in range(3)]
    between.publish(*(as_sent(message(name, targets=[{"name": name}])) for name in lost))

    said = between.consume()
    assert (said.code, said.outcomes) == (0, ["refused"] * 3)
    letters = sorted((letter["reason"], letter["about"]) for letter in listed(between))
    assert letters == [("incomplete_target", name) for name in lost]

    seed(between.destination, *(here(name) for name in lost))
    replayed = between.run("dead-letters", "replay", "destination", "--all")
    assert (replayed.code, replayed.out) == (0, "3 dead letters replayed: 3 written\n")
    stored = dump(between.destination)
    assert [len(datums_of(stored, name)) for name in lost] == [1, 1, 1]
    assert [target_of(stored, name)["lists"] for name in lost] == [[], [], []], "nobody imported them"


def native(body: Any) -> Record:
    return encode(new_event(body, now=datetime.now(UTC)))


@both
def test_share_events_and_hermes_messages_live_on_one_topic(world: Callable[..., World], version: str) -> None:
    between, name = world(TWO, version), next(names)
    listening(between, accept_sources=[ELSEWHERE.url, address(between)])
    target = Target(name=name, type="SIDEREAL", ra=10.5, dec=-3.0, primary_key=int(name.rpartition("h")[2]))
    datum = PhotometryDatum(timestamp=datetime(2023, 2, 24, tzinfo=UTC), brightness=18.5, bandpass="g", unit="AB mag")
    shared = native(TargetShared(tom=ELSEWHERE, target=target))
    hermes = message(name.replace(" ", ""), rows={"date_obs": "2460001.5"})
    tests = [
        Record(key=record.key, value=record.value, headers=(*record.headers, ("_test", b"true")))
        for record in (native(TargetShared(tom=ELSEWHERE, target=target)), as_sent(message(next(names))))
    ]
    between.publish(
        *tests,
        shared,
        as_sent(hermes),
        native(ReducedDatumsShared(tom=ELSEWHERE, target=target.identity(), datums=(datum,))),
        Record(key=None, value=b"{}", headers=()),
    )

    said = between.consume()

    ends = sorted((line["outcome"], line.get("reason", "")) for line in said.lines)
    assert ends == [("refused", "no_headers"), *[("skipped", "test_message")] * 2, *[("written", "")] * 3]
    stored = dump(between.destination)
    assert target_of(stored, name)["lists"] == ["Imported from Elsewhere"]
    found = {(datum["source_name"], datum["timestamp"][:10]) for datum in datums_of(stored, name)}
    assert found == {("Elsewhere", "2023-02-24"), (f"Hermes:{between.topic}", "2023-02-26")}


@both
def test_a_message_of_ours_does_not_come_back_and_goes_only_to_whom_it_names(world: Callable[..., World], version: str) -> None:
    between = listening(world(TWO, version))
    here_from = TomIdentity(name=between.destination.name, url=between.destination.url)
    echoed, hub, for_others, for_us = (next(names) for _ in range(4))

    def target(name: str) -> Target:
        return Target(name=name, type="SIDEREAL", ra=10.5, dec=-3.0, parallax=1.5)

    bodies = [
        TargetShared(tom=here_from, target=target(echoed)),
        TargetShared(tom=ELSEWHERE, hops=(here_from.url,), target=target(hub)),
        TargetShared(tom=ELSEWHERE, target=target(for_us)),
    ]
    ours = [record for body in bodies for record in hermes_records(native(body), topic=between.topic, authors="A").records]
    addressed = message(for_others)
    addressed["data"]["tom_bridge"] = {"version": 1, "destinations": ["other-tom"]}
    unreadable = message(next(names), targets=[], rows={"date_obs": "some day"}, tom_bridge=addressed["data"]["tom_bridge"])
    between.publish(*ours, as_sent(addressed), as_sent(unreadable))

    said = between.consume()

    ends = sorted((line["outcome"], line.get("reason", ""), line.get("about", "")) for line in said.lines)
    assert ends == sorted(
        [
            ("skipped", "echo", echoed),
            ("skipped", "echo", hub),
            ("skipped", "other_destination", for_others),
            ("skipped", "other_destination", ""),
            ("written", "", for_us),
        ]
    )
    stored = dump(between.destination)
    assert [has_target(stored, name) for name in (echoed, hub, for_others, for_us)] == [False, False, False, True]
    assert target_of(stored, for_us)["parallax"] == 1.5, "Hermes has no field for it, and bridges read it all the same"
    assert between.dead_letters() == []
