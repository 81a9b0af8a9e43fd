"""Numbers, dates and positions as people write them, against astropy, dateutil and what a person reads."""

import math
import os
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from astropy import units as u
from astropy.coordinates import Angle, Latitude, Longitude
from astropy.time import Time
from dateutil.parser import ParserError, parse
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bridge.codecs.hermes.values import (
    Unreadable,
    declination,
    julian_year,
    mjd,
    moment,
    number,
    numbers,
    right_ascension,
    text,
)

readers = [number, numbers, moment, mjd, julian_year, right_ascension, declination, text]
zones = st.builds(
    lambda hours, minutes: timezone(timedelta(hours=hours, minutes=minutes if hours >= 0 else -minutes)),
    st.integers(-12, 14),
    st.sampled_from([0, 30, 45]),
)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
almost = st.text("0123456789-+:./, eETZhmsd°'′NSWanifJD_٣", max_size=25)
"""Texts that look like numbers, dates and positions."""


# --- numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [("19.35", 19.35), (" +0.20 ", 0.2), ("1.85e1", 18.5), ("−0.5", -0.5), (18, 18.0), ("0", 0.0), (-0.0, 0.0), (".5", 0.5)],
)
def test_a_number_is_read_from_a_text_as_from_a_number(written: Any, expected: float) -> None:
    assert number(written) == expected


@pytest.mark.parametrize(
    "written", ["", "NaN", "inf", "-Infinity", "1e999", "1_000", "19,35", ">19", True, None, [1], {}, 10**400, "1" * 81]
)
def test_what_is_no_number_is_unreadable(written: Any) -> None:
    with pytest.raises(Unreadable):
        number(written)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_survives_as_text_and_as_number(value: float) -> None:
    assert number(repr(value)) == number(value) == value


def test_a_list_of_numbers_has_no_gaps() -> None:
    assert numbers(["1", 2, 3.5]) == (1.0, 2.0, 3.5)
    for wrong in ([], [1, None], "1,2", [[1]], [math.nan]):
        with pytest.raises(Unreadable):
            numbers(wrong)


def test_a_text_may_be_a_number() -> None:
    assert [text(value) for value in (" a ", 433, 1.5, True)] == ["a", "433", "1.5", "true"]


# --- dates


@given(moments)
def test_a_date_in_iso_is_that_moment(when: datetime) -> None:
    assert moment(when.isoformat()) == when
    assert moment(when.isoformat()).tzinfo is UTC


@given(moments)
def test_a_date_without_a_zone_is_utc(when: datetime) -> None:
    bare = when.replace(tzinfo=None)

    assert moment(bare.isoformat()) == moment(bare.isoformat(sep=" ")) == bare.replace(tzinfo=UTC)


@given(moments)
def test_a_date_in_words_is_that_moment(when: datetime) -> None:
    when = when.replace(microsecond=0)
    for form in ("%d %b %Y %H:%M:%S %z", "%b %d, %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%Y/%m/%d %H:%M:%S %z"):
        assert moment(when.strftime(form)) == when, form


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2023 Apr 9.5", "2023-04-09T12:00:00Z"),  # as in circulars of the MPC and CBAT, and in telegrams
        ("2023 Apr. 9.5", "2023-04-09T12:00:00Z"),
        ("9.75 April 2023", "2023-04-09T18:00:00Z"),
        ("Apr 9.5, 2023", "2023-04-09T12:00:00Z"),
        ("2023-Apr-09.75", "2023-04-09T18:00:00Z"),
        ("2023 April 09.25 UT", "2023-04-09T06:00:00Z"),
        ("2023 Apr 25.9876", "2023-04-25T23:42:08.640000Z"),  # 0.9876 days are 85,328.64 s
        ("2023 04 09.25", "2023-04-09T06:00:00Z"),  # as in the MPC's observations
        ("2023-04-09.5", "2023-04-09T12:00:00Z"),
        ("2023/04/09.125", "2023-04-09T03:00:00Z"),
        ("2024 Jun. 30.75", "2024-06-30T18:00:00Z"),
        ("9. April 2023", "2023-04-09T00:00:00Z"),  # an ordinal number, in half of Europe
    ],
)
def test_decimals_of_a_day_are_read(written: str, expected: str) -> None:
    assert moment(written) == datetime.fromisoformat(expected)


@given(st.dates(datetime(1900, 1, 1).date(), datetime(2100, 1, 1).date()), st.integers(1, 9), st.integers(0))  # noqa: DTZ001
def test_any_decimals_of_a_day_are_that_part_of_it(day: Any, digits: int, number: int) -> None:
    decimals = f"{number % 10**digits:0{digits}}"
    expected = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        microseconds=round(Fraction(int(decimals), 10**digits) * 86_400_000_000)
    )

    for written in (f"{day:%Y %b} {day.day}.{decimals}", f"{day.day}.{decimals} {day:%B %Y}", f"{day:%Y-%m-%d}.{decimals}"):
        assert moment(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2023-04-09T10:11.5", "10:11:30"),
        ("2023-04-09 10:11.25", "10:11:15"),
        ("2023-04-09T1011.5", "10:11:30"),
        ("20230409T1011.5Z", "10:11:30"),
        ("2023-04-09T10.5", "10:30:00"),
        ("2023-04-09T10,5Z", "10:30:00"),
        ("2023-04-09T10:11:12.5", "10:11:12.500000"),
        ("2023-04-09T10:11:12,5", "10:11:12.500000"),
        ("20230409T101112.5", "10:11:12.500000"),
        ("2023-04-09T10", "10:00:00"),
        ("April 9, 2023 12:11 am", "00:11:00"),
        ("9 Apr 2023 10 p.m.", "22:00:00"),
    ],
)
def test_decimals_are_those_of_the_last_part_of_a_time(written: str, expected: str) -> None:
    assert moment(written) == datetime.fromisoformat(f"2023-04-09T{expected}Z")


@pytest.mark.parametrize(
    "written",
    [
        "9-10 Apr 2023", "2023 Apr 9-10", "2023 Apr 9/10", "2023-04-09/10", "2023-04-09-10", "2023-04-09 - 2023-04-10",
        "2023-04-09 to 2023-04-10", "2023-04-09T10:11:12Z/2023-04-09T11:11:12Z", "2023-04-09 10:11:12-10:15:00",
        "2023-04-09 10:11:12 - 10:15:00", "2023-04-09 10:11-10:15", "2023-04-09 10:00-11:00", "2023-04-09 +/- 1",
        "2023-04-09 10:11:12 +/- 30",
    ],
)  # fmt: skip
def test_a_span_of_time_is_no_moment(written: str) -> None:
    with pytest.raises(Unreadable):
        moment(written)


@pytest.mark.parametrize(
    "written",
    [
        "2023-04-09 10.5", "9 Apr 2023 10.30", "2023.04.09.5", "20230409.5", "2023 Apr 9.5 10:11", "2023-04-09 10:11:12 -0.5",
        "2023-04-09 10.5h", "Apr 2023.5",
    ],
)  # fmt: skip
def test_decimals_that_may_be_of_anything_are_unreadable(written: str) -> None:
    with pytest.raises(Unreadable):
        moment(written)


@pytest.mark.parametrize(
    "written", ["2023-04-09 10", "2023-04-09 2023", "2023-04-09 25:00", "2023-04-09 13:00 PM", "2023-13-01", "31 Apr 2023"]
)
def test_a_time_or_day_that_is_none_is_unreadable(written: str) -> None:
    with pytest.raises(Unreadable):
        moment(written)


DAYS = [
    "2023-04-09", "2023/4/9", "2023.04.09", "20230409", "9 Apr 2023", "09-Apr-2023", "April 9, 2023", "2023 Apr 9",
    "25/04/2023", "9th April 2023", "Sun, 09 Apr 2023", "2023 04 09", "04/09/2023", "9-10 Apr 2023", "2023-04", "230409",
]  # fmt: skip
CLOCKS = [
    "10:11:12", "10:11", "10:11.5", "101112", "1011", "10", "1:02:03", "10:11:12.25", "10:11 PM", "10 am", "24:00",
    "2023-04-10",
]  # fmt: skip
ENDS = ["Z", " UT", "UTC", " +02:00", "-0500", "+05:30", "UTC+2", " GMT-3", "Z+2", " EST", "-10:15:00", "/11", " - 12:00", "+2"]
likely = st.tuples(
    st.sampled_from(DAYS), st.sampled_from(["T", " ", ", "]), st.sampled_from(CLOCKS), st.sampled_from(["", *ENDS])
)
odd = st.tuples(
    st.sampled_from(DAYS) | st.text("0123456789-/. Apr", min_size=4, max_size=12),
    st.sampled_from(["", "  ", "-", "/", " at "]),
    st.sampled_from(["", *CLOCKS]) | st.text("0123456789:", max_size=8),
    st.sampled_from(["", *ENDS]),
)
pieces = (likely | odd).map("".join)


@given(pieces)
@example("2023-04-09T10:11.5")
def test_a_text_that_is_read_is_read_as_dateutil_reads_it(written: str) -> None:
    """Hermes takes what dateutil reads. Of that, we take what has one meaning; decimals of a day are lost on dateutil."""
    try:
        found = moment(written)
    except Unreadable:
        return
    assume(not re.fullmatch(r"\s*[\d.]+\s*", written) or len(written.strip()) == 8)  # a number of days
    assume(not re.search(r"(?<!:\d\d)\.\d", written.replace("2023.04.09", "")))
    try:
        expected = parse(written, tzinfos={"UT": 0})
    except ParserError:  # Hermes does not take it, and nobody else says what it means
        return

    assert found == (expected if expected.tzinfo else expected.replace(tzinfo=UTC))


LEAP_DAYS = {
    41498, 41682, 42047, 42412, 42777, 43143, 43508, 43873, 44238, 44785, 45150, 45515, 46246, 47160, 47891, 48256, 48803,
    49168, 49533, 50082, 50629, 51178, 53735, 54831, 56108, 57203, 57753,
}  # fmt: skip
"""MJDs of the days with a leap second: on these astropy's days are longer. Before 1972 a second of UTC was not one of ours,
and astropy does not know the leap seconds of the years to come."""


@given(st.floats(41_320, 61_400))
def test_an_mjd_is_what_astropy_says(day: float) -> None:
    assume(int(day) not in LEAP_DAYS)
    expected = Time(day, format="mjd", scale="utc").to_datetime(timezone=UTC)

    for written in (day, repr(day)):
        assert abs(moment(written) - expected) <= timedelta(microseconds=2)


@given(st.floats(2_441_320.5, 2_461_400.5))
def test_a_jd_is_what_astropy_says(day: float) -> None:
    assume(int(day - 2_400_000.5) not in LEAP_DAYS)
    expected = Time(day, format="jd", scale="utc").to_datetime(timezone=UTC)

    for written in (day, repr(day)):
        assert abs(moment(written) - expected) <= timedelta(microseconds=50)  # a JD as a float is no more exact


@given(moments.filter(lambda when: 1972 < when.year < 2027))
def test_a_moment_as_mjd_is_what_astropy_says(when: datetime) -> None:
    day = (when.astimezone(UTC).date() - datetime(1858, 11, 17).date()).days  # noqa: DTZ001
    assume(day not in LEAP_DAYS)

    assert mjd(when.isoformat()) == pytest.approx(float(Time(when).mjd), abs=1e-9)


def test_a_jd_of_many_digits_loses_none() -> None:
    assert moment("2460000.500000011574") == datetime(2023, 2, 25, 0, 0, 0, 1000, tzinfo=UTC)


@pytest.mark.parametrize("value", [True, None, [], {}, -1, 0, 999, 1e300, 10**400, "J2000", "2460000,5", "24_60000.5"])
def test_what_is_no_date_is_unreadable(value: Any) -> None:
    with pytest.raises(Unreadable):
        moment(value)


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_date_outside_the_calendar_is_unreadable(year: str) -> None:
    with pytest.raises(Unreadable):
        moment(year)


@pytest.mark.parametrize("gap", [" ", ""])
@pytest.mark.parametrize(
    "zone", ["EST", "CST", "BST", "PST8PDT", "UTC+3", "GMT-2", "UTC-5", "Z+2", "+02:00Z", "+15:00", "local"]
)
def test_a_zone_that_may_mean_several_things_is_unreadable(zone: str, gap: str) -> None:
    with pytest.raises(Unreadable):
        moment(f"2023-04-09 10:00:00{gap}{zone}")


def test_the_machines_zone_does_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert moment("9 Apr 2023 10:00") == datetime(2023, 4, 9, 10, tzinfo=UTC)
        with pytest.raises(Unreadable):
            moment("9 Apr 2023 10:00 EDT")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") != "America/New_York"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2000.0", 2000.0),
        (2016, 2016.0),
        ("J2015.5", 2015.5),
        ("51544.5", 2000.0),
        ("2451545.0", 2000.0),
        ("2000-01-01T12:00", 2000.0),
    ],
)
def test_an_epoch_is_in_julian_years(written: Any, expected: float) -> None:
    assert julian_year(written) == expected


@given(st.floats(20_000, 80_000))
def test_an_epoch_as_mjd_is_what_astropy_says(day: float) -> None:
    assert julian_year(day) == pytest.approx(float(Time(day, format="mjd", scale="tt").jyear), abs=1e-5)


@pytest.mark.parametrize("written", ["B1950", "J", "", None, "2000.0.0", "equinox of date"])
def test_what_is_no_epoch_is_unreadable(written: Any) -> None:
    with pytest.raises(Unreadable):
        julian_year(written)


# --- positions


@given(st.floats(0, 360, exclude_max=True), st.sampled_from([":", " ", "hms"]), st.integers(0, 6))
def test_a_right_ascension_in_hours_is_what_astropy_says(degrees: float, separator: str, digits: int) -> None:
    written = Longitude(degrees * u.deg).to_string(unit=u.hourangle, sep=separator, precision=digits, pad=True)
    if written[:2] == "24":
        written = "00" + written[2:]

    assert right_ascension(written) == pytest.approx(float(Longitude(written, unit=u.hourangle).deg), abs=1e-12)
    assert abs((right_ascension(written) - degrees + 180) % 360 - 180) <= 15 / 3600 * 10.0**-digits


@given(st.floats(-90, 90), st.sampled_from([":", " ", "dms"]), st.integers(0, 6), st.booleans())
def test_a_declination_is_what_astropy_says(degrees: float, separator: str, digits: int, sign: bool) -> None:
    written = Latitude(degrees * u.deg).to_string(unit=u.deg, sep=separator, precision=digits, alwayssign=sign)

    assert declination(written) == pytest.approx(float(Angle(written, unit=u.deg).deg), abs=1e-12)
    assert abs(declination(written) - degrees) <= 1 / 3600 * 10.0**-digits


@given(st.floats(-1e6, 1e6))
def test_a_right_ascension_is_within_a_turn_and_the_same_place(degrees: float) -> None:
    found = right_ascension(degrees)

    assert 0 <= found < 360
    assert math.isclose(math.cos(math.radians(found)), math.cos(math.radians(degrees)), abs_tol=1e-9)
    if 0 <= degrees < 360:
        assert found == degrees


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("-0:30:00", -0.5),
        ("-00 00 01", -1 / 3600),
        ("+5 30", 5.5),
        ("10°30′36″", 10.51),
        ("−45:13:30", -45.225),
        ("12.5 deg", 12.5),
    ],
)
def test_the_sign_of_a_declination_is_that_of_the_whole(written: str, expected: float) -> None:
    assert declination(written) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("read", "written", "expected"),
    [
        (right_ascension, "12:34:60.00", "12:35:00"),
        (right_ascension, "23h59m60s", "0:00:00"),
        (declination, "-12 34 60.0", "-12:35:00"),
        (declination, "89:59:60", "90:00:00"),
    ],
)
def test_sixty_seconds_are_a_minute(read: Any, written: str, expected: str) -> None:
    """Catalogues and programs round 59.996 to 60.00."""
    assert read(written) == pytest.approx(read(expected), abs=1e-12)


@pytest.mark.parametrize(
    "written",
    ["", "NaN", "10:70:00", "10:60:00", "10:20:60.01", "25:00:00", "over there", "1:2:3:4", None, True, [10.5], "9" * 90],
)
def test_what_is_no_right_ascension_is_unreadable(written: Any) -> None:
    with pytest.raises(Unreadable):
        right_ascension(written)


@pytest.mark.parametrize("written", ["90.0001", -91, "91:00:00", "-90:00:01", "inf", "", None])
def test_what_is_no_declination_is_unreadable(written: Any) -> None:
    with pytest.raises(Unreadable):
        declination(written)


# --- anything


@pytest.mark.parametrize("read", readers, ids=lambda read: read.__name__)
@given(value=documents | almost)
def test_anything_is_read_or_unreadable(read: Any, value: Any) -> None:
    try:
        found = read(value)
    except Unreadable:
        return
    assert found is not None
    assert not isinstance(found, float) or math.isfinite(found)
