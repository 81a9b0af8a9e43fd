"""Names, aliases and positions at real TOMs of both versions: never a wrong match, never a second target."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.codecs.native import encode, new_event
from bridge.events import PhotometryDatum, ReducedDatumsShared, Target, TargetShared, TomIdentity
from tests.support.world import World, dump, seed, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
both = pytest.mark.parametrize("version", [TWO, THREE])
names = unique("N")


def publish_target(between: World, *lists: str, **target: Any) -> None:
    whole = {"type": "SIDEREAL", "ra": 10.0, "dec": 20.0, "primary_key": 1, **target}
    body = TargetShared(tom=ELSEWHERE, target=Target.model_validate(whole), target_lists=lists)
    between.publish(encode(new_event(body, now=datetime.now(UTC))))


def publish_datum(between: World, **target: Any) -> None:
    whole = Target.model_validate({"type": "SIDEREAL", "ra": 10.0, "dec": 20.0, "primary_key": 1, **target})
    datum = PhotometryDatum(timestamp=datetime(2024, 1, 1, tzinfo=UTC), brightness=18.5, bandpass="r")
    body = ReducedDatumsShared(tom=ELSEWHERE, target=whole.identity(), datums=(datum,))
    between.publish(encode(new_event(body, now=datetime.now(UTC))))


def here(name: str, *aliases: str, **fields: Any) -> dict[str, Any]:
    return {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0, **fields}, "aliases": list(aliases)}


def one_letter(between: World) -> dict[str, str]:
    [letter] = between.dead_letters()
    return letter


AWKWARD = [
    "{} a,b",
    "{} \"double\" and 'single'",
    "{}+12.5-3",
    "{} a/b/c",
    "{} ζ Ori Å",
    "  {} led by spaces",
    "{} 100% & <b>#?=",
    "{} (with) parentheses_and-dashes",
]


@both
def test_awkward_names_are_created_once_and_then_found(world: Callable[..., World], version: str):
    between = world(TWO, version)
    pairs = [(pattern.format(next(names)), pattern.format(next(names))) for pattern in AWKWARD]
    for number, (name, alias) in enumerate(pairs):
        publish_target(between, name=name, aliases=(alias,), primary_key=number)
        publish_target(between, name=name, aliases=(alias,), primary_key=number)
        publish_datum(between, name=name, primary_key=number)
        publish_datum(between, name=alias, primary_key=number)

    said = between.consume()

    assert sorted(said.outcomes) == ["present"] * 2 * len(pairs) + ["written"] * 2 * len(pairs)
    after = dump(between.destination)
    for name, alias in pairs:
        assert target_of(after, name.strip())["aliases"] == [alias.strip()]
        assert sum(row["target"] == name.strip() for row in after["datums"]) == 1
    assert between.dead_letters() == []


@both
def test_a_name_that_differs_in_spaces_and_case_is_the_same_target(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    seed(between.destination, here(f"SN 2024{name}"))
    before = dump(between.destination)["counts"]
    publish_target(between, name=f"sn2024{name}")
    publish_datum(between, name=f"SN_2024-{name}".upper())

    assert between.consume().outcomes == ["present", "written"]
    after = dump(between.destination)
    assert target_of(after, f"SN 2024{name}")["aliases"] == []
    assert sum(row["target"] == f"SN 2024{name}" for row in after["datums"]) == 1
    assert {key: value for key, value in after["counts"].items() if "datum" not in key.lower()} == {
        key: value for key, value in before.items() if "datum" not in key.lower()
    }


@both
def test_a_target_known_by_its_alias_alone_gets_the_names_it_lacks(world: Callable[..., World], version: str):
    between = world(TWO, version)
    known, alias, new = next(names), next(names), next(names)
    seed(between.destination, here(known, alias, distance=5.0))
    publish_target(between, "A list", name=new, aliases=(alias,), distance=7.0)

    assert between.consume().outcomes == ["written"]
    found = target_of(dump(between.destination), known)
    assert found["aliases"] == sorted([alias, new])
    assert found["distance"] == 5.0, "its own fields are never overwritten"
    assert found["lists"] == ["A list"], "a target that was here before is not imported"


@both
def test_an_alias_that_is_another_targets_name_is_refused_before_anything_is_written(world: Callable[..., World], version: str):
    between = world(TWO, version)
    one, other = next(names), next(names)
    seed(between.destination, here(one), here(other))
    before = dump(between.destination)
    publish_target(between, "A list", name=one, aliases=(other,))
    publish_datum(between, name=one, aliases=(other,))

    assert between.consume().outcomes == ["refused", "refused"]
    letters = between.dead_letters()
    assert [letter["reason"] for letter in letters] == ["ambiguous_target"] * 2
    assert one in letters[0]["candidates"]
    assert other in letters[0]["candidates"]
    assert dump(between.destination) == before


@both
def test_twins_that_differ_only_in_spaces_are_ambiguous(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    seed(between.destination, here(f"SN 2024{name}"), here(f"SN2024{name}"))
    before = dump(between.destination)
    publish_datum(between, name=f"SN 2024{name}")

    assert between.consume().outcomes == ["refused"]
    assert one_letter(between)["reason"] == "ambiguous_target"
    assert dump(between.destination) == before


@both
def test_the_same_name_elsewhere_on_the_sky_is_not_the_same_target(world: Callable[..., World], version: str):
    between = world(TWO, version)
    far, moving, rock = next(names), next(names), next(names)
    seed(between.destination, here(far), here(moving, epoch=2000.0), here(rock))
    publish_target(between, name=far, dec=20.5)
    publish_target(between, name=rock, type="NON_SIDEREAL", ra=None, dec=None, primary_key=2)
    # 10 arcsec a year for 20 years: 200 arcsec away today, and the same star.
    publish_target(between, name=moving, dec=20.0 + 200 / 3600, epoch=2020.0, pm_dec=10_000.0, primary_key=3)

    between.consume()

    letters = between.dead_letters()
    assert [letter["reason"] for letter in letters] == ["target_mismatch"] * 2
    assert {"1,800 arcsec" in letter["detail"] for letter in letters} == {True, False}


@both
def test_a_target_that_the_account_cannot_see_is_named_as_the_reason(world: Callable[..., World], version: str):
    between = world(TWO, version)
    hidden, alias, new = next(names), next(names), next(names)
    seed(between.destination, {**here(hidden, alias), "owners": ["alice"]})
    before = dump(between.destination)
    publish_target(between, name=hidden)
    publish_target(between, name=new, aliases=(alias,), primary_key=2)

    assert between.consume().outcomes == ["refused", "refused"]
    letters = sorted(between.dead_letters(), key=lambda letter: letter["reason"])
    assert [letter["reason"] for letter in letters] == ["alias_taken", "invisible_target"]
    assert all("administrator" in letter["detail"] for letter in letters)
    assert dump(between.destination) == before


@both
def test_data_of_a_target_that_is_not_here_is_skipped_held_or_brings_it(world: Callable[..., World], version: str):
    for policy, outcome in (("skip", "skipped"), ("hold", "refused"), ("create", "written")):
        between = world(TWO, version, unmatched=policy)
        name = next(names)
        publish_datum(between, name=name)
        assert between.consume().outcomes == [outcome]
        created = [target["name"] for target in dump(between.destination)["targets"] if target["name"] == name]
        assert created == ([name] if policy == "create" else [])
        assert [letter["reason"] for letter in between.dead_letters()] == (["unmatched"] if policy == "hold" else [])


@both
def test_data_of_a_target_that_was_just_refused_is_held(world: Callable[..., World], version: str):
    between = world(TWO, version)
    taken, new = next(names), next(names)
    seed(between.destination, {**here(next(names), taken), "owners": ["alice"]})
    publish_target(between, name=new, aliases=(taken,))
    publish_datum(between, name=new, aliases=(taken,))

    assert between.consume().outcomes == ["refused", "refused"]
    assert [letter["reason"] for letter in between.dead_letters()] == ["alias_taken", "target_refused"]
