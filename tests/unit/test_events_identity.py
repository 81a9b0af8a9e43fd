"""Canonical encoding and datum identities: frozen, because every version of the bridge must make the same ones."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bridge.codecs.native import identified
from bridge.events import (
    DataProductShared,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    TargetIdentity,
    TomIdentity,
    canonical_json,
    datum_identity,
)
from tests.unit import strategies

DATA = Path(__file__).parent.parent / "data"
URL = "https://tom.example.org/"
READ = TypeAdapter[ReducedDatum](ReducedDatum)
FROZEN: dict[str, dict[str, Any]] = json.loads((DATA / "datum_identities.json").read_text(encoding="utf-8"))
CANONICAL = sorted(path.name.removesuffix(".input.json") for path in (DATA / "canonical").glob("*.input.json"))


def a_datum(**changed: Any) -> PhotometryDatum:
    about = {"timestamp": datetime(2024, 1, 2, tzinfo=UTC), "brightness": 18.25, "bandpass": "r", "extra": {"a": 1, "b": 2}}
    return PhotometryDatum(**(about | changed))


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_json_is_frozen_to_the_byte(name: str) -> None:
    document = json.loads((DATA / "canonical" / f"{name}.input.json").read_text(encoding="utf-8"))

    assert canonical_json(document) == (DATA / "canonical" / f"{name}.canonical.json").read_bytes()


def test_there_are_golden_files() -> None:
    assert {"floats", "integers", "nesting", "unicode"} <= set(CANONICAL)


@given(strategies.documents)
def test_canonical_json_loses_nothing(document: Any) -> None:
    assert repr(json.loads(canonical_json(document))) == repr(json.loads(json.dumps(document, sort_keys=True)))


@given(strategies.documents)
def test_canonical_json_is_a_fixed_point(document: Any) -> None:
    assert canonical_json(json.loads(canonical_json(document))) == canonical_json(document)


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": {"d": 1, "c": 2}, "a": 0}) == canonical_json({"a": 0, "b": {"c": 2, "d": 1}})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_has_no_number_for(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": [number]})


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_datum_identities_are_frozen(name: str) -> None:
    frozen = FROZEN[name]

    assert datum_identity(frozen["source"], READ.validate_python(frozen["datum"])) == frozen["identity"]


def test_the_frozen_identities_cover_every_kind_of_datum_and_differ() -> None:
    kinds = {type(READ.validate_python(frozen["datum"])).__name__ for frozen in FROZEN.values()}

    assert kinds == {"PhotometryDatum", "SpectroscopyDatum", "AstrometryDatum", "OtherDatum"}
    assert len({frozen["identity"] for frozen in FROZEN.values()}) == len(FROZEN)


SAME: dict[str, dict[str, Any]] = {
    "where the source had it from": {"source_name": "LCO", "source_location": "https://lco.global/1"},
    "its row at the source": {"origin": {"model": "m", "primary_key": 4}},
    "the order of keys": {"extra": {"b": 2, "a": 1}},
    "the zone in which its time is written": {"timestamp": datetime(2024, 1, 2, 2, tzinfo=timezone(timedelta(hours=2)))},
    "an identity that it carries": {"id": "0" * 64},
    "empty fields": {"telescope": "", "brightness_error": None},
}
DIFFERENT: dict[str, dict[str, Any]] = {
    "the value": {"brightness": 18.250000000000004},
    "the time": {"timestamp": datetime(2024, 1, 2, 0, 0, 0, 1, tzinfo=UTC)},
    "the telescope": {"telescope": "ELP"},
    "the error": {"brightness_error": 0.05},
    "a limit instead of a brightness": {"brightness": None, "limit": 18.25},
    "what is in extra": {"extra": {"a": 1, "b": 3}},
    "the last digit of a large integer": {"extra": {"a": 1, "b": 2, "object_id": 3074457345618258603}},
}


@pytest.mark.parametrize("change", SAME)
def test_the_identity_of_a_datum_does_not_depend_on(change: str) -> None:
    assert datum_identity(URL, a_datum(**SAME[change])) == datum_identity(URL, a_datum())


@pytest.mark.parametrize("change", DIFFERENT)
def test_the_identity_of_a_datum_depends_on(change: str) -> None:
    assert datum_identity(URL, a_datum(**DIFFERENT[change])) != datum_identity(URL, a_datum())


def test_the_identity_depends_on_the_source_tom_and_not_on_how_its_url_is_spelt() -> None:
    datum = a_datum()

    assert datum_identity("HTTPS://TOM.example.org:443", datum) == datum_identity(URL, datum)
    assert datum_identity("https://other.example.org/", datum) != datum_identity(URL, datum)


def test_the_identity_depends_on_the_data_type() -> None:
    about: dict[str, Any] = {"timestamp": "2024-01-02T00:00:00Z", "value": {"q": 1.5}}
    one, other = (READ.validate_python(about | {"data_type": data_type}) for data_type in ("photometry", "polarimetry"))

    assert datum_identity(URL, one) != datum_identity(URL, other)


@given(strategies.datums)
def test_the_identity_survives_the_wire(datum: ReducedDatum) -> None:
    """Whoever reads the datum back from JSON finds the same identity."""
    again = READ.validate_json(READ.dump_json(datum))

    assert datum_identity(URL, again) == datum_identity(URL, datum)


@given(st.lists(strategies.typed_datums, min_size=2, max_size=2))
def test_different_measurements_have_different_identities(pair: list[ReducedDatum]) -> None:
    one, other = (datum.model_dump(mode="json", exclude={"id", "source_name", "source_location", "origin"}) for datum in pair)
    if canonical_json(one) != canonical_json(other):
        assert datum_identity(URL, pair[0]) != datum_identity(URL, pair[1])


def test_an_identity_that_is_not_the_datums_own_is_refused() -> None:
    tom, target = TomIdentity(name="T", url=URL), TargetIdentity(name="a", type="SIDEREAL")
    right, wrong = identified(URL, a_datum()), a_datum(id="0" * 64)
    content = {"name": "a.csv", "data_product_type": "photometry", "size": 0, "sha256": "0" * 64, "content": {"url": "x"}}

    assert ReducedDatumsShared(tom=tom, target=target, datums=(right,)).datums[0].id == right.id
    with pytest.raises(ValidationError, match="datum 1 carries an identity that is not its own"):
        ReducedDatumsShared(tom=tom, target=target, datums=(right, wrong))
    with pytest.raises(ValidationError, match="datum 0 carries an identity that is not its own"):
        DataProductShared.model_validate({"tom": tom, "target": target, "product": content | {"datums": (wrong,)}})
