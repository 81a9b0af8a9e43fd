"""Files of datums: what a TOM's photometry processor makes of one is what the requests of its datums would make."""

import json
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import ascii as astropy_ascii
from astropy.time import Time
from erfa import ErfaWarning
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.events import OtherDatum, PhotometryDatum, ReducedDatum, TargetIdentity, TomIdentity, canonical_json
from bridge.translate import toolkit2, toolkit3
from bridge.translate.backfill import FEWEST, MOST, fitting, in_files, keys_there, recognised
from bridge.translate.datums import DatumRequest, datum_request
from bridge.translate.dialect import Dialect
from tests.unit import strategies

TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
TARGET = TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=41)
NIGHT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DIALECTS: list[Dialect] = [toolkit2, toolkit3]
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.LABEL)

words = st.sampled_from(
    ["time", "time.mjd", "time.mask", "timestamp", "source", "source_location", "nan", "1", "a b", " a", "#"]
)
extras = st.dictionaries(words | st.from_regex(r"[a-z_]{1,3}", fullmatch=True), strategies.documents, max_size=3)

Made = tuple[str, dict[str, Any], str]
"""Time, value and source, as a TOM's processor hands them on."""


def curve(count: int = FEWEST) -> list[ReducedDatum]:
    moments = (NIGHT + timedelta(minutes=number, microseconds=number) for number in range(count))
    return [
        PhotometryDatum(timestamp=moment, brightness=15 + number / 7, bandpass="r") for number, moment in enumerate(moments)
    ]


def requests(datums: Sequence[ReducedDatum], dialect: Dialect, *, tom: TomIdentity = TOM) -> dict[int, DatumRequest]:
    return {
        number: datum_request(datum, target_id=7, tom=tom, target=TARGET, original_source=False, reserved=dialect.reserved_keys)
        for number, datum in enumerate(datums)
    }


def processed(path: Path, since: int) -> list[Made]:
    """Return what TOM Toolkit's own processor, the same in 2 and 3, makes of a file, from one of its rows on."""
    made = []
    for row in astropy_ascii.read(str(path))[since:]:
        with warnings.catch_warnings(action="ignore", category=ErfaWarning):  # of years whose leap seconds nobody knows
            Time(float(row["time"]), format="mjd").to_datetime()
        value = {name: row[name] for name in row.colnames if not np.ma.is_masked(row[name])}
        made.append((str(value.pop("timestamp")), value, str(value.pop("source", ""))))
    return made


def as_row(request: DatumRequest, dialect: Dialect) -> dict[str, Any]:
    """Return a row of the API as it is once a datum is stored."""
    body, datum = request.body, request.datum
    if dialect is toolkit2 or not isinstance(datum, PhotometryDatum):
        return {**body, "source_location": "" if dialect is toolkit2 else body["source_location"]}
    shown = {
        name: getattr(datum, name) for name in ("brightness", "brightness_error", "bandpass", "unit", "telescope", "instrument")
    }
    return {**body, "value": shown}


@each_dialect
@settings(max_examples=50)
@given(odd=st.lists(st.tuples(strategies.photometry(), extras), max_size=6), name=strategies.names)
def test_a_file_makes_what_the_requests_make_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, dialect: Dialect, odd: list[tuple[PhotometryDatum, dict[str, Any]]], name: str
) -> None:
    more = [datum.model_copy(update={"extra": datum.extra | extra}) for datum, extra in odd]
    asked = requests([*curve(), *more], dialect, tom=TomIdentity(name=name, url=TOM.url))
    [file] = in_files(asked, set(), dialect=dialect)
    path = tmp_path_factory.getbasetemp() / "datums.csv"
    path.write_bytes(file.content)

    made = processed(path, since=FEWEST - 1)

    for (timestamp, value, source), request in zip(made, list(file.requests.values())[FEWEST - 1 :], strict=True):
        assert datetime.fromisoformat(timestamp) == request.datum.timestamp
        assert source == request.body["source_name"].strip()
        if dialect is toolkit3:
            assert value.pop("source_location") == request.body["source_location"]
        asked_for = json.loads(canonical_json(request.body["value"]))
        assert json.dumps(value) == json.dumps(asked_for)  # in this order, by which 2.x on SQLite tells values apart


@each_dialect
@given(datums=st.lists(strategies.datums | strategies.photometry(), max_size=20))
def test_only_photometry_that_is_not_an_odd_value_goes_into_files(dialect: Dialect, datums: list[ReducedDatum]) -> None:
    asked = requests(datums, dialect)

    assert all(isinstance(datums[number], PhotometryDatum) for number in fitting(asked, dialect))
    assert in_files(asked, set(), dialect=dialect) == []  # too few


def test_a_reader_that_takes_it_for_mere_csv_finds_no_time_in_it(tmp_path: Path) -> None:
    [file] = in_files(requests(curve(), toolkit2), set(), dialect=toolkit2)
    path = tmp_path / "datums.csv"
    path.write_bytes(file.content)

    with pytest.raises(KeyError, match="time"):
        astropy_ascii.read(str(path), format="csv", comment="#")[0]["time"]


@each_dialect
def test_so_many_datums_make_so_many_files(dialect: Dialect) -> None:
    asked = requests(curve(MOST + 1), dialect)

    files = in_files(asked, set(), dialect=dialect)
    assert [len(file.requests) for file in files] == [501, 500]
    assert {number for file in files for number in file.requests} == set(asked)
    assert len({file.product_id for file in files} | {file.name for file in files}) == 4
    assert in_files(asked, set(), dialect=dialect) == files
    assert [len(file.requests) for file in in_files(dict(list(asked.items())[:MOST]), set(), dialect=dialect)] == [MOST]
    assert in_files(dict(list(asked.items())[: FEWEST - 1]), set(), dialect=dialect) == []


@each_dialect
def test_limits_and_detections_go_apart_where_there_are_enough_of_each(dialect: Dialect) -> None:
    points = [
        PhotometryDatum(timestamp=NIGHT + timedelta(minutes=number), bandpass="r", **{kind: 15 + number / 7})
        for number in range(2 * MOST)
        for kind in (["limit"] if number % 2 else ["brightness"])
    ]

    of_each = [{name for name, _kind in file.columns} for file in in_files(requests(points, dialect), set(), dialect=dialect)]

    assert len(of_each) == 2
    assert not of_each[0] & of_each[1] & {"limit", "magnitude"}


def test_values_that_2_would_take_for_one_across_files_share_a_file() -> None:
    points = [
        PhotometryDatum(timestamp=NIGHT + timedelta(minutes=number), brightness=15 + number % 600 / 7, bandpass="r")
        for number in range(MOST + 200)
    ]
    asked = requests(points, toolkit2)

    files = in_files(asked, set(), dialect=toolkit2)

    values = [{points[number].brightness for number in file.requests} for file in files]
    assert {number for file in files for number in file.requests} == set(asked)
    assert len(values) == 2
    assert len(values[0] & values[1]) <= 1  # where the cut is


def test_a_file_of_another_target_is_another_product() -> None:
    asked = requests(curve(), toolkit3)
    elsewhere = {
        number: DatumRequest(datum=request.datum, body={**request.body, "target": 8}, renamed={})
        for number, request in asked.items()
    }
    [one], [other] = in_files(asked, set(), dialect=toolkit3), in_files(elsewhere, set(), dialect=toolkit3)

    assert one.product_id.startswith("tom-bridge ")
    assert one.product_id != other.product_id


def chosen(dialect: Dialect, *more: PhotometryDatum, there: Sequence[PhotometryDatum] = ()) -> list[int]:
    """Return which of some datums get into a file beside a curve, when others are there."""
    asked = requests([*curve(), *more], dialect)
    rows = [as_row(request, dialect) for request in requests(there, dialect).values()]
    [file] = in_files(asked, keys_there(rows, dialect), dialect=dialect)
    return [number - FEWEST for number in file.requests if number >= FEWEST]


LATER = NIGHT + timedelta(days=30)
POINT = PhotometryDatum(timestamp=LATER, brightness=18.5, brightness_error=0.1, bandpass="r", instrument="I")
LIMIT = PhotometryDatum(timestamp=LATER, limit=20.5, bandpass="r", instrument="I")


def like(point: PhotometryDatum, **other: Any) -> PhotometryDatum:
    return point.model_copy(update=other)


def test_in_3_no_two_of_a_file_are_one_by_its_constraints() -> None:
    assert chosen(toolkit3, POINT, like(POINT, brightness_error=0.2), like(POINT, telescope="B")) == [0]
    assert chosen(toolkit3, LIMIT, like(LIMIT, brightness=18.5), like(LIMIT, brightness=18.75)) == [0]
    others = [
        like(POINT, **{name: text}) for name, text in (("bandpass", "g"), ("instrument", "J"), ("reduction_version", "2"))
    ]
    assert chosen(toolkit3, POINT, *others, like(POINT, brightness=18.75), LIMIT) == [0, 1, 2, 3, 4, 5]


def test_in_3_none_of_a_file_is_one_with_a_row_that_is_there_as_far_as_that_shows() -> None:
    assert chosen(toolkit3, like(POINT, brightness_error=0.2), there=[POINT]) == []
    assert chosen(toolkit3, like(POINT, brightness=18.75), like(POINT, bandpass="g"), there=[POINT]) == [0, 1]
    assert chosen(toolkit3, LIMIT, like(LIMIT, instrument=""), there=[POINT]) == [1]  # whether it has a limit is not shown
    assert chosen(toolkit3, POINT, there=[LIMIT]) == [0]


def test_in_2_no_value_is_in_a_file_that_the_target_has_at_whatever_time() -> None:
    earlier = like(POINT, timestamp=LATER - timedelta(days=1))
    assert chosen(toolkit2, POINT, like(POINT, brightness_error=0.2), there=[earlier]) == [1]
    assert chosen(toolkit2, POINT, earlier, POINT) == [0, 1]


@each_dialect
@pytest.mark.parametrize(
    "moment",
    [
        "2016-12-31T23:59:59.999999+00:00",
        "2016-12-31T23:59:58.000001+00:00",
        "1858-01-01T00:00:00+00:00",
        "9999-12-31T23:59:59+00:00",
    ],
)
def test_a_moment_that_astropy_may_not_read_goes_the_ordinary_way(dialect: Dialect, moment: str) -> None:
    datum = like(POINT, timestamp=datetime.fromisoformat(moment))

    assert fitting(requests([datum], dialect), dialect) == {}


def test_a_text_too_long_for_a_column_of_3_goes_the_ordinary_way() -> None:
    longest = {"bandpass": 32, "unit": 32, "telescope": 255, "instrument": 255, "reduction_version": 50}
    just = [like(POINT, **{name: "x" * most}) for name, most in longest.items()]
    more = [like(POINT, **{name: "x" * (most + 1)}) for name, most in longest.items()]

    assert list(fitting(requests([*just, *more], toolkit3), toolkit3)) == [0, 1, 2, 3, 4]
    assert list(fitting(requests([*just, *more], toolkit2), toolkit2)) == list(range(10))


def test_photometry_of_a_shape_of_its_own_goes_the_ordinary_way() -> None:
    odd = OtherDatum(data_type="photometry", timestamp=NIGHT, value={"magnitude": "18.5", "filter": "r"})

    assert fitting(requests([odd], toolkit2), toolkit2) == {}


@each_dialect
def test_of_what_the_tom_made_of_a_file_each_row_is_known_or_is_counted(dialect: Dialect) -> None:
    asked = requests(curve(), dialect)
    [file] = in_files(asked, set(), dialect=dialect)
    rows = [as_row(request, dialect) for request in asked.values()]
    key = "magnitude" if dialect is toolkit2 else "brightness"
    changed = [{**rows[0], "value": {**rows[0]["value"], key: 15.5}}, *rows[1:]]
    renamed = [{**rows[0], "source_name": "Another"}, *rows[1:]]

    assert recognised(file, rows, dialect=dialect) == (set(asked), 0)
    assert recognised(file, rows[1:], dialect=dialect) == (set(asked) - {0}, 0)
    assert recognised(file, [*rows, rows[5]], dialect=dialect) == (set(asked), 1)
    assert recognised(file, changed, dialect=dialect) == (set(asked) - {0}, 1)
    assert recognised(file, renamed, dialect=dialect) == (set(asked) - {0}, 1)
    assert recognised(file, [], dialect=dialect) == (set(), 0)


@given(number=st.floats(min_value=1e16, allow_infinity=False, allow_nan=False))
def test_in_2_a_large_number_is_known_again_however_postgresql_writes_it(number: float) -> None:
    datum = like(POINT, extra={"luminosity": number, "deep": [{"a": number}]})
    [request] = requests([datum], toolkit2).values()
    whole = int(Decimal(repr(number)))
    row = {**request.body, "value": {**request.body["value"], "luminosity": whole, "deep": [{"a": whole}]}}

    assert toolkit2.is_row(row, request)
    assert not toolkit2.is_row({**row, "value": {**row["value"], "luminosity": whole * 2}}, request)
    assert not toolkit2.is_row({**row, "value": {**row["value"], "deep": [{"b": whole}]}}, request)
