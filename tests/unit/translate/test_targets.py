"""Targets as requests, and as the API shows them."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Rejected
from bridge.events import ReducedDatumsShared, Target, TargetShared, TomIdentity, simplify_name
from bridge.translate import toolkit2, toolkit3
from bridge.translate.targets import (
    PLACEHOLDER,
    Creation,
    KnownTarget,
    creation,
    imported_lists,
    known_target,
    missing_names,
    read_target,
    same_fields,
    zeros_to_set,
)
from tests.unit import strategies

STAR = Target(name="SN 2024abc", type="SIDEREAL", aliases=("ZTF24a",), primary_key=41, ra=197.45, dec=-23.38)


def create(target: Target, **about: Any) -> Creation:
    defaults: dict[str, Any] = {"lists": [], "permissions": "PRIVATE", "groups": [], "provenance": {}}
    return creation(target, **(defaults | about))


def row(**changed: Any) -> dict[str, Any]:
    """Return a target as the API shows it."""
    shown: dict[str, Any] = dict.fromkeys(strategies.TARGET_NUMBERS) | {
        "id": 7,
        "name": "SN 2024abc",
        "type": "SIDEREAL",
        "scheme": "",
    }
    shown |= {"ra": 197.45, "dec": -23.38, "permissions": "PRIVATE", "created": "2026-11-23T04:30:00.123456Z"}
    return (
        shown | {"aliases": [{"id": 1, "name": "ZTF24a"}], "targetextra_set": [{"id": 3, "key": "z", "value": "0.1"}]} | changed
    )


def known(**changed: Any) -> KnownTarget:
    return known_target(row(**changed))


def everything(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a document with its value, however deep."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key, value
            yield from everything(value)
    elif isinstance(document, list):
        for value in document:
            yield from everything(value)


def test_the_request_is_this() -> None:
    target = STAR.model_copy(update={"extras": {"z": "0.1"}, "distance": 4.2e7})
    made = create(
        target, lists=["Nearby"], permissions="OPEN", groups=[{"name": "G"}], provenance={"shared_from": "Example TOM"}
    )

    assert made.zeros == {}
    assert made.left_out == ()
    assert made.body == {
        "name": "SN 2024abc",
        "type": "SIDEREAL",
        "ra": 197.45,
        "dec": -23.38,
        "distance": 4.2e7,
        "shared_from": "Example TOM",
        "permissions": "OPEN",
        "aliases": [{"name": "ZTF24a"}],
        "targetextra_set": [{"key": "z", "value": "0.1"}],
        "target_lists": [{"name": "Nearby"}],
        "groups": [{"name": "G"}],
    }


@given(strategies.targets())
def test_no_number_of_the_source_goes_along(target: Target) -> None:
    """The `id` of an alias would be taken for a primary key at the destination."""
    keys = [key for key, _value in everything(create(target).body)]

    assert not {"id", "pk", "primary_key", "target"} & set(keys)


@given(strategies.targets())
def test_a_required_number_that_is_0_goes_in_as_a_placeholder_and_is_set_right_at_once(target: Target) -> None:
    made = create(target)

    for name in strategies.TARGET_NUMBERS:
        given_number = getattr(target, name)
        sent = made.body.get(name)
        if name in made.zeros:
            assert (given_number, sent, made.zeros[name]) == (0.0, PLACEHOLDER, 0.0)
        else:
            assert repr(sent) == repr(given_number)
    required = {"SIDEREAL": ["ra", "dec"], "NON_SIDEREAL": ["inclination", "eccentricity"]}[target.type]
    assert all(made.body.get(name) != 0 for name in required)


@pytest.mark.parametrize(
    ("scheme", "names"),
    [
        ("MPC_MINOR_PLANET", {"mean_anomaly", "semimajor_axis"}),
        ("MPC_COMET", {"perihdist", "epoch_of_perihelion"}),
        ("JPL_MAJOR_PLANET", {"mean_daily_motion", "mean_anomaly", "semimajor_axis"}),
    ],
)
def test_which_numbers_are_required_depends_on_the_scheme(scheme: str, names: set[str]) -> None:
    always = {"epoch_of_elements", "inclination", "lng_asc_node", "arg_of_perihelion", "eccentricity"}
    planet = Target(name="a", type="NON_SIDEREAL", scheme=scheme, **dict.fromkeys(strategies.TARGET_NUMBERS, 0.0))

    assert create(planet).zeros.keys() == always | names
    assert create(planet).body["scheme"] == scheme


def test_aliases_go_in_once_and_the_name_is_none_of_them() -> None:
    target = STAR.model_copy(update={"name": " SN 2024abc ", "aliases": ("a", "b", " a ", "SN 2024abc", "", "  ", "b")})

    assert create(target).body["name"] == "SN 2024abc"
    assert create(target).body["aliases"] == [{"name": "a"}, {"name": "b"}]


@given(strategies.targets())
def test_aliases_are_distinct_and_none_is_the_name(target: Target) -> None:
    sent = [alias["name"] for alias in create(target).body["aliases"]]

    assert len(set(sent)) == len(sent)
    assert target.name.strip() not in sent
    assert {alias.strip() for alias in target.aliases} - {"", target.name.strip()} == set(sent)


def test_an_alias_that_is_too_long_is_left_out_and_named() -> None:
    made = create(STAR.model_copy(update={"aliases": ("x" * 101, "y" * 100)}))

    assert made.body["aliases"] == [{"name": "y" * 100}]
    assert len(made.left_out) == 1
    assert "longer than 100" in made.left_out[0]


def test_extras_that_the_dialect_drops_are_left_out_and_named() -> None:
    target = STAR.model_copy(update={"extras": {"distance": "far", "z": "0.1"}})

    assert toolkit3.unstorable_extras(target) == {"distance"}
    assert toolkit2.unstorable_extras(target) == frozenset()
    made = create(target, unstorable_extras=toolkit3.unstorable_extras(target))
    assert made.body["targetextra_set"] == [{"key": "z", "value": "0.1"}]
    assert len(made.left_out) == 1
    assert "'distance'" in made.left_out[0]


@pytest.mark.parametrize("about", [{"name": "x" * 101}, {"lists": ["x" * 201]}])
def test_a_name_that_a_tom_cannot_store_is_refused_before_anything_is_written(about: dict[str, Any]) -> None:
    target = STAR.model_copy(update={"name": about.pop("name", STAR.name)})
    with pytest.raises(Rejected) as refused:
        create(target, **about)

    assert refused.value.reason == "name_too_long"
    assert create(STAR.model_copy(update={"name": " " + "x" * 100}), lists=["y" * 200]).body["name"] == "x" * 100


def test_3x_is_told_who_shared_and_2x_has_no_place_for_it() -> None:
    event = TargetShared(tom=TomIdentity(name="Example TOM", url="https://t.org"), submitter="alice", target=STAR)

    assert toolkit3.provenance(event) == {"shared_from": "Example TOM", "shared_by": "alice"}
    assert toolkit2.provenance(event) == {}
    assert ReducedDatumsShared.ACCEPTED_AS != event.ACCEPTED_AS


def test_a_target_is_read_as_the_api_shows_it() -> None:
    found = known()

    assert (found.id, found.names, found.numbers["ra"]) == (7, ("SN 2024abc", "ZTF24a"), 197.45)
    assert found.extras == {"z": "0.1"}
    assert found.candidate == {"id": 7, "name": "SN 2024abc", "aliases": ["ZTF24a"]}
    assert read_target(row()).extras == {"z": "0.1"}
    assert read_target(row()).primary_key == 7


@given(strategies.targets())
def test_what_a_tom_shows_of_a_target_is_that_target(target: Target) -> None:
    sent = create(target).body | create(target).zeros
    aliases = [{"id": 4, **alias} for alias in sent["aliases"]]
    again = read_target({**row(), **dict.fromkeys(strategies.TARGET_NUMBERS), **sent, "aliases": aliases})

    for name in {"type", "scheme", "extras", *strategies.TARGET_NUMBERS}:
        assert getattr(again, name) == getattr(target, name)
    assert again.name == target.name.strip()


@given(st.lists(strategies.names, max_size=5))
def test_missing_names_are_those_that_tom_toolkit_would_not_find_each_once(names: list[str]) -> None:
    missing = missing_names(names, known())
    have = {simplify_name(name) for name in known().names}
    simple = [simplify_name(name) for name in missing]

    assert not set(simple) & have
    assert len(set(simple)) == len(simple)
    assert {simplify_name(name.strip()) for name in names} - have - {""} <= set(simple)


def test_a_name_that_differs_only_in_spelling_is_not_missing() -> None:
    assert missing_names(["sn2024ABC", "ztf-24a", " ATLAS24x ", "atlas 24x", "x" * 101], known()) == ["ATLAS24x"]


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_name_is_never_missing(blank: str) -> None:
    assert missing_names([blank], known()) == []


def test_numbers_still_to_be_set_to_0_are_found_again_after_a_crash() -> None:
    half_made = known(ra=PLACEHOLDER, dec=PLACEHOLDER, epoch=0.0)
    target = STAR.model_copy(update={"ra": 0.0, "dec": 5.0})

    assert zeros_to_set(target, half_made) == {"ra": 0.0}
    assert zeros_to_set(target, known()) == {}


def test_a_target_left_half_made_is_recognised_by_its_fields() -> None:
    assert same_fields(STAR, known())
    assert same_fields(STAR, known(aliases=[], distance=4.0))
    assert same_fields(STAR.model_copy(update={"ra": 0.0}), known(ra=PLACEHOLDER))


@pytest.mark.parametrize("changed", [{"name": "sn 2024abc"}, {"type": "NON_SIDEREAL"}, {"ra": 197.4500001}, {"dec": None}])
def test_another_target_is_not_taken_for_a_half_made_one(changed: dict[str, Any]) -> None:
    assert not same_fields(STAR, known(**changed))


@given(
    template=st.sampled_from(["Imported from {tom_name}", " {tom_name} (x) ", "{{from}} {tom_name!s:>3}, {tom_name}", "+all"]),
    name=st.text(min_size=1).filter(str.strip),
)
def test_each_list_that_a_template_names_is_recognised(template: str, name: str) -> None:
    assert imported_lists(template).fullmatch(template.format(tom_name=name).strip())


@pytest.mark.parametrize(("name", "is_one"), [
    ("Imported from My TOM", True),
    ("Imported From My TOM", True),  # TOM Toolkit's own sharing
    ("Imported from ", False),
    ("Our own, not imported from My TOM", False),
])  # fmt: skip
def test_which_lists_are_for_what_was_imported(name: str, is_one: bool) -> None:
    assert (imported_lists("Imported from {tom_name}").fullmatch(name) is not None) == is_one
