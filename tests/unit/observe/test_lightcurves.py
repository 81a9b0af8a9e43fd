"""Datums as rows: all that is known of them, and what makes one the same as another."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from bridge.codecs.native import new_event
from bridge.codecs.record import ConsumedRecord, Record
from bridge.events import (
    AstrometryDatum,
    Origin,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareEvent,
    SpectroscopyDatum,
    TargetIdentity,
    TomIdentity,
    datum_identity,
)
from bridge.observe.lightcurves import TABLES, datum_rows, mjd
from bridge.observe.sightings import Sighting
from tests.unit import strategies

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
HUB = TomIdentity(name="Hub", url="https://hub.org/")
TARGET = TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=7, ra=197.45, dec=-23.38, aliases=("ZTF24x",))
POINT = PhotometryDatum(
    timestamp=NOW,
    brightness=18.5,
    brightness_error=0.1,
    bandpass="r",
    unit="AB mag",
    telescope="ZTF",
    source_name="ALeRCE",
    source_location="https://alerce.online/1",
    origin=Origin(model="tom_dataproducts.PhotometryReducedDatum", primary_key=12),
    extra={"b": 1, "a": "α"},
)
FORMS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (float, type(None)),
    "integer": (int, type(None)),
    "time": (datetime,),
    "numbers": (tuple,),
}


def seen(event: ShareEvent, offset: int = 0) -> Sighting:
    record = Record(key=None, value=b"", headers=())
    consumed = ConsumedRecord(record=record, topic="tom.shares", partition=2, offset=offset, timestamp_ms=1)
    return Sighting(event=event, consumed=consumed, topic_address="kafka://localhost/tom.shares")


def shared(*datums: ReducedDatum, tom: TomIdentity = TOM, target: TargetIdentity = TARGET, **more: Any) -> Sighting:
    body = ReducedDatumsShared(tom=tom, target=target, datums=datums, **more)
    return seen(new_event(body, now=NOW, event_id=UUID(int=1)))


def row(sighting: Sighting) -> dict[str, Any]:
    """Return the one datum of an event by the columns of its table."""
    [found] = datum_rows(sighting)
    table = next(table for table in TABLES.values() if isinstance(found.datum, table.model))
    return dict(zip([column.name for column in table.columns], found.cells(table), strict=True))


def test_a_row_says_what_was_measured_of_what_and_where_it_comes_from() -> None:
    assert row(shared(POINT)) == {
        "time": NOW,
        "mjd": 61345.0,
        "target": "SN 2024abc",
        "bandpass": "r",
        "brightness": 18.5,
        "brightness_error": 0.1,
        "limit": None,
        "unit": "AB mag",
        "exposure_time": None,
        "telescope": "ZTF",
        "instrument": "",
        "reduction_version": "",
        "extra": '{"a":"α","b":1}',
        "ra": 197.45,
        "dec": -23.38,
        "tom": "My TOM",
        "source": "https://my-tom.org/",
        "source_name": "ALeRCE",
        "source_location": "https://alerce.online/1",
        "origin_model": "tom_dataproducts.PhotometryReducedDatum",
        "origin_primary_key": 12,
        "datum": datum_identity(TOM.url, POINT),
        "event": "00000000-0000-0000-0000-000000000001",
        "shared": NOW,
        "topic": "tom.shares",
        "partition": 2,
        "offset": 0,
    }


def test_each_type_has_a_table_of_its_own() -> None:
    spectrum = SpectroscopyDatum(timestamp=NOW, flux=(1.0, 2.0), wavelength=(4.0, 5.0), flux_unit="mJy", wavelength_unit="nm")
    position = AstrometryDatum(timestamp=NOW, ra=197.4501, dec=-23.3801, ra_error=3.0, ra_error_units="mas")
    other = OtherDatum(timestamp=NOW, data_type="radial_velocity", value={"v": [1, 2]})

    of_spectrum, of_position, of_other = row(shared(spectrum)), row(shared(position)), row(shared(other))

    assert (of_spectrum["wavelength"], of_spectrum["flux"], of_spectrum["flux_error"]) == ((4.0, 5.0), (1.0, 2.0), ())
    assert (of_position["ra"], of_position["measured_ra"], of_position["ra_error_unit"]) == (197.45, 197.4501, "mas")
    assert (of_other["data_type"], of_other["value"]) == ("radial_velocity", '{"v":[1,2]}')


def test_photometry_that_has_another_shape_is_among_the_others() -> None:
    assert row(shared(OtherDatum(timestamp=NOW, data_type="photometry", value=[18.5])))["value"] == "[18.5]"


def test_fields_of_a_later_version_are_not_lost() -> None:
    later = PhotometryDatum.model_validate({"timestamp": NOW.isoformat(), "limit": 20.0, "airmass": 1.2})

    assert json.loads(row(shared(later))["extra"]) == {"airmass": 1.2}


@given(strategies.events())
def test_whatever_an_event_carries_has_a_row_that_fits_its_columns(event: ShareEvent) -> None:
    rows = list(datum_rows(seen(event)))

    assert len(rows) == len(event.body.datums_of())
    for found in rows:
        table = next(table for table in TABLES.values() if isinstance(found.datum, table.model))
        cells = found.cells(table)
        assert len(cells) == len(table.columns)
        assert [(column.name, cell) for column, cell in zip(table.columns, cells, strict=True)
                if not isinstance(cell, FORMS[column.form])] == []  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_columns_have_names_of_their_own_and_say_what_they_are(name: str) -> None:
    columns = TABLES[name].columns
    names = [column.name for column in columns]

    assert len(set(names)) == len(names)
    assert all(column.about.endswith(".") for column in columns)
    assert {column.unit_in for column in columns} <= {"", *names}


def test_a_modified_julian_date_is_exact_to_a_microsecond() -> None:
    assert mjd(datetime(1858, 11, 17, tzinfo=UTC)) == 0
    assert abs(mjd(NOW + timedelta(microseconds=3)) - mjd(NOW) - 3e-6 / 86_400) < 1e-11
