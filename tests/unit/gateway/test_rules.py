"""What Hermes takes and what it makes of it, held against its documentation and against an independent copy of its rules."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.hermes.writing import hermes_messages
from bridge.codecs.native import new_event
from bridge.errors import Rejected
from bridge.gateway.fields import MOST_BAD_ROWS, Refused
from bridge.gateway.rules import checked, complaints, without_refused_rows
from tests.support.hermes_corpus import FOLDER
from tests.support.hermes_rules import published as as_hermes_publishes
from tests.unit.codecs.hermes import strategies as any_hermes
from tests.unit.codecs.hermes.test_writing import NOW
from tests.unit.gateway.doubles import message, photometry


def refused(document: Any) -> Any:
    with pytest.raises(Refused) as caught:
        checked(document, submitter="My TOM")
    return caught.value.errors


def data(document: Any) -> Any:
    return checked(document, submitter="My TOM")["data"]


def with_rows(table: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return message(data={"targets": message()["data"]["targets"], table: list(rows)})


def with_target(**target: Any) -> dict[str, Any]:
    given_target = {"name": "A", "ra": 1, "dec": 2} | target
    return message(data={"targets": [{key: value for key, value in given_target.items() if value is not ...}]})


def spectrum(**more: Any) -> dict[str, Any]:
    row = {"target_name": "SN 2024abc", "date_obs": "60000.5", "telescope": "FTN", "flux": [1, 2], "wavelength": [500, 501]}
    return {key: value for key, value in (row | more).items() if value is not ...}


def corpus(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["message"])


def test_the_normal_form_is_the_one_that_hermes_own_serializer_made() -> None:
    """Of the facts file, made by running Hermes' code."""
    row = {
        "target_name": "A", "date_obs": "2460000.5", "telescope": "x", "bandpass": "g", "brightness": 20.0,
        "brightness_unit": "AB mag", "limiting_brightness_unit": "AB mag",
    }  # fmt: skip
    target = {
        "name": "A", "ra": 10.5, "dec": -3.0, "ra_error_units": "degrees", "dec_error_units": "degrees", "epoch": "2000.0",
        "new_discovery": False,
    }  # fmt: skip
    words = {"title": "t", "topic": "hermes.test", "submitter": "s", "message_text": "", "authors": ""}
    submitted = {
        "title": "t", "topic": "hermes.test", "submitter": "s", "submit_to_tns": False,
        "data": {
            "targets": [{"name": " A ", "ra": "10.5", "dec": -3, "aliases": [], "unknown": 1, "redshift": None}],
            "photometry": [{"target_name": "A", "date_obs": 2460000.5, "telescope": "x", "bandpass": "g", "brightness": "20"}],
        },
    }  # fmt: skip

    found = checked(submitted, submitter="-")

    assert found == {**words, "data": {"targets": [target], "photometry": [row]}}
    assert list(found) == ["title", "topic", "submitter", "data", "message_text", "authors"]
    assert list(found["data"]["photometry"][0]) == list(row)  # type: ignore[index,call-overload,arg-type]


@pytest.mark.parametrize("name", ["normal_form", "test_message", "other_alphabets", "two_units", "vega_limit", "own_message"])
def test_what_is_in_the_normal_form_passes_as_it_is_and_once_more(name: str) -> None:
    found = checked(corpus(name), submitter="-")

    assert found == as_hermes_publishes(corpus(name))
    assert checked(found, submitter="-") == found


@given(st.data())
def test_what_the_bridge_itself_writes_is_taken_and_published_as_hermes_would(drawn: st.DataObject) -> None:
    event = new_event(drawn.draw(any_hermes.bodies()), now=NOW)
    try:
        messages = hermes_messages(event, topic="tom.shares").messages
    except Rejected:
        return
    for each in messages:
        assert checked(copy.deepcopy(each), submitter="-") == as_hermes_publishes(each)


def test_null_empty_texts_and_empty_lists_are_dropped_within_data_and_zero_and_false_are_kept() -> None:
    found = data(with_target(redshift=0, host_redshift=None, aliases=[], group_associations=None, new_discovery="false"))

    (target,) = found["targets"]
    assert target["redshift"] == 0.0
    assert target["new_discovery"] is False
    assert not {"host_redshift", "aliases", "group_associations"} & set(target)
    assert "spectroscopy" not in data(message())


def test_unknown_keys_of_data_pass_and_those_of_rows_and_of_the_message_do_not() -> None:
    submitted = with_rows("photometry", photometry(unit="AB"))
    submitted["data"] |= {"extra_data": {"a": None, "b": []}, "T0": 1}

    found = checked(submitted | {"uuid": "x"}, submitter="-")

    assert found["data"]["extra_data"] == {"a": None, "b": []}  # type: ignore[index,call-overload]
    assert found["data"]["T0"] == 1  # type: ignore[index,call-overload]
    assert "unit" not in found["data"]["photometry"][0]  # type: ignore[index,call-overload,operator]
    assert "uuid" not in found


@pytest.mark.parametrize("nothing", [{}, {"data": {}}, {"data": {"extra_info": 1}}])
def test_a_message_may_have_no_rows(nothing: dict[str, Any]) -> None:
    words = {"title": "t", "topic": "x", "submitter": "s"}

    assert checked(words | nothing, submitter="-").get("data") == nothing.get("data")


@pytest.mark.parametrize(
    ("ra", "dec", "degrees"),
    [
        ("10.5", "-3", (10.5, -3.0)),
        (370, 0, (10.0, 0.0)),
        (0, 0, (0.0, 0.0)),
        ("23:21:16", "-03:00:36", (350.31666666666666, -3.01)),
        ("17h45m40.04s", "-29d00m28.1s", (266.4168333333333, -29.00780555555556)),
    ],
)
def test_positions_become_degrees_hours_only_in_right_ascension(ra: Any, dec: Any, degrees: tuple[float, float]) -> None:
    (target,) = data(with_target(ra=ra, dec=dec))["targets"]

    assert (target["ra"], target["dec"]) == pytest.approx(degrees)
    assert isinstance(target["ra"], float)


@pytest.mark.parametrize("wrong", [{"ra": "nan"}, {"dec": 91}, {"ra": "here"}, {"dec": "inf"}, {"dec": ""}, {"ra": [1]}])
def test_positions_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    assert list(refused(with_target(**wrong))["data"]["targets"][0]) == list(wrong)


def test_a_target_has_both_coordinates_or_an_orbit() -> None:
    said = "ra/dec or orbital elements are required"
    nowhere = {"ra": [said], "dec": [said], "orbital_elements": {"non_field_errors": [said]}}

    assert refused(with_target(dec=...)) == {"data": {"targets": [{"dec": ["Must set dec if ra is set"]}]}}
    assert refused(with_target(ra=..., dec=...)) == {"data": {"targets": [nowhere]}}


ORBIT = {
    "epoch_of_elements": 60000, "orbital_inclination": 1, "longitude_of_the_ascending_node": 2,
    "argument_of_the_perihelion": 3, "eccentricity": 0.1, "semimajor_axis": 2.5, "mean_anomaly": 4,
}  # fmt: skip


def test_an_orbit_needs_one_of_its_pairs_and_zero_is_missing_as_hermes_has_it() -> None:
    def orbit(**more: Any) -> dict[str, Any]:
        return with_target(ra=..., dec=..., orbital_elements=ORBIT | more)

    comet = {"semimajor_axis": None, "mean_anomaly": None, "perihelion_distance": 1.5, "epoch_of_perihelion": "2026-01-01"}
    assert "semimajor_axis" not in data(orbit(**comet))["targets"][0]["orbital_elements"]
    assert data(orbit())["targets"][0]["orbital_elements"]["epoch_of_elements"] == "60000"
    (wrong,) = refused(orbit(mean_anomaly=0))["data"]["targets"]
    assert wrong == {"orbital_elements": {"mean_anomaly": ["Must set mean_anomaly when semimajor_axis is set"]}}
    (wrong,) = refused(orbit(orbital_inclination=181, eccentricity=-1))["data"]["targets"]
    assert wrong == {
        "orbital_elements": {
            "orbital_inclination": ["Ensure this value is less than or equal to 180.0."],
            "eccentricity": ["Ensure this value is greater than or equal to 0.0."],
        }
    }


@pytest.mark.parametrize(
    "when", ["2024-03-01T05:06:07+00:00", "2460000.5", 60000.5, "2025", "1 Mar 2024", "2024-03-01 10:00 UT"]
)
def test_a_date_is_kept_as_it_was_written(when: Any) -> None:
    (row,) = data(with_rows("photometry", photometry(date_obs=when)))["photometry"]

    assert row["date_obs"] == str(when)


@pytest.mark.parametrize("when", ["yesterday", 20240301, "2024-02-30", None, "", "nan", [1], "1 " * 200, True])
def test_a_date_that_is_none_is_refused(when: Any) -> None:
    (row,) = refused(with_rows("photometry", photometry(date_obs=when)))["data"]["photometry"]

    assert list(row) == ["date_obs"]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"brightness": 0.0}, {"brightness": ["brightness or limiting_brightness are required"], "limiting_brightness": ...}),
        ({"brightness": None}, {"brightness": ..., "limiting_brightness": ...}),
        ({"brightness": "faint"}, {"brightness": ["A valid number is required."]}),
        ({"brightness": "nan"}, {"brightness": ["A valid number is required."]}),
        ({"brightness": True}, {"brightness": ["A valid number is required."]}),
        ({"brightness_unit": "mag"}, {"brightness_unit": ['"mag" is not a valid choice.']}),
        ({"brightness_unit": "Jy"}, {"brightness_unit": ['"Jy" is not a valid choice.']}),
        ({"brightness_unit": None}, {"brightness_unit": ["This field may not be null."]}),
        ({"bandpass": ""}, {"bandpass": ["This field may not be blank."]}),
        ({"bandpass": "a\x00b"}, {"bandpass": ["Null characters are not allowed."]}),
        ({"bandpass": "\ud800"}, {"bandpass": ["Surrogate characters are not allowed."]}),
        ({"bandpass": {}}, {"bandpass": ["Not a valid string."]}),
        ({"target_name": "B"}, {"target_name": ["The target_name must reference a name in your target table"]}),
    ],
)
def test_rows_of_photometry_that_hermes_refuses(row: dict[str, Any], error: dict[str, Any]) -> None:
    good, bad = refused(with_rows("photometry", photometry(), photometry(**row)))["data"]["photometry"]

    assert good == {}
    assert list(bad) == list(error)
    assert {name: said for name, said in bad.items() if error[name] is not ...} == {
        name: said for name, said in error.items() if said is not ...
    }


def test_a_limit_alone_will_do_and_has_its_own_unit() -> None:
    row = photometry(brightness=None, limiting_brightness="20.4", limiting_brightness_unit="Vega mag")

    (found,) = data(with_rows("photometry", row))["photometry"]

    assert "brightness" not in found
    assert (found["limiting_brightness"], found["limiting_brightness_unit"]) == (20.4, "Vega mag")


@pytest.mark.parametrize(
    ("row", "limit_unit"),
    [
        ({"brightness": None, "limiting_brightness": 20.4, "brightness_unit": "Vega mag"}, "Vega mag"),
        ({"limiting_brightness": 20.4, "brightness_unit": "Vega mag"}, "Vega mag"),
        ({"limiting_brightness": 20.4}, "AB mag"),
        ({"limiting_brightness": 20.4, "brightness_unit": "mJy", "limiting_brightness_unit": "AB mag"}, "AB mag"),
        ({"brightness_unit": "mJy"}, "AB mag"),  # of no limit; what Hermes says then
    ],
)
def test_a_limit_whose_unit_is_not_said_is_in_that_of_the_brightness(row: dict[str, Any], limit_unit: str) -> None:
    """TOM Toolkit 2 says no other, and Hermes would call a Vega limit AB."""
    (found,) = data(with_rows("photometry", photometry(**row)))["photometry"]

    assert found["limiting_brightness_unit"] == limit_unit
    assert found["brightness_unit"] == row.get("brightness_unit", "AB mag")


@pytest.mark.parametrize("table", ["photometry", "spectroscopy"])
def test_what_tom_toolkit_makes_of_a_file_has_no_telescope_and_is_taken(table: str) -> None:
    row = (photometry if table == "photometry" else spectrum)(telescope=None, instrument=None)

    (found,) = data(with_rows(table, row))[table]

    assert not {"telescope", "instrument"} & set(found), "and none is made up"


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"flux": ...}, "file_info"),
        ({"flux": []}, "flux"),
        ({"wavelength": [1]}, "non_field_errors"),
        ({"flux_error": [1]}, "non_field_errors"),
        ({"flux_error": None}, "flux_error"),
        ({"flux": [1, "x"]}, "flux"),
        ({"flux_units": "counts"}, "flux_units"),
        ({"flux_units": "Jy"}, "flux_units"),
        ({"flux_units": "1e-17 erg / (Angstrom s cm2)"}, "flux_units"),
        ({"wavelength_units": "m"}, "wavelength_units"),
        ({"flux": 5}, "flux"),
        ({"spec_type": "Star"}, "spec_type"),
        ({"file_info": [{"name": "a.fits"}]}, "file_info"),
        ({"file_info": [{"name": "a.fits", "url": "file:///etc/passwd"}]}, "file_info"),
    ],
)
def test_spectra_that_hermes_refuses_or_that_need_a_file_uploaded(row: dict[str, Any], where: str) -> None:
    (bad,) = refused(with_rows("spectroscopy", spectrum(**row)))["data"]["spectroscopy"]

    assert where in bad


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        (("erg / (Angstrom s cm2)", "Angstrom"), ("erg / s / cm² / Å", "Å")),  # as TOM Toolkit itself stores them
        (("erg / s / cm2 / Angstrom", "AA"), ("erg / s / cm² / Å", "Å")),
        (("mJy", "um"), ("mJy", "µm")),
        ((None, None), ("erg / s / cm² / Å", "Å")),  # TOM Toolkit's defaults
        (("", ""), ("erg / s / cm² / Å", "Å")),
        ((..., ...), ("mJy", "nm")),  # Hermes' own
    ],
)
def test_units_of_spectra_are_known_by_the_words_of_toms(sent: tuple[Any, Any], published: tuple[str, str]) -> None:
    (row,) = data(with_rows("spectroscopy", spectrum(flux_units=sent[0], wavelength_units=sent[1])))["spectroscopy"]

    assert (row["flux_units"], row["wavelength_units"]) == published
    assert (row["flux"], row["wavelength"]) == ([1.0, 2.0], [500.0, 501.0])


@pytest.mark.parametrize(("sent", "published"), [("AB", "AB mag"), ("ABflux", "AB mag"), ("Vega", "Vega mag"), ("mJy", "mJy")])
def test_units_of_brightnesses_are_known_by_the_words_of_toms(sent: str, published: str) -> None:
    (row,) = data(with_rows("photometry", photometry(brightness_unit=sent)))["photometry"]

    assert (row["brightness"], row["brightness_unit"]) == (18.125, published)


def test_a_spectrum_may_be_a_file_that_readers_fetch_themselves() -> None:
    file = {"name": "a.fits", "description": "", "url": "https://my-tom.org/data/a.fits"}

    (row,) = data(with_rows("spectroscopy", spectrum(flux=..., wavelength=..., file_info=[file])))["spectroscopy"]

    assert row["file_info"] == [{"name": "a.fits", "url": "https://my-tom.org/data/a.fits"}]
    assert (row["flux_units"], row["wavelength_units"], row["flux_type"]) == ("mJy", "nm", "Fλ")


@pytest.mark.parametrize(
    ("written", "published"), [("\u212b", "\u00c5"), ("\u00c5", "\u00c5"), ("\u03bcm", "\u00b5m"), ("nm", "nm")]
)
def test_letters_that_look_the_same_are_the_same_unit(written: str, published: str) -> None:
    """TOM Toolkit 2.32.4 writes the sign of the angstrom, U+212B."""
    flux = f"erg / s / cm² / {written}" if written == "\u212b" else "mJy"
    (row,) = data(with_rows("spectroscopy", spectrum(wavelength_units=written, flux_units=flux)))["spectroscopy"]

    assert row["wavelength_units"] == published


@pytest.mark.parametrize(
    ("reference", "missing"),
    [
        ({"source": "ads"}, ["citation"]),
        ({"citation": "x"}, ["source"]),
        ({}, ["source", "citation", "url"]),
        ({"url": "no url"}, ["url"]),
        ({"source": "hop_uuid", "citation": "x"}, ["citation"]),
    ],
)
def test_references_need_source_and_citation_or_an_address(reference: dict[str, Any], missing: list[str]) -> None:
    assert list(refused(message(data={"references": [reference]}))["data"]["references"][0]) == missing


def test_names_of_targets_are_unique() -> None:
    twice = {"targets": [{"name": "A", "ra": 1, "dec": 2}, {"name": "B", "ra": 1, "dec": 2}, {"name": "A ", "ra": 1, "dec": 2}]}
    said = {"name": ["The target name must be unique within the submission"]}

    assert refused(message(data=twice)) == {"data": {"targets": [said, {}, said]}}


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (None, {"non_field_errors": ["Invalid data. Expected a dictionary, but got NoneType."]}),
        ({}, {"title": ["This field is required."], "topic": ["This field is required."]}),
        (message(title=" "), {"title": ["This field may not be blank."]}),
        (message(topic=None), {"topic": ["This field may not be null."]}),
        (message(submitter=["a"]), {"submitter": ["Not a valid string."]}),
        (message(data=None), {"data": ["This field may not be null."]}),
        (message(data=[]), {"data": {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}}),
        (
            message(data={"targets": {}}),
            {"data": {"targets": {"non_field_errors": ['Expected a list of items but got type "dict".']}}},
        ),
        (
            message(data={"targets": ["A"]}),
            {"data": {"targets": [{"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}]}},
        ),
        (message(data={"targets": None}), {"data": {"targets": ["This field may not be null."]}}),
    ],
)
def test_what_is_no_message_is_refused_in_hermes_words(document: Any, errors: Any) -> None:
    assert refused(document) == errors


def test_what_tom_toolkit_leaves_out_is_filled_in() -> None:
    """2.x sends authors of null where there is no DEFAULT_AUTHORS, and no submitter when it shares existing data."""
    found = checked(message(authors=None, message_text=None, submitter=""), submitter="My TOM")

    assert (found["authors"], found["message_text"], found["submitter"]) == ("", "", "My TOM")
    assert checked(message(submitter="alice"), submitter="My TOM")["submitter"] == "alice"


@pytest.mark.parametrize("where", ["submit_to_tns", "submit_to_mpc", "submit_to_gcn"])
def test_what_is_to_go_elsewhere_too_is_refused_rather_than_half_done(where: str) -> None:
    assert where in refused(message(**{where: True}))
    assert where not in checked(message(**{where: None}), submitter="-")


def test_complaints_are_bounded_however_much_is_wrong() -> None:
    errors = refused(with_rows("photometry", *([{}] * 5 * MOST_BAD_ROWS)))

    assert len(errors["data"]["photometry"]) == MOST_BAD_ROWS
    said = complaints(errors)
    assert said[0] == "data.photometry[0].target_name: This field is required."
    assert said[-1].endswith("more")
    assert len(said) < 100
    (row,) = refused(with_rows("photometry", photometry(brightness_unit="x" * 10_000)))["data"]["photometry"]
    assert len(row["brightness_unit"][0]) < 200


def test_refused_rows_can_be_left_out_where_nothing_else_is_wrong() -> None:
    submitted = with_rows("photometry", photometry(), photometry(bandpass=""), photometry(bandpass="g"))

    rest = without_refused_rows(submitted, refused(submitted))

    assert rest is not None
    assert [row["bandpass"] for row in data(rest[0])["photometry"]] == ["rp", "g"]
    assert rest[1] == 1
    assert len(submitted["data"]["photometry"]) == 3, "what was submitted is left alone"
    for wrong in (submitted | {"title": ""}, submitted | {"data": {"targets": [{}]}}):
        assert without_refused_rows(wrong, refused(wrong)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_is_submitted_is_taken_or_refused_and_never_breaks_anything(drawn: st.DataObject) -> None:
    submitted: Any = message()
    submitted["data"]["targets"].append({"name": "B", "orbital_elements": dict(ORBIT), "discovery_info": {"date": "60000"}})
    submitted["data"]["spectroscopy"] = [spectrum(file_info=[{"name": "x", "url": "https://x.org/x"}])]
    submitted["data"]["references"] = [{"source": "a", "citation": "b"}]
    place = submitted
    for _step in range(drawn.draw(st.integers(1, 5))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = drawn.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    place[drawn.draw(st.sampled_from(keys))] = drawn.draw(json_values)

    found, errors = taken_or_refused(submitted)

    if found is None:
        assert complaints(errors)
        assert json.loads(json.dumps(errors)) == errors
    else:
        assert checked(found, submitter="-") == found, "what is published would be taken again, and stay as it is"


def taken_or_refused(document: Any) -> tuple[Any, Any]:
    try:
        return checked(document, submitter="-"), None
    except Refused as error:
        return None, error.errors
