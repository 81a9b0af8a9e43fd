"""Share events as Hermes messages: Hermes takes every one, nothing is altered in silence, and what it carries comes back."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import schemas
from bridge.codecs.hermes import units
from bridge.codecs.hermes.losses import Lost
from bridge.codecs.hermes.wire import hermes_records, wire_record
from bridge.codecs.hermes.writing import MOST_BYTES, Translation, halves, hermes_messages
from bridge.codecs.native import encode, new_event
from bridge.codecs.reading import read_record
from bridge.errors import Rejected
from bridge.events import (
    AstrometryDatum,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    ShareEvent,
    SpectroscopyDatum,
    Target,
    TargetIdentity,
    TargetShared,
    TomIdentity,
)
from tests.support.hermes_rules import complaints, published
from tests.unit import strategies as any_
from tests.unit.codecs.hermes import strategies as some

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
NIGHT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
UUID_OF_EVENT = UUID("00000000-0000-4000-8000-000000000001")
TOPIC = "tomtoolkit.test"
SN = Target(name="SN 2024abc", type="SIDEREAL", primary_key=41, ra=197.45, dec=-23.38)
REASONS = {"no_position", "nothing_for_hermes", "too_large_for_hermes"}
EXAMPLES = schemas.example_events()


def written(body: ShareBody, **more: Any) -> Translation:
    return hermes_messages(new_event(body, now=NOW, event_id=UUID_OF_EVENT), topic=TOPIC, **more)


def of_datums(*datums: ReducedDatum, target: TargetIdentity = SN) -> ReducedDatumsShared:
    return ReducedDatumsShared(tom=TOM, target=target.identity(), datums=datums)


def point(**more: Any) -> PhotometryDatum:
    return PhotometryDatum(timestamp=NIGHT, **{"brightness": 18.25, "bandpass": "r", "unit": "AB", "telescope": "ELP"} | more)


def row_of(datum: ReducedDatum) -> dict[str, Any]:
    (message,) = written(of_datums(datum)).messages
    (row,) = message["data"][datum.data_type]
    return dict(row)


def said(translation: Translation) -> list[str]:
    return [str(lost) for lost in translation.lost]


def test_a_target_is_as_a_person_would_write_it() -> None:
    target = SN.model_copy(
        update={
            "aliases": ("ZTF24aaa",), "epoch": 2015.5, "pm_ra": 1.5, "pm_dec": -250.0, "distance": 4.2e7, "distance_err": 1e6,
            "extras": {"redshift": "0.0098", "host_name": "M 31", "discovery_info": '{"reporting_group": "SNEX"}'},
        }
    )  # fmt: skip
    (message,) = written(
        TargetShared(
            tom=TOM, target=target, target_lists=("Nearby",), title="A supernova", submitter="alice", authors="A. Author",
            message="Look.", hops=("https://a.org/",),
        )
    ).messages  # fmt: skip

    assert message == {
        "title": "A supernova",
        "topic": TOPIC,
        "submitter": "alice",
        "authors": "A. Author",
        "message_text": "Look.",
        "data": {
            "targets": [
                {
                    "name": "SN 2024abc",
                    "ra": 197.45,
                    "dec": -23.38,
                    "epoch": "2015.5",
                    "pm_ra": 0.0015,
                    "pm_dec": -0.25,
                    "distance": 4.2e7,
                    "distance_error": 1e6,
                    "distance_units": "pc",
                    "aliases": ["ZTF24aaa"],
                    "group_associations": ["Nearby"],
                    "redshift": 0.0098,
                    "host_name": "M 31",
                    "discovery_info": {"reporting_group": "SNEX"},
                }
            ],
            "tom_bridge": {
                "version": 1,
                "event": str(UUID_OF_EVENT),
                "tom": {"name": "My TOM", "url": "https://my-tom.org/"},
                "hops": ["https://a.org/"],
                "target": {"type": "SIDEREAL"},
                "units": {"proper_motion": "arcsec/yr"},
            },
        },
    }
    assert complaints(message) == []


def test_an_orbit_is_as_a_person_would_write_it() -> None:
    (message,) = written(EXAMPLES["asteroid"].body).messages if "asteroid" in EXAMPLES else written(_eros()).messages
    target = message["data"]["targets"][0]

    assert target["orbital_elements"] == {
        "epoch_of_elements": "59600.0",
        "orbital_inclination": 10.828,
        "longitude_of_the_ascending_node": 304.2872,
        "argument_of_the_perihelion": 178.8966,
        "eccentricity": 0.2227,
        "semimajor_axis": 1.4582,
        "mean_anomaly": 271.0717,
    }
    assert "ra" not in target
    assert message["data"]["tom_bridge"]["target"]["type"] == "NON_SIDEREAL"


def test_a_date_that_could_be_a_year_goes_as_a_julian_date() -> None:
    (message,) = written(_eros(epoch_of_elements=2000.25)).messages

    assert message["data"]["targets"][0]["orbital_elements"]["epoch_of_elements"] == "2402000.75"


def _eros(**more: Any) -> TargetShared:
    orbit = {
        "epoch_of_elements": 59600.0, "mean_anomaly": 271.0717, "arg_of_perihelion": 178.8966, "eccentricity": 0.2227,
        "lng_asc_node": 304.2872, "inclination": 10.828, "semimajor_axis": 1.4582,
    }  # fmt: skip
    return TargetShared(tom=TOM, target=Target(name="(433) Eros", type="NON_SIDEREAL", **orbit | more))


def test_a_brightness_is_as_a_person_would_write_it() -> None:
    datum = point(brightness_error=0.05, exposure_time=120.0, extra={"observer": "A. Observer"}, instrument="fa07")

    assert row_of(datum) == {
        "target_name": "SN 2024abc",
        "date_obs": "2024-01-02T03:04:05.678901Z",
        "telescope": "ELP",
        "instrument": "fa07",
        "bandpass": "r",
        "brightness": 18.25,
        "brightness_error": 0.05,
        "brightness_unit": "AB mag",
        "exposure_time": 120.0,
        "observer": "A. Observer",
    }


def test_a_limit_has_its_own_unit_so_that_hermes_does_not_take_it_for_ab() -> None:
    """TOM Toolkit 2.x sends ``brightness_unit`` only, and a Vega limit is then relabelled."""
    row = row_of(point(brightness=None, limit=20.5, unit="Vega"))

    assert (row["limiting_brightness"], row["limiting_brightness_unit"]) == (20.5, "Vega mag")
    assert "brightness" not in row


def test_a_spectrum_in_other_units_is_converted_and_that_is_said() -> None:
    datum = SpectroscopyDatum(
        timestamp=NIGHT, flux=(1.5, 2.0), wavelength=(5e-7, 6e-7), flux_error=(0.1, 0.2), flux_unit="Jy", wavelength_unit="m",
        instrument="FLOYDS",
    )  # fmt: skip
    row, translation = row_of(datum), written(of_datums(datum))

    assert (row["flux"], row["flux_error"], row["flux_units"], row["flux_type"]) == (
        [1500.0, 2000.0],
        [100.0, 200.0],
        "mJy",
        "Fν",
    )
    assert (row["wavelength"], row["wavelength_units"]) == ([0.5, 0.6], "µm")
    assert said(translation) == [
        "datum.flux_unit: numbers in 'Jy' go out in 'mJy'",
        "datum.wavelength_unit: numbers in 'm' go out in 'µm'",
    ]


def test_a_position_goes_in_degrees_with_the_units_of_its_errors() -> None:
    row = row_of(AstrometryDatum(timestamp=NIGHT, ra=-10.0, dec=5.0, ra_error=0.5, ra_error_units="arcsec", telescope="ELP"))

    assert (row["ra"], row["dec"], row["ra_error"], row["ra_error_units"]) == (350.0, 5.0, 0.5, "arcsec")
    assert "dec_error_units" not in row


@pytest.mark.parametrize("field", ["brightness", "limit"])
def test_a_brightness_of_zero_is_sent_so_that_it_survives(field: str) -> None:
    """Hermes takes 0 for missing, and refuses a row that has nothing else."""
    body = of_datums(point(**{"brightness": None, field: 0.0, "unit": "mJy"}))
    (message,) = written(body).messages
    (datum,) = back(written(body))[-1].datums  # type: ignore[attr-defined]

    assert complaints(message) == []
    assert getattr(datum, field) == 0.0


def test_a_mean_anomaly_of_zero_is_sent_so_that_it_survives() -> None:
    body = _eros(mean_anomaly=0.0)
    (message,) = written(body).messages

    assert complaints(message) == []
    assert back(written(body))[0].target.mean_anomaly == 0.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("datum", "field", "told", "lost"),
    [
        (point(telescope=""), "telescope", "unknown", "datum.telescope: Hermes needs a telescope or an instrument"),
        (point(bandpass=" "), "bandpass", "unknown", "datum.bandpass: "),
        (point(unit=""), "brightness_unit", "AB mag", "datum.unit: the TOM does not say it"),
        (point(unit="mag"), "brightness_unit", "AB mag", "datum.unit: the TOM does not say it"),
        (point(unit="Jy"), "brightness", 18250.0, "datum.unit: numbers in 'Jy' go out in 'mJy'"),
        (point(reduction_version="2"), "brightness", 18.25, "datum.reduction_version: Hermes has no field for it"),
        (point(source_name="ZTF"), "brightness", 18.25, "datum.source_name: Hermes has no field for it"),
        (point(extra={"airmass": 1.2}), "brightness", 18.25, "datum.extra.airmass: Hermes has no field for it"),
        (point(extra={"observer": 5}), "brightness", 18.25, "datum.extra.observer: Hermes has no field for it"),
    ],
)
def test_what_hermes_cannot_carry_of_a_datum_is_said(datum: ReducedDatum, field: str, told: object, lost: str) -> None:
    row, translation = row_of(datum), written(of_datums(datum))

    assert row[field] == told
    assert any(text.startswith(lost) for text in said(translation))
    assert all(complaints(message) == [] for message in translation.messages)


@pytest.mark.parametrize(
    ("datum", "why"),
    [
        (point(unit="counts"), "Hermes has no unit that 'counts' could be turned into"),
        (OtherDatum(data_type="radial_velocity", timestamp=NIGHT, value=1.5), "Hermes has no table for 'radial_velocity'"),
        (AstrometryDatum(timestamp=NIGHT, ra=1.0, dec=91.0), "a declination has to be between -90 and 90 degrees"),
        (point(brightness=1e308, unit="Jy"), "a number is too large for 'mJy'"),
    ],
)
def test_a_datum_that_hermes_would_refuse_is_left_out_and_the_others_go(datum: ReducedDatum, why: str) -> None:
    translation = written(of_datums(point(), datum))

    assert len(translation.messages[0]["data"]["photometry"]) == 1
    assert [(lost.what, lost.datums) for lost in translation.lost] == [("datum", (1,))]
    assert translation.lost[0].why.startswith(why)
    with pytest.raises(Rejected, match="nothing_for_hermes: 'SN 2024abc': none of the datums can go"):
        written(of_datums(datum))


@pytest.mark.parametrize(
    "target",
    [
        Target(name="A", type="SIDEREAL"),
        Target(name="A", type="SIDEREAL", ra=1.0),
        Target(name="A", type="SIDEREAL", ra=1.0, dec=90.5),
        Target(name="A", type="NON_SIDEREAL", ra=1.0, dec=2.0),
        _eros(inclination=None).target,
        _eros(semimajor_axis=None).target,
        _eros(eccentricity=-0.1).target,
        _eros(epoch_of_elements=-1.0).target,
    ],
)
def test_a_target_that_hermes_would_refuse_is_refused_with_what_it_needs(target: Target) -> None:
    with pytest.raises(Rejected, match=r"^no_position: .*: Hermes takes a target only with ") as caught:
        written(TargetShared(tom=TOM, target=target))

    assert caught.value.reason == "no_position"


def test_what_hermes_has_no_field_for_is_said_and_kept_beside() -> None:
    translation = written(
        TargetShared(
            tom=TOM, target=SN.model_copy(update={"parallax": 1.5, "epoch": 100.0, "extras": {"classification": "SN Ia"}})
        )
    )

    assert [lost.what for lost in translation.lost] == ["target.epoch", "target.parallax", "target.extras.classification"]
    assert all("anybody can see it, and only the bridge reads it" in lost.why for lost in translation.lost)
    notes = translation.messages[0]["data"]["tom_bridge"]["target"]
    assert notes == {"type": "SIDEREAL", "epoch": 100.0, "parallax": 1.5, "extras": {"classification": "SN Ia"}}


@pytest.mark.parametrize("through_hermes", [True, False])
def test_what_hermes_has_no_field_for_comes_back_to_a_bridge(through_hermes: bool) -> None:
    """An asteroid with a position, and a star with everything that TOM Toolkit has."""
    extras = {"classification": "RRab", "redshift": "unknown", "new_discovery": "False"}
    star = {
        "parallax": 1.5,
        "epoch": 100.0,
        "galactic_lng": 10.0,
        "galactic_lat": -5.0,
        "ephemeris_period": 0.57,
        "extras": extras,
    }
    asteroid = {"ra": 10.0, "dec": 2.0, "epoch": 2026.5, "abs_mag": 10.4, "slope": 0.46, "mean_daily_motion": 0.56}
    for target in (SN.model_copy(update=star), _eros().target.model_copy(update=asteroid)):
        (body,) = back(written(TargetShared(tom=TOM, target=target)), through_hermes=through_hermes)

        kept = body.target.model_dump(exclude_defaults=True, exclude={"scheme"})
        assert kept == target.model_dump(exclude_defaults=True, exclude={"primary_key"})


def test_a_primary_key_stays_at_home() -> None:
    """It would be no use to anybody: the source of a Hermes message is its topic."""
    assert "41" not in json.dumps(written(TargetShared(tom=TOM, target=SN)).messages[0]["data"]["tom_bridge"]["target"])


def test_proper_motions_are_said_to_go_out_in_arcseconds() -> None:
    """TOM Toolkit's own handlers copy the number, so that it arrives a thousand times too small."""
    barnard = SN.model_copy(update={"pm_ra": -802.0, "pm_dec": 10362.0})
    translation = written(TargetShared(tom=TOM, target=barnard))

    row = translation.messages[0]["data"]["targets"][0]
    assert (row["pm_ra"], row["pm_dec"]) == (-0.802, 10.362)
    assert [lost.what for lost in translation.lost] == ["target.pm_ra", "target.pm_dec"]
    assert all("milliarcseconds" in lost.why for lost in translation.lost)
    assert back(translation)[0].target.pm_dec == 10362.0


@pytest.mark.parametrize("text", ["1_0", "1e", "z=0.1", "nan"])
def test_an_extra_that_is_no_number_to_a_person_is_none(text: str) -> None:
    (message,) = written(TargetShared(tom=TOM, target=SN.model_copy(update={"extras": {"redshift": text}}))).messages

    assert "redshift" not in message["data"]["targets"][0]
    assert back(written(TargetShared(tom=TOM, target=SN.model_copy(update={"extras": {"redshift": text}}))))[
        0
    ].target.extras == {"redshift": text}


def test_a_file_is_not_sent_and_that_is_said() -> None:
    event = next(event for event in EXAMPLES.values() if event.type == "tom.data_product.shared.v1")
    translation = hermes_messages(event, topic=TOPIC)

    assert any(lost.what == "product" and "is not sent" in lost.why for lost in translation.lost)
    assert all("file_info" not in json.dumps(message) for message in translation.messages)


def test_a_target_list_goes_with_its_members() -> None:
    event = next(event for event in EXAMPLES.values() if event.type == "tom.target_list.shared.v1")

    assert hermes_messages(event, topic=TOPIC) == Translation(messages=(), lost=())


def test_destinations_bind_the_bridge_alone_and_that_is_said() -> None:
    body = TargetShared(tom=TOM, target=SN, destinations=("their-tom",))

    assert said(written(body)) == ["destinations: only the bridge heeds them; every other reader acts on the message"]
    assert back(written(body))[0].destinations == ("their-tom",)


def test_hermes_gets_the_words_that_it_needs() -> None:
    body = of_datums(point())
    (plain,) = written(body).messages
    (told,) = written(body, submitter="bob", authors="B. Author").messages

    assert (plain["title"], plain["submitter"], plain["authors"]) == ("My TOM: data of SN 2024abc", "My TOM", "")
    assert (told["submitter"], told["authors"]) == ("bob", "B. Author")


def test_datums_that_a_tom_has_in_different_units_go_in_messages_of_their_own() -> None:
    """What is noted of units holds for all rows of a message."""
    translation = written(of_datums(point(unit=""), point(unit="AB"), point(unit="AB mag"), point(unit="")))
    notes = [message["data"]["tom_bridge"] for message in translation.messages]

    assert [len(message["data"]["photometry"]) for message in translation.messages] == [2, 1, 1]
    assert [note["units"] for note in notes] == [{"brightness": ""}, {"brightness": "AB"}, {}]
    assert [note["part"] for note in notes] == [{"number": number, "of": 3} for number in (1, 2, 3)]


def test_many_datums_are_split_and_none_is_lost() -> None:
    datums = [point(brightness=float(number), extra={"comments": "å" * 50}) for number in range(1, 3001)]
    event = new_event(of_datums(*datums), now=NOW)
    translation = hermes_messages(event, topic=TOPIC)

    rows = [row["brightness"] for message in translation.messages for row in message["data"]["photometry"]]
    assert rows == [float(number) for number in range(1, 3001)]
    assert len(translation.messages) == 2
    assert translation.lost == ()
    sizes = [wire_record(published(message), uuid=event.id, sender="x" * 64).size for message in translation.messages]
    assert max(sizes) < 1_000_000 - 100  # what librdkafka hands over, with its frame
    assert max(sizes) > 850_000


def test_halves_of_a_message_have_its_rows_between_them_and_all_else_each() -> None:
    datums = [*(point(brightness=float(number)) for number in range(1, 4)), AstrometryDatum(timestamp=NIGHT, ra=1.0, dec=2.0)]
    (message,) = written(of_datums(*datums)).messages
    one, other = halves(message)

    assert [row["brightness"] for row in one["data"]["photometry"]] == [1.0, 2.0]
    assert [row["brightness"] for row in other["data"]["photometry"]] == [3.0]
    assert (one["data"].get("astrometry"), other["data"]["astrometry"]) == (None, message["data"]["astrometry"])
    for half in (one, other):
        assert complaints(half) == []
        assert half | {"data": message["data"]} == message
        assert half["data"]["targets"] == message["data"]["targets"]
    assert halves(written(of_datums(point())).messages[0]) == ()
    assert halves(written(TargetShared(tom=TOM, target=SN)).messages[0]) == ()


def test_a_datum_larger_than_the_topic_takes_is_named() -> None:
    large = SpectroscopyDatum(timestamp=NIGHT, flux=(1.5,) * 5000, wavelength=(1.5,) * 5000, instrument="FLOYDS")
    translation = written(of_datums(point(), large), most_bytes=20_000)

    assert [lost.datums for lost in translation.lost if lost.what == "datum"] == [(1,)]
    assert "do not fit into a message of its topic" in str(translation.lost[-1])


def test_a_target_too_large_for_its_topic_first_loses_what_hermes_has_no_field_for() -> None:
    heavy = SN.model_copy(update={"extras": {"notes": "x" * 5000}})
    translation = written(TargetShared(tom=TOM, target=heavy), most_bytes=5000)
    (message,) = translation.messages

    assert "target: what Hermes has no field for does not fit into a message of its topic, and is not sent at all" in said(
        translation
    )
    assert message["data"]["tom_bridge"]["target"] == {"type": "SIDEREAL"}
    with pytest.raises(Rejected, match="too_large_for_hermes"):
        written(TargetShared(tom=TOM, target=SN), most_bytes=1000)


def event_refused(reason: str) -> None:
    assert reason in REASONS


@given(any_.events())
def test_hermes_takes_every_message_whatever_a_tom_holds(event: ShareEvent) -> None:
    try:
        translation = hermes_messages(event, topic=TOPIC)
    except Rejected as error:
        event_refused(error.reason)
        return
    assert [complaints(message) for message in translation.messages] == [[] for _ in translation.messages]


@given(some.bodies(), st.integers(3_000, 20_000))
def test_hermes_takes_every_message_and_each_fits_its_topic(body: ShareBody, most_bytes: int) -> None:
    event = new_event(body, now=NOW)
    try:
        translation = hermes_messages(event, topic=TOPIC, most_bytes=most_bytes)
    except Rejected as error:
        event_refused(error.reason)
        return
    for message in translation.messages:
        assert complaints(message) == []
        assert wire_record(published(message), uuid=event.id, sender="x" * 64).size < most_bytes
    lost = {number for found in translation.lost if found.what == "datum" for number in found.datums}
    rows = sum(len(message["data"].get(table, ())) for message in translation.messages for table in TABLES)
    assert rows == len(body.datums_of()) - len(lost)  # type: ignore[attr-defined]


TABLES = ("photometry", "spectroscopy", "astrometry")


def back(translation: Translation, *, through_hermes: bool = True) -> list[Any]:
    """Return the bodies that a bridge reads from the messages, published by Hermes or straight to the topic."""
    bodies = list[Any]()
    for message in translation.messages:
        record = wire_record(published(message) if through_hermes else message, uuid=UUID_OF_EVENT)
        reading = read_record(record, topic_address=f"kafka://k.org/{TOPIC}", name_from="submitter", time=NOW)
        assert reading.refused == ()
        bodies += [event.body for event in reading.events]
    return bodies


@given(some.bodies(), st.booleans())
def test_what_hermes_carries_comes_back_and_the_rest_is_said(body: ShareBody, through_hermes: bool) -> None:
    try:
        translation = written(body)
    except Rejected:
        return
    bodies = back(translation, through_hermes=through_hermes)
    if translation.messages:
        first = bodies[0]
        assert first.hops == (*body.hops, TOM.url)
        assert first.destinations == body.destinations
        for name in ("title", "submitter", "authors", "message"):
            assert getattr(body, name).strip() in {"", getattr(first, name)}
        assert_target_kept(body, first, translation.lost)
    found = [datum for one in bodies if isinstance(one, ReducedDatumsShared) for datum in one.datums]
    for number, datum in enumerate(body.datums_of()):  # type: ignore[attr-defined]
        lost = {one.what for one in translation.lost if number in one.datums}
        if "datum" not in lost:
            same = next((one for one in found if comes_back(datum, one, lost)), None)
            assert same is not None, f"{datum!r} is not among {found!r}, lost {lost}"
            found.remove(same)
    assert found == []


def assert_target_kept(body: Any, first: Any, all_lost: Iterable[Lost]) -> None:
    lost = {one.what for one in all_lost if "the bridge" not in one.why}  # what only others do not get as the TOM has it
    before, after = body.target, first.target
    assert before.name.strip() == after.name
    assert [name.strip() for name in before.aliases if name.strip() and name.strip() != before.name.strip()] == [
        *after.aliases
    ] or len({name.strip() for name in before.aliases}) < len(before.aliases)
    assert before.type == after.type
    assert before.scheme in {"", after.scheme}  # without one, the reader tells it from the elements
    for name in type(before).model_fields:
        value = getattr(before, name)
        if isinstance(value, float) and f"target.{name}" not in lost:
            assert getattr(after, name) == pytest.approx(value, rel=1e-14), name
    if isinstance(body, TargetShared):
        assert {name.strip() for name in body.target_lists} == set(first.target_lists)
        assert after.extras.keys() <= before.extras.keys()
        for key, text in before.extras.items():
            if f"target.extras.{key}" not in lost:
                assert same_extra(text, after.extras[key]), key


def same_extra(before: str, after: str) -> bool:
    if before.lower() in {"true", "false"} or before.strip() == after:
        return before.strip().lower() == after.lower()
    return float(before) == float(after)


def comes_back(before: ReducedDatum, after: ReducedDatum, lost: Sequence[str] | set[str]) -> bool:
    """Whether a datum is one that came back, but for what is said to be lost."""
    if isinstance(before, OtherDatum) or type(before) is not type(after) or before.timestamp != after.timestamp:
        return False
    texts = ("telescope", "instrument", "bandpass", "setup", "unit", "flux_unit", "wavelength_unit")
    texts += ("ra_error_units", "dec_error_units")
    for name in texts:
        value = getattr(before, name, "")
        if f"datum.{name}" not in lost and value.strip() != getattr(after, name, "").strip():
            return False
    if "datum.unit" in lost and units.unsaid(before.unit) and before.unit != after.unit:  # type: ignore[union-attr]
        return False
    for name in NUMBERS:
        value, times = getattr(before, name, None), factor(before, name)
        wanted = tuple(units.scaled(one, times) for one in value) if isinstance(value, tuple) else value
        wanted = units.scaled(wanted, times) if isinstance(wanted, float) else wanted
        if wanted is not None and getattr(after, name) != pytest.approx(wanted, rel=1e-14, abs=0):
            return False
    kept = {key: value for key, value in before.extra.items() if f"datum.extra.{key}" not in lost}
    return dict(after.extra) == kept  # type: ignore[union-attr]


NUMBERS = (
    "brightness", "brightness_error", "limit", "exposure_time", "flux", "flux_error", "wavelength", "ra", "dec", "ra_error",
    "dec_error",
)  # fmt: skip


def factor(datum: Any, name: str) -> float:
    ways = {
        "brightness": ("unit", units.brightness_to_hermes), "brightness_error": ("unit", units.brightness_to_hermes),
        "limit": ("unit", units.brightness_to_hermes), "flux": ("flux_unit", units.flux_to_hermes),
        "flux_error": ("flux_unit", units.flux_to_hermes), "wavelength": ("wavelength_unit", units.wavelength_to_hermes),
        "ra_error": ("ra_error_units", units.angle_to_hermes), "dec_error": ("dec_error_units", units.angle_to_hermes),
    }  # fmt: skip
    if name not in ways or not hasattr(datum, name) or getattr(datum, name) is None:
        return 1.0
    field, to_hermes = ways[name]
    outgoing = to_hermes(getattr(datum, field))
    assert outgoing is not None
    return outgoing.factor


def test_a_record_in_hermes_form_is_as_hermes_itself_writes_it() -> None:
    event = new_event(of_datums(point(bandpass="ω")), now=NOW, event_id=UUID_OF_EVENT)
    (record,) = hermes_records(encode(event), topic=TOPIC, sender="alice-1", authors="A. Author").records

    assert record.key is None
    assert record.headers == (
        ("topic", b"tomtoolkit.test"),
        ("_id", UUID_OF_EVENT.bytes),
        ("_format", b"json"),
        ("title", b"My TOM: data of SN 2024abc"),
        ("_sender", b"alice-1"),
    )
    assert record.value is not None
    assert record.value.isascii()
    assert b'"title": "My TOM' in record.value  # json.dumps with its spaces
    assert json.loads(record.value)["authors"] == "A. Author"


def test_without_a_credential_nobody_is_the_sender() -> None:
    (record,) = hermes_records(encode(new_event(of_datums(point()), now=NOW)), topic=TOPIC).records

    assert [name for name, _value in record.headers] == ["topic", "_id", "_format", "title"]


def test_the_same_event_always_gives_the_same_records_and_each_has_an_id_of_its_own() -> None:
    record = encode(new_event(of_datums(point(unit=""), point(unit="AB"), point(unit="mJy")), now=NOW, event_id=UUID_OF_EVENT))
    one, other = hermes_records(record, topic=TOPIC), hermes_records(record, topic=TOPIC)
    ids = [dict(found.headers)["_id"] for found in one.records]

    assert one == other
    assert ids[0] == UUID_OF_EVENT.bytes
    assert len({*ids}) == 3


def test_the_default_limit_is_that_of_hopskotch() -> None:
    """LCOGT/hermes and scimma-admin: ``max_message_bytes`` of a topic is 1,000,012 unless somebody has raised it."""
    assert MOST_BYTES == 1_000_012
