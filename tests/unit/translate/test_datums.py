"""Reduced datums as requests: one payload for both dialects, in which nothing inside can pass for something outside."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import schemas
from bridge.codecs.native import identified
from bridge.events import (
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    TargetIdentity,
    TomIdentity,
    canonical_json,
    datum_identity,
)
from bridge.translate import toolkit2, toolkit3
from bridge.translate.datums import DatumRequest, datum_request, origin_address, same_moment
from bridge.translate.dialect import Dialect, dialect_of
from tests.unit import strategies

TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
TARGET = TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=41)
NIGHT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
GOLDEN = Path(__file__).parents[2] / "data" / "requests"
DIALECTS: list[Dialect] = [toolkit2, toolkit3]

MODEL_FIELDS = """id pk target target_id data_product data_type timestamp value source_name source_location telescope instrument
reduction_version brightness magnitude mag error brightness_error magnitude_error mag_err bandpass filter band f limit unit
exposure_time flux wavelength wave wl lambda err flux_error f_error flux_unit f_unit flux_units f_units wavelength_unit w_unit
wavelength_units w_units lambda_unit lambda_units setup ra right_ascension ra_deg dec declination dec_deg ra_error
right_ascension_error ra_err dec_error declination_error dec_err ra_error_units ra_err_units dec_error_units
dec_err_units""".split()  # noqa: SIM905  a list of so many words is read more easily so
"""Names that TOM Toolkit 3.1 takes for columns of one of its datum models (``tom_dataproducts/models.py``)."""
keys = st.sampled_from(MODEL_FIELDS + [f"original_{name}" for name in MODEL_FIELDS]) | strategies.texts
extras = st.dictionaries(keys, strategies.documents, max_size=6)


def request(datum: ReducedDatum, dialect: Dialect, *, original_source: bool = False) -> DatumRequest:
    return datum_request(
        datum, target_id=7, tom=TOM, target=TARGET, original_source=original_source, reserved=dialect.reserved_keys
    )


def example_datums() -> list[tuple[str, ReducedDatum]]:
    body = schemas.example_events()["reduced_datums"].body
    assert isinstance(body, ReducedDatumsShared)
    return [(f"{number}_{datum.data_type}", datum) for number, datum in enumerate(body.datums)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.LABEL)
@pytest.mark.parametrize(("name", "datum"), example_datums())
def test_the_request_of_each_kind_of_datum_is_frozen(name: str, datum: ReducedDatum, dialect: Dialect) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))

    assert request(datum, dialect).body == golden
    assert request(datum, dialect).renamed == {}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.LABEL)
@given(datum=strategies.datums, extra=extras)
def test_what_is_inside_a_value_never_changes_source_target_time_or_type(
    dialect: Dialect, datum: ReducedDatum, extra: dict[str, Any]
) -> None:
    changed = {"value": extra} if isinstance(datum, OtherDatum) else {"extra": extra}
    datum = datum.model_copy(update=changed | {"id": None})
    body = request(datum, dialect).body
    merged = {**body, **body["value"]}  # what 3.1 does before it looks at anything

    if dialect is toolkit3:
        for field in ("target", "data_type", "timestamp", "source_name", "source_location", "data_product", "id"):
            assert merged.get(field) == body.get(field)
    assert body["target"] == 7
    assert body["data_type"] == datum.data_type.strip()
    assert same_moment(body["timestamp"], datum.timestamp.isoformat())
    assert body["source_name"] == TOM.name


@given(strategies.typed_datums, extras)
def test_what_is_inside_extra_never_passes_for_a_measurement_in_3x(datum: ReducedDatum, extra: dict[str, Any]) -> None:
    plain = request(datum.model_copy(update={"extra": {}, "id": None}), toolkit3).body["value"]
    full = request(datum.model_copy(update={"extra": extra, "id": None}), toolkit3)
    added = full.body["value"].keys() - plain.keys()

    assert {key: full.body["value"][key] for key in plain} == plain
    assert not added & toolkit3.reserved_keys(datum.data_type)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.LABEL)
@given(datum=strategies.typed_datums, extra=extras)
def test_no_extra_is_lost_and_renamed_ones_are_reported(dialect: Dialect, datum: ReducedDatum, extra: dict[str, Any]) -> None:
    made = request(datum.model_copy(update={"extra": extra, "id": None}), dialect)
    stored_as = {key: made.renamed.get(key, key) for key in extra}

    assert len(set(stored_as.values())) == len(extra)
    assert all(made.body["value"][name] == extra[key] for key, name in stored_as.items())
    assert all(name.startswith("original_") and name.endswith(key) for key, name in made.renamed.items())


def test_a_key_is_renamed_only_where_it_would_be_taken_for_something_else() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0, extra={"id": 4, "airmass": 1.2, "magnitude": 3.0})

    assert request(datum, toolkit2).renamed == {"magnitude": "original_magnitude"}
    assert request(datum, toolkit3).renamed == {"id": "original_id", "magnitude": "original_magnitude"}


def test_a_renamed_key_does_not_land_on_another() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0, extra={"id": 1, "original_id": 2})

    assert request(datum, toolkit3).renamed == {"id": "original_original_id"}


def test_the_source_is_the_source_tom_unless_the_original_is_asked_for() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0, source_name="LCO")
    unsaid = PhotometryDatum(timestamp=NIGHT, brightness=18.0)

    assert request(datum, toolkit2).body["source_name"] == "Example TOM"
    assert request(datum, toolkit2, original_source=True).body["source_name"] == "LCO"
    assert request(unsaid, toolkit2, original_source=True).body["source_name"] == "Example TOM"
    long = datum.model_copy(update={"source_name": "x" * 300})
    assert len(request(long, toolkit2, original_source=True).body["source_name"]) == 100


def test_the_address_leads_back_to_the_target_and_carries_the_datums_identity() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0)
    identity = datum_identity(TOM.url, datum)

    assert request(datum, toolkit2).body["source_location"] == f"https://tom.example.org/targets/41/#datum={identity[:32]}"
    assert request(datum, toolkit2).datum.id == identity
    assert origin_address(TOM, TARGET.model_copy(update={"primary_key": None}), identity).startswith(f"{TOM.url}#datum=")


def test_an_address_that_would_not_fit_becomes_an_urn() -> None:
    far = TomIdentity(name="T", url=f"https://tom.example.org/{'x' * 200}/")

    assert origin_address(far, TARGET, "a" * 64) == f"urn:tom-bridge:datum:{'a' * 64}"


@given(strategies.typed_datums)
def test_the_payload_is_made_the_same_from_the_same_measurement(datum: ReducedDatum) -> None:
    """2.x compares the JSON text: another order of keys would be another datum."""
    shuffled = datum.model_copy(update={"extra": dict(reversed(datum.extra.items()))})  # type: ignore[union-attr]

    assert list(request(datum, toolkit2).body["value"]) == sorted(request(datum, toolkit2).body["value"])
    assert canonical_json(request(shuffled, toolkit2).body) == canonical_json(request(datum, toolkit2).body)


@given(strategies.typed_datums)
def test_kept_apart_differs_in_the_reduction_version_alone_and_each_datum_has_its_own(datum: ReducedDatum) -> None:
    made = request(identified(TOM.url, datum), toolkit3)
    apart = made.kept_apart()
    version = apart.body["value"].pop("reduction_version")

    assert version != made.body["value"].get("reduction_version", "")
    assert str(made.datum.id)[:12] in version
    assert len(version) <= 50
    assert apart.body["value"] == {key: item for key, item in made.body["value"].items() if key != "reduction_version"}
    assert {**apart.body, "value": 0} == {**made.body, "value": 0}


def test_kept_apart_is_the_same_every_time() -> None:
    made = request(PhotometryDatum(timestamp=NIGHT, brightness=18.0, reduction_version="v" * 50), toolkit3)

    assert made.kept_apart() == made.kept_apart()


@pytest.mark.parametrize("value", [["a"], "text", 4, True])
def test_a_raw_value_that_is_no_dictionary_goes_as_it_is(value: Any) -> None:
    datum = OtherDatum(data_type="notes", timestamp=NIGHT, value=value)

    assert request(datum, toolkit2).body["value"] == value
    assert toolkit3.unstorable(datum) is not None
    assert toolkit2.unstorable(datum) is None


def test_there_are_two_dialects() -> None:
    assert (dialect_of(2).LABEL, dialect_of(3).LABEL) == ("2.x", "3.x")


HUB = TomIdentity(name="Hub", url="https://hub.example.org/")


def passed_on(datum: ReducedDatum, hops: tuple[str, ...]) -> DatumRequest:
    return datum_request(
        datum, target_id=7, tom=HUB, target=TARGET, hops=hops, original_source=False, reserved=toolkit3.reserved_keys
    )


@given(strategies.typed_datums)
def test_a_datum_that_a_hub_passes_on_is_the_one_that_it_was(datum: ReducedDatum) -> None:
    first = datum_request(
        datum.model_copy(update={"id": None}), target_id=3, tom=TOM, target=TARGET, original_source=False,
        reserved=toolkit3.reserved_keys,
    )  # fmt: skip
    at_hub = datum.model_copy(update={"source_location": first.body["source_location"], "id": datum_identity(HUB.url, datum)})

    made = passed_on(at_hub, (TOM.url,))

    assert made.datum.id == first.datum.id
    assert made.body["source_location"] == first.body["source_location"]


def test_a_datum_cannot_be_passed_off_as_another() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0, bandpass="r")
    others = origin_address(TOM, TARGET, datum_identity(TOM.url, datum.model_copy(update={"brightness": 18.5})))

    made = passed_on(datum.model_copy(update={"source_location": others}), (TOM.url,))

    assert made.datum.id == datum_identity(HUB.url, datum)
    assert made.body["source_location"].startswith(HUB.url)


def test_only_a_tom_that_the_event_has_been_through_vouches_for_a_mark() -> None:
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0, bandpass="r")
    marked = datum.model_copy(update={"source_location": origin_address(TOM, TARGET, datum_identity(TOM.url, datum))})

    assert passed_on(marked, ()).datum.id == datum_identity(HUB.url, datum)
