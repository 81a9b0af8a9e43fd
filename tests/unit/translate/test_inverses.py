"""What the bridge writes it finds again: a request, the row that a TOM then shows, and what is made of that row."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.errors import Rejected
from bridge.events import ReducedDatum, Target, TargetIdentity, TomIdentity
from bridge.translate import toolkit2, toolkit3
from bridge.translate.datums import DatumRequest, datum_mark, datum_request
from bridge.translate.dialect import Dialect
from bridge.translate.targets import creation, known_target, missing_names, same_fields, zeros_to_set
from tests.unit import strategies

TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
TARGETS = st.sampled_from(
    [TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=41), TargetIdentity(name="SN 2024abc", type="SIDEREAL")]
)
ZONES = st.sampled_from([timezone(timedelta(hours=hours)) for hours in (-10, 0, 14)])

FOUND_UNDER: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "photometry": {
        "brightness": ("brightness", "magnitude", "mag"),
        "brightness_error": ("error", "brightness_error", "magnitude_error", "mag_err"),
        "bandpass": ("bandpass", "filter", "band", "f"),
        "unit": ("unit",),
    },
    "spectroscopy": {
        "flux": ("flux", "f"),
        "wavelength": ("wavelength", "wave", "wl", "lambda"),
        "error": ("error", "err", "flux_error", "f_error"),
        "flux_unit": ("flux_unit", "f_unit", "flux_units", "f_units"),
        "wavelength_unit": ("wavelength_unit", "w_unit", "wavelength_units", "w_units", "lambda_unit", "lambda_units"),
    },
    "astrometry": {
        "ra": ("ra", "right_ascension", "ra_deg"),
        "dec": ("dec", "declination", "dec_deg"),
        "ra_error": ("ra_error", "right_ascension_error", "ra_err"),
        "dec_error": ("dec_error", "declination_error", "dec_err"),
        "ra_error_units": ("ra_error_units", "ra_err_units"),
        "dec_error_units": ("dec_error_units", "dec_err_units"),
    },
}
"""What TOM Toolkit 3.1 takes each column from, and shows of a typed datum beside the instrument (``try_parse_reduced_datum``,
``ReducedDatumSerializer``)."""
ENVELOPE = {"target", "data_type", "timestamp", "value", "source_name", "source_location", "telescope", "instrument"}
EMPTY = {"bandpass": "", "unit": "", "flux": [], "wavelength": [], "error": [], "flux_unit": "", "wavelength_unit": ""}
EMPTY |= {"ra_error_units": "", "dec_error_units": ""}


def request(datum: ReducedDatum, target: TargetIdentity, dialect: Dialect, *, original_source: bool = False) -> DatumRequest:
    return datum_request(
        datum, target_id=7, tom=TOM, target=target, original_source=original_source, reserved=dialect.reserved_keys
    )


def shown(made: DatumRequest, zone: timezone, dialect: Dialect) -> dict[str, Any]:
    """Return the row that a TOM shows of a datum after this request. Its API trims what stands outside of ``value``."""
    body = json.loads(json.dumps(made.body))
    row = {key: body[key].strip() for key in ("data_type", "source_name", "source_location")}
    row["timestamp"] = datetime.fromisoformat(body["timestamp"]).astimezone(zone).isoformat()
    if dialect is toolkit2:
        return row | {"value": body["value"]}
    row["data_type"] = row["data_type"].lower()
    return row | {"value": _value_of_3x(row["data_type"], body["value"])}


def _value_of_3x(data_type: str, value: Any) -> Any:
    if data_type not in FOUND_UNDER:
        kept = {"telescope", "instrument", "reduction_version"} | ENVELOPE
        return {key: item for key, item in value.items() if key not in kept}
    columns = FOUND_UNDER[data_type]
    found = {
        column: next((value[name] for name in names if name in value), EMPTY.get(column)) for column, names in columns.items()
    }
    return found | {name: value.get(name, "") for name in ("telescope", "instrument")}


@given(strategies.datums, TARGETS, ZONES, st.booleans())
def test_2x_shows_a_datum_that_is_found_again(
    datum: ReducedDatum, target: TargetIdentity, zone: timezone, original: bool
) -> None:
    assume(datum.data_type.strip())  # else it is refused
    made = request(datum.model_copy(update={"id": None}), target, toolkit2, original_source=original)

    assert toolkit2.is_row(shown(made, zone, toolkit2), made)


@given(strategies.datums, TARGETS, ZONES, st.booleans())
def test_3x_shows_a_datum_that_is_found_again(
    datum: ReducedDatum, target: TargetIdentity, zone: timezone, original: bool
) -> None:
    assume(datum.data_type.strip() and toolkit3.unstorable(datum) is None)
    made = request(datum.model_copy(update={"id": None}), target, toolkit3, original_source=original)
    apart = made.kept_apart()

    assert toolkit3.is_row(shown(made, zone, toolkit3), made)
    assert toolkit3.is_row(shown(apart, zone, toolkit3), made)
    assert toolkit3.is_row(shown(made, zone, toolkit3), apart)


@given(strategies.typed_datums, TARGETS, ZONES)
def test_3x_shows_a_typed_datum_that_is_found_again_without_its_mark(
    datum: ReducedDatum, target: TargetIdentity, zone: timezone
) -> None:
    """As for the datums that the TOM itself made of a data product."""
    assume(toolkit3.unstorable(datum) is None)
    made = request(datum.model_copy(update={"id": None}), target, toolkit3)

    assert toolkit3.is_row(shown(made, zone, toolkit3) | {"source_location": ""}, made)


@pytest.mark.parametrize("dialect", [toolkit2, toolkit3], ids=lambda dialect: dialect.LABEL)
@given(pair=st.lists(strategies.datums, min_size=2, max_size=2), target=TARGETS, zone=ZONES)
def test_the_mark_leads_back_to_the_datum_and_to_no_other(
    dialect: Dialect, pair: list[ReducedDatum], target: TargetIdentity, zone: timezone
) -> None:
    one, other = (request(datum.model_copy(update={"id": None}), target, dialect) for datum in pair)
    marks = [datum_mark(shown(made, zone, toolkit2)["source_location"]) for made in (one, other)]

    assert marks == [str(made.datum.id)[:32] for made in (one, other)]
    assert (marks[0] == marks[1]) == (one.datum.id == other.datum.id)
    if dialect is toolkit3 and one.datum.id != other.datum.id and toolkit3.unstorable(pair[0]) is None:
        assert not toolkit3.is_row(shown(one, zone, toolkit3), other)


# --- targets


def made_of(target: Target, *, zeros_set: bool) -> dict[str, Any]:
    """Return the row that a TOM shows of a target after it was created; between the two requests, or after both."""
    made = creation(target, lists=[], permissions="PRIVATE", groups=[], provenance={})
    body = json.loads(json.dumps(made.body | (made.zeros if zeros_set else {})))
    return {
        **dict.fromkeys(strategies.TARGET_NUMBERS),
        "scheme": "",
        **body,
        "id": 7,
        "created": "2026-11-23T04:30:00.123456Z",
        "galactic_lng": body.get("galactic_lng", 12.5),  # which a TOM computes by itself
        "aliases": [{"id": 4, **alias} for alias in body["aliases"]],
        "targetextra_set": [{"id": 5, **extra} for extra in body["targetextra_set"]],
    }


@given(strategies.targets(), st.booleans())
def test_a_target_that_was_created_is_known_again(target: Target, zeros_set: bool) -> None:
    known = known_target(made_of(target, zeros_set=zeros_set))

    assert same_fields(target, known)
    assert missing_names(target.names, known) == []
    assert known.extras == target.extras


@given(strategies.targets())
def test_after_a_crash_between_the_two_requests_the_same_zeros_are_set(target: Target) -> None:
    made = creation(target, lists=[], permissions="PRIVATE", groups=[], provenance={})

    assert zeros_to_set(target, known_target(made_of(target, zeros_set=False))) == made.zeros
    assert zeros_to_set(target, known_target(made_of(target, zeros_set=True))) == {}


@given(strategies.targets())
def test_a_name_longer_than_a_tom_stores_is_refused_and_no_other(target: Target) -> None:
    long = target.model_copy(update={"name": f" {'x' * 101} "})
    with pytest.raises(Rejected):
        made_of(long, zeros_set=True)
    assert len(made_of(target, zeros_set=True)["name"]) <= 100
