"""Hermes messages -> share events: the corpus against what a person expects, and what is particular about each part."""

import json
import math
import tracemalloc
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bridge.codecs.hermes.fields import MOST_NAMED
from bridge.codecs.hermes.message import HERMES_URL, HermesSource
from bridge.codecs.native import Ignored
from bridge.codecs.record import Record
from bridge.errors import Poison
from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetShared, datum_identity
from tests.support.hermes_corpus import CASES, FOLDER, ID, TIME, TOPIC, USUAL, Case, as_expected, hermes_record, read

READ = [case for case in CASES.values() if "ends" not in case.expected]
NOT_READ = [case for case in CASES.values() if "ends" in case.expected]
TARGET = {"name": "A", "ra": 10.5, "dec": -3.0}
ROW = {"target_name": "A", "date_obs": "2023-04-09T10:00:00Z", "telescope": "x", "bandpass": "g", "brightness": 18.0}


def message(**data: Any) -> dict[str, Any]:
    return {"title": "t", "topic": "hermes.test", "submitter": "A. Person", "data": {"targets": [TARGET], **data}}


def datums_of(**data: Any) -> list[Any]:
    bodies = [event.body for event in read(hermes_record(message(**data))).events]
    return [datum for body in bodies if isinstance(body, ReducedDatumsShared) for datum in body.datums]


def target_of(target: dict[str, Any], **data: Any) -> Any:
    (event,) = read(hermes_record(message(targets=[TARGET | target], **data))).events
    assert isinstance(event.body, TargetShared)
    return event.body.target


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, numbers to the last digits but two."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-14)
    return type(one) is type(other) and one == other


def in_order(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(things, key=lambda thing: json.dumps(thing, sort_keys=True))


def moments(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**thing, "timestamp": datetime.fromisoformat(thing["timestamp"]).isoformat()} for thing in things]


# --- the corpus


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_message_becomes_what_a_person_expects(case: Case) -> None:
    found, expected = as_expected(read(case.record)), case.expected

    for one, other in zip(in_order(expected["targets"]), in_order(found["targets"]), strict=True):
        assert same(one, other), (one, other)
    for one, other in zip(in_order(moments(expected["datums"])), in_order(moments(found["datums"])), strict=True):
        assert same(one, other), (one, other)
    assert sorted(expected.get("refused", [])) == found["refused"]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_source_and_id_are_what_a_person_expects(case: Case) -> None:
    expected = case.expected

    for event in read(case.record).events:
        assert str(event.id) == expected.get("uuid", str(ID))
        assert event.body.tom.name == expected["imported_from"]
        assert list(event.body.hops) == expected.get("hops", [])
        assert list(event.body.destinations or []) == expected.get("destinations", [])
        assert event.body.authors == expected.get("authors", event.body.authors)


@pytest.mark.parametrize("case", NOT_READ, ids=lambda case: case.name)
def test_what_is_no_message_for_a_tom_ends_as_a_person_expects(case: Case) -> None:
    with pytest.raises(Poison if case.expected["ends"] == "poison" else Ignored) as caught:
        read(case.record)

    detail = getattr(caught.value, "detail", str(caught.value))
    assert caught.value.reason == case.expected["reason"]
    assert detail.isprintable()
    assert "169.254" not in detail


def test_every_file_says_what_it_is_about_and_how_it_was_found() -> None:
    for path in FOLDER.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["about"], path.name
        assert content["how"], path.name


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_no_detail_repeats_what_a_sender_wrote(case: Case) -> None:
    for item in read(case.record).refused:
        assert item.detail.isprintable()
        assert "over there" not in item.detail
        assert "169.254" not in item.detail


# --- source, id, time


def test_the_source_is_the_topic_under_the_name_of_the_submitter() -> None:
    event, *_ = read(hermes_record(message(photometry=[ROW]))).events
    tom = event.body.tom

    assert isinstance(tom, HermesSource)
    assert (tom.name, tom.url, tom.address, tom.source_name) == ("A. Person", HERMES_URL, TOPIC, "Hermes:hermes.test")
    assert tom.page(41) == tom.page(None) == f"{TOPIC}?message={ID}"
    assert event.source == TOPIC
    assert event.time == TIME


def test_the_source_can_be_called_after_the_topic() -> None:
    event, *_ = read(hermes_record(message()), name_from="topic").events

    assert event.body.tom.name == "hermes.test"
    assert event.body.submitter == "A. Person"


def test_a_datum_has_one_identity_whichever_topic_it_came_through() -> None:
    one = read(hermes_record(message(photometry=[ROW])))
    other = read(hermes_record(message(photometry=[ROW]), headers=()), topic_address="kafka://localhost/elsewhere")
    bodies = [reading.events[1].body for reading in (one, other)]

    assert isinstance(bodies[0], ReducedDatumsShared)
    assert isinstance(bodies[1], ReducedDatumsShared)
    assert datum_identity(bodies[0].tom.url, bodies[0].datums[0]) == datum_identity(bodies[1].tom.url, bodies[1].datums[0])


def test_the_id_is_hops_then_the_bodys_then_one_of_the_bytes() -> None:
    body = "11111111-2222-4333-8444-555555555555"

    def id_of(changed: dict[str, Any], headers: Any) -> UUID:
        return read(hermes_record(message() | changed, headers)).events[0].id

    assert id_of({"uuid": body}, USUAL) == ID
    assert id_of({"uuid": body}, ()) == id_of({"uuid": body}, (("_id", b"short"),)) == UUID(body)
    assert id_of({"uuid": 7}, ()) == id_of({"uuid": 7}, ())
    assert id_of({"uuid": 7}, ()) != id_of({"uuid": 8}, ())


def test_each_target_comes_before_its_data() -> None:
    reading = read(CASES["several_targets"].record)

    assert [(type(event.body).__name__, event.body.subject) for event in reading.events] == [
        ("TargetShared", "A"),
        ("ReducedDatumsShared", "A"),
        ("TargetShared", "B"),
        ("ReducedDatumsShared", "B"),
        ("TargetShared", "C"),
    ]


def test_texts_about_the_message_go_with_every_event() -> None:
    for event in read(CASES["grb_numbers_as_text"].record).events:
        assert event.body.title == "GRB 010203X: optical detection"
        assert event.body.authors.startswith("A. Person and")
        assert event.body.message.endswith("extinction.")


# --- what is particular


def test_data_of_a_target_that_was_refused_names_it() -> None:
    refused = read(CASES["positions_bad"].record).refused

    assert {item.target for item in refused} == {"no place", "beyond the pole", "half", "nan", "seconds", "A"}


def test_a_message_of_which_nothing_can_be_read_still_says_for_whom_it_is() -> None:
    notes = {"tom": {"url": "https://a.org/"}, "hops": ["https://b.org/"], "destinations": ["other-tom"]}
    reading = read(hermes_record(message(targets=[{}], tom_bridge=notes)))

    assert reading.events == ()
    assert [item.reason for item in reading.refused] == ["no_name"]
    assert (reading.hops, reading.destinations) == (("https://b.org/", "https://a.org/"), ("other-tom",))


def test_notes_that_are_not_the_bridges_are_not_believed() -> None:
    for notes in ({"hops": ["not a URL"]}, {"tom": 3}, "x", {"units": []}, {"hops": [{}] * 10_000}):
        first, *_ = read(hermes_record(message(photometry=[ROW], tom_bridge=notes))).events
        assert first.body.hops == ()


@pytest.mark.parametrize(
    ("noted", "written", "expected"),
    [
        ("AB", "AB mag", "AB"),
        ("mag", "AB mag", "mag"),
        ("", "AB mag", ""),
        ("Vega mag", "AB mag", "AB mag"),
        ("", "Vega mag", "Vega mag"),
        (7, "AB mag", "AB mag"),
    ],
)
def test_a_noted_unit_counts_only_if_it_agrees_with_the_row(noted: Any, written: str, expected: str) -> None:
    (datum,) = datums_of(photometry=[ROW | {"brightness_unit": written}], tom_bridge={"units": {"brightness": noted}})

    assert datum.unit == expected


BRIGHT = {key: value for key, value in ROW.items() if key != "brightness"}


@pytest.mark.parametrize(
    ("row", "unit", "limit", "extra"),
    [
        # 350 mJy or uJy perhaps, but no star of 350 AB magnitudes
        (
            {"brightness": 350, "limiting_brightness": 20, "limiting_brightness_unit": "AB mag"},
            "",
            None,
            {"limiting_brightness": 20.0, "limiting_brightness_unit": "AB mag"},
        ),
        ({"brightness": 350, "brightness_unit": "uJy", "limiting_brightness": 20}, "uJy", None, {"limiting_brightness": 20.0}),
        ({"brightness": 18, "limiting_brightness": 20}, "", 20.0, {}),
        ({"brightness": 18, "unit": "AB mag", "limiting_brightness": 20}, "AB mag", 20.0, {}),  # SkyPortal's, of the row
        ({"limiting_brightness": 20, "brightness_unit": "Vega mag"}, "Vega mag", 20.0, {}),
        ({"brightness": 18, "brightness_unit": "AB mag", "unit": "mJy"}, "AB mag", None, {"unit": "mJy"}),
    ],
)
def test_a_unit_that_one_number_has_is_not_given_to_the_other(
    row: dict[str, Any], unit: str, limit: float | None, extra: dict[str, Any]
) -> None:
    (datum,) = datums_of(photometry=[BRIGHT | row])

    assert (datum.unit, datum.limit, datum.extra) == (unit, limit, extra)


def test_the_unit_of_a_brightness_of_tom_toolkit_is_that_of_the_row() -> None:
    row = BRIGHT | {"brightness": 18, "brightness_unit": "Vega mag", "limiting_brightness": 20}
    (datum,) = datums_of(photometry=[row], extra_data={})

    assert (datum.unit, datum.brightness, datum.limit, datum.extra) == ("Vega mag", 18.0, 20.0, {})


def test_a_perihelion_in_decimals_of_a_day_is_that_moment() -> None:
    """MJD 60491 began with 30 June 2024."""
    elements = {
        "epoch_of_elements": 60200, "orbital_inclination": 1, "longitude_of_the_ascending_node": 2,
        "argument_of_the_perihelion": 3, "eccentricity": 1, "perihelion_distance": 1, "epoch_of_perihelion": "2024 Jun. 30.75",
    }  # fmt: skip

    assert target_of({"orbital_elements": elements}).epoch_of_perihelion == 60491.75


@pytest.mark.parametrize(
    ("noted", "found"),
    [
        ({"parallax": 3.5, "epoch": 1991.25}, {"parallax": 3.5, "epoch": 1991.25}),
        ({"extras": {"classification": "SN Ia"}}, {"extras": {"classification": "SN Ia"}}),
        ({"primary_key": 41, "name": "B", "aliases": ["C"], "ra": 200.0}, {}),  # the row's own words come first
        ({"parallax": "near", "abs_mag": 15.0}, {}),
        ({"extras": "SN Ia"}, {}),
        ({"extras": {"dec": 3, "a": [1]}}, {"extras": {"hermes_dec": "3", "a": "[1]"}}),
    ],
)
def test_what_is_noted_of_a_target_stands_beside_what_its_row_says(noted: dict[str, Any], found: dict[str, Any]) -> None:
    target = target_of({"epoch": "2000.0"}, tom_bridge={"target": noted})

    row = {"name": "A", "type": "SIDEREAL", "ra": 10.5, "dec": -3.0, "epoch": 2000.0}
    assert target.model_dump(exclude_defaults=True) == row | found


def test_a_type_that_is_noted_counts() -> None:
    notes = {"target": {"type": "NON_SIDEREAL", "scheme": "JPL_MAJOR_PLANET"}}

    assert (target_of({}, tom_bridge=notes).type, target_of({}, tom_bridge=notes).scheme) == (
        "NON_SIDEREAL",
        "JPL_MAJOR_PLANET",
    )
    assert target_of({}, tom_bridge={"target": {"type": "PLANET", "scheme": "x"}}).type == "SIDEREAL"


def test_the_telescope_called_unknown_is_none_only_in_our_own_messages() -> None:
    row = ROW | {"telescope": "unknown"}

    assert [datum.telescope for datum in datums_of(photometry=[row])] == ["unknown"]
    assert [datum.telescope for datum in datums_of(photometry=[row], tom_bridge={"version": 1})] == [""]


def test_an_open_orbit_with_both_pairs_is_a_comets() -> None:
    elements = {
        "epoch_of_elements": 60200,
        "orbital_inclination": 1,
        "longitude_of_the_ascending_node": 2,
        "argument_of_the_perihelion": 3,
        "semimajor_axis": 4,
        "mean_anomaly": 5,
        "perihelion_distance": 6,
        "epoch_of_perihelion": 60300,
    }

    assert target_of({"orbital_elements": elements | {"eccentricity": 1.2}}).scheme == "MPC_COMET"
    assert target_of({"orbital_elements": elements | {"eccentricity": 0.2}}).scheme == "MPC_MINOR_PLANET"


def test_a_position_beside_an_orbit_is_kept() -> None:
    target = target_of({"orbital_elements": {"epoch_of_elements": 60200, "eccentricity": 0.1}})

    assert (target.type, target.ra, target.dec) == ("NON_SIDEREAL", 10.5, -3.0)


def test_what_is_said_of_all_does_not_push_aside_what_a_target_says() -> None:
    target = target_of({"survey": "row"}, survey="message")

    assert target.extras == {"survey": "row", "message_survey": "message"}


def test_a_long_text_about_the_message_goes_to_one_target_but_not_to_many() -> None:
    long = "x" * 20_000
    alone = target_of({}, log=long)
    reading = read(hermes_record(message(targets=[TARGET, {"name": "B", "ra": 1, "dec": 1}], log=long, event_id="S1")))

    assert alone.extras == {"log": long}
    assert [item.reason for item in reading.refused] == ["too_large"]
    assert all(
        event.body.target.extras == {"event_id": "S1"} for event in reading.events if isinstance(event.body, TargetShared)
    )


def test_a_name_with_nul_is_no_name() -> None:
    reading = read(
        hermes_record(message(targets=[{"name": "A\x00", "ra": 1, "dec": 1}], photometry=[ROW | {"target_name": "A\x00"}]))
    )

    assert [(item.item, item.reason) for item in reading.refused] == [("targets[0]", "bad_row"), ("photometry[0]", "no_target")]


def test_a_target_whose_row_is_refused_still_counts_as_the_only_one() -> None:
    row = {key: value for key, value in ROW.items() if key != "target_name"}
    reading = read(hermes_record(message(targets=[{"name": "A", "ra": 1}], photometry=[row])))

    assert [event.body.subject for event in reading.events] == ["A"]


def test_of_very_many_bad_rows_most_are_counted() -> None:
    reading = read(hermes_record(message(photometry=[{}] * 5_000)))

    assert len(reading.refused) == MOST_NAMED + 1
    assert reading.refused[-1].item == "photometry"
    assert "4,000 more rows" in reading.refused[-1].detail


def test_a_megabyte_of_nothing_takes_bounded_memory() -> None:
    value = json.dumps(message()).encode()[:-2] + b', "photometry": [' + b",".join([b"{}"] * 330_000) + b"]}}"
    tracemalloc.start()
    try:
        read(Record(key=None, value=value, headers=USUAL))
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
    finally:
        tracemalloc.stop()


def test_a_datum_event_carries_the_targets_whole_identity() -> None:
    body = read(CASES["aliases"].record).events[1].body

    assert isinstance(body, ReducedDatumsShared)
    assert (body.target.ra, body.target.dec, body.target.aliases) == (1.0, 1.0, ("ZTF24aaa", "ATLAS24xyz", "2024"))


def test_a_tombstone_is_poison() -> None:
    with pytest.raises(Poison, match="null_value"):
        read(Record(key=None, value=None, headers=USUAL))


def test_an_event_can_be_written_out() -> None:
    """The body's source keeps what identifies the TOM; warnings of pydantic would be errors here."""
    for event in read(CASES["several_targets"].record).events:
        assert json.loads(event.body.model_dump_json(exclude_none=True))["tom"]["url"] == HERMES_URL


def test_a_row_is_not_changed_by_being_read() -> None:
    (datum,) = datums_of(photometry=[ROW | {"T_start": 10**19, "deep": {"a": [1, None]}}])

    assert isinstance(datum, PhotometryDatum)
    assert datum.extra == {"T_start": 10**19, "deep": {"a": [1, None]}}
    assert datum.timestamp == datetime(2023, 4, 9, 10, tzinfo=UTC)
