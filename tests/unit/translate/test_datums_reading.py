"""Reading a datum from a TOM's API, and recognising one at a destination."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from bridge.events import (
    AstrometryDatum,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    SpectroscopyDatum,
    TargetIdentity,
    TomIdentity,
    canonical_json,
    datum_identity,
)
from bridge.translate import toolkit2, toolkit3
from bridge.translate.datums import datum_request, is_hidden_limit, read_datum
from bridge.translate.dialect import Dialect
from tests.unit import strategies

URL = "https://tom.example.org/"
TIME = "2024-01-02T03:04:05.678901Z"
NIGHT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def row(value: Any, data_type: str = "photometry", **about: Any) -> dict[str, Any]:
    """Return a datum as the API of both versions shows it."""
    shown = {"data_product": None, "data_type": data_type, "source_name": "", "source_location": "", "timestamp": TIME}
    return shown | {"value": value, "target": 4} | about


def read(*arguments: Any, **about: Any) -> ReducedDatum:
    datum = read_datum(row(*arguments, **about), URL)
    assert datum is not None
    return datum


SHOWN_BY_3X = {
    "brightness": 18.25,
    "brightness_error": None,
    "bandpass": "r",
    "unit": "",
    "telescope": "ELP",
    "instrument": "",
}


def test_photometry_of_2x_is_read() -> None:
    datum = read({"magnitude": 18.25, "error": 0.05, "filter": "r", "telescope": "ELP", "airmass": 1.2})

    assert isinstance(datum, PhotometryDatum)
    assert (datum.brightness, datum.brightness_error, datum.bandpass, datum.telescope) == (18.25, 0.05, "r", "ELP")
    assert datum.extra == {"airmass": 1.2}
    assert datum.id == datum_identity(URL, datum)
    assert datum.timestamp == NIGHT


def test_an_upper_limit_of_2x_is_read() -> None:
    datum = read({"limit": 20.5, "filter": "g"})

    assert isinstance(datum, PhotometryDatum)
    assert (datum.brightness, datum.limit, datum.bandpass) == (None, 20.5, "g")


def test_photometry_of_3x_is_read() -> None:
    datum = read(SHOWN_BY_3X)

    assert isinstance(datum, PhotometryDatum)
    assert (datum.brightness, datum.bandpass, datum.telescope, datum.extra) == (18.25, "r", "ELP", {})


def test_an_upper_limit_of_3x_is_hidden_by_its_api_and_none_comes_out() -> None:
    hidden = row(SHOWN_BY_3X | {"brightness": None})

    assert is_hidden_limit(hidden)
    assert read_datum(hidden, URL) is None


def test_what_2x_stores_without_brightness_and_limit_is_no_hidden_limit() -> None:
    datum = read({"comment": "cloudy"})

    assert isinstance(datum, OtherDatum)
    assert datum.data_type == "photometry"
    assert datum.value == {"comment": "cloudy"}


@pytest.mark.parametrize("key", ["magnitude", "mag", "brightness"])
def test_brightness_is_found_under_each_of_its_names(key: str) -> None:
    datum = read({key: 18.25, "filter": "r"})

    assert isinstance(datum, PhotometryDatum)
    assert (datum.brightness, datum.extra) == (18.25, {})


def test_of_two_names_for_one_thing_none_is_lost() -> None:
    datum = read({"magnitude": 18.25, "mag": 18.5, "filter": "r"})

    assert isinstance(datum, PhotometryDatum)
    assert (datum.brightness, datum.extra) == (18.25, {"mag": 18.5})


def test_spectra_of_both_versions_are_read() -> None:
    two = read({"flux": [1.0, 2.0], "wavelength": [4000, 4001], "flux_units": "Jy", "wavelength_units": "AA"}, "spectroscopy")
    three = read(
        {"flux": [1.0, 2.0], "wavelength": [4000, 4001], "error": [], "flux_unit": "Jy", "wavelength_unit": "AA",
         "telescope": "", "instrument": ""},
        "spectroscopy",
    )  # fmt: skip

    assert isinstance(two, SpectroscopyDatum)
    assert two == three
    assert two.id == three.id


def test_a_spectrum_as_a_dictionary_of_points_stays_raw() -> None:
    points = {"0": {"flux": 1.0, "wavelength": 4000}}
    datum = read(points, "spectroscopy")

    assert isinstance(datum, OtherDatum)
    assert datum.value == points


def test_astrometry_of_3x_is_read() -> None:
    shown = {"ra": 1.5, "dec": -2.5, "ra_error": None, "dec_error": None, "ra_error_units": "", "dec_error_units": "",
             "telescope": "F65", "instrument": ""}  # fmt: skip
    datum = read(shown, "astrometry")

    assert isinstance(datum, AstrometryDatum)
    assert (datum.ra, datum.dec, datum.telescope, datum.extra) == (1.5, -2.5, "F65", {})


@pytest.mark.parametrize("value", ["text", ["a"], {}, {"magnitude": "bright", "filter": "r"}, {"magnitude": [18.0]}])
def test_what_has_not_the_shape_of_its_type_stays_raw(value: Any) -> None:
    datum = read(value)

    assert isinstance(datum, OtherDatum)
    assert datum.value == value
    assert datum.data_type == "photometry"


def test_a_number_that_a_tom_stores_as_text_is_not_silently_made_a_number() -> None:
    datum = read({"magnitude": "18.25", "filter": "r"})

    assert isinstance(datum, OtherDatum)
    assert datum.value == {"magnitude": "18.25", "filter": "r"}


def shown_by_2x(datum: ReducedDatum) -> dict[str, Any]:
    """Return the row that 2.x would show of a datum after it was posted there: the value is JSON, as it came."""
    body = datum_request(
        datum,
        target_id=4,
        tom=TomIdentity(name="T", url=URL),
        target=TargetIdentity(name="a", type="SIDEREAL"),
        original_source=False,
        reserved=toolkit2.reserved_keys,
    ).body
    return row(json.loads(canonical_json(body["value"])), body["data_type"], timestamp=body["timestamp"])


SHARED = strategies.typed_datums.map(
    lambda datum: datum.model_copy(update={"extra": {"airmass": 1.2}, "source_name": "", "source_location": "", "origin": None})
)


@given(SHARED)
def test_what_2x_shows_of_a_shared_datum_is_read_as_that_datum(datum: ReducedDatum) -> None:
    again = read_datum(shown_by_2x(datum), URL)

    assert again is not None
    assert again.id == datum_identity(URL, datum)


@pytest.mark.parametrize("dialect", [toolkit2, toolkit3], ids=lambda dialect: dialect.LABEL)
class TestRecognising:
    """`is_row`: whether a row of the destination is the datum."""

    DATUM = PhotometryDatum(timestamp=NIGHT, brightness=18.25, bandpass="r", telescope="ELP")

    def request(self, dialect: Dialect) -> Any:
        return datum_request(
            self.DATUM,
            target_id=4,
            tom=TomIdentity(name="Example TOM", url=URL),
            target=TargetIdentity(name="a", type="SIDEREAL", primary_key=41),
            original_source=False,
            reserved=dialect.reserved_keys,
        )

    def there(self, dialect: Dialect, **changed: Any) -> dict[str, Any]:
        body = self.request(dialect).body
        value = body["value"] if dialect is toolkit2 else SHOWN_BY_3X
        about = {"source_name": body["source_name"], "source_location": body["source_location"]}
        return row(changed.pop("value", value), **(about | changed))

    def test_the_row_that_was_written_is_it(self, dialect: Dialect) -> None:
        assert dialect.is_row(self.there(dialect), self.request(dialect))

    def test_the_zone_of_the_time_does_not_matter(self, dialect: Dialect) -> None:
        there = self.there(dialect, timestamp="2024-01-02T05:04:05.678901+02:00", source_location="")

        assert dialect.is_row(there, self.request(dialect))

    @pytest.mark.parametrize(
        "changed",
        [
            {"timestamp": "2024-01-02T03:04:05.678902Z"},
            {"data_type": "spectroscopy"},
            {"value": SHOWN_BY_3X | {"brightness": 18.5}},
            {"value": SHOWN_BY_3X | {"telescope": "FTN"}},
            {"value": SHOWN_BY_3X | {"brightness_error": 0.05}},
        ],
    )
    def test_another_measurement_is_not_it(self, dialect: Dialect, changed: dict[str, Any]) -> None:
        there = self.there(dialect, source_location="entered by hand", **changed)

        assert not dialect.is_row(there, self.request(dialect))


def test_2x_does_not_look_at_the_source_and_3x_does() -> None:
    recognising = TestRecognising()
    foreign = {"source_name": "Other", "source_location": "elsewhere"}

    assert toolkit2.is_row(recognising.there(toolkit2, **foreign), recognising.request(toolkit2))
    assert not toolkit3.is_row(recognising.there(toolkit3, **foreign), recognising.request(toolkit3))


def test_in_3x_the_mark_of_another_datum_says_that_it_is_another() -> None:
    recognising = TestRecognising()
    marked = recognising.there(toolkit3, source_location=f"{URL}targets/41/#datum={'0' * 32}")

    assert not toolkit3.is_row(marked, recognising.request(toolkit3))


def test_3x_says_beforehand_what_it_cannot_store() -> None:
    assert toolkit3.unstorable(PhotometryDatum(timestamp=NIGHT, brightness=1.0)) is not None
    assert toolkit3.unstorable(OtherDatum(data_type="notes", timestamp=NIGHT, value={})) is not None
    assert toolkit3.unstorable(PhotometryDatum(timestamp=NIGHT, brightness=1.0, bandpass="r")) is None
    assert toolkit3.unstorable(OtherDatum(data_type="notes", timestamp=NIGHT, value={"a": 1})) is None
