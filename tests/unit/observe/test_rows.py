"""Events for programs: rows that lose no measurement, lines that are one line, and nothing that a terminal obeys."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import bridge
from bridge.codecs.native import from_structured, parse_json, to_structured
from bridge.events import OtherDatum, ShareEvent, datum_identity, datum_value, utc_text
from bridge.observe.lightcurves import datum_rows
from bridge.observe.rows import COLUMNS, csv_heading, csv_line, json_line, rows_of
from bridge.schemas import example_events
from tests.unit import strategies as anything
from tests.unit.observe.test_distinct import passed_on
from tests.unit.observe.test_lightcurves import POINT, TOM

EXAMPLES = example_events()


def as_csv(event: ShareEvent) -> list[dict[str, str]]:
    text = csv_heading() + "".join(map(csv_line, rows_of(event)))
    return list(csv.DictReader(io.StringIO(text)))


def test_a_datum_is_a_row_with_everything_that_was_measured() -> None:
    [photometry, limit, spectrum, position, other] = list(rows_of(EXAMPLES["reduced_datums"]))

    assert (photometry["target"], photometry["bandpass"], photometry["brightness"], photometry["unit"]) == (
        "SN 2024abc",
        "r",
        18.25,
        "AB mag",
    )
    assert photometry["value"] == {"extra": {"airmass": 1.21}, "exposure_time": 120.0}
    assert (limit["brightness"], limit["limit"], limit["value"]) == (None, 20.5, None)
    assert spectrum["value"]["flux"] == [1.1e-15, 1.2e-15, 1.15e-15]
    assert position["value"]["ra"] == 197.450375
    assert other["value"] == {"q": 0.012, "u": -0.003, "filter": "V"}
    assert all(isinstance(row["time"], datetime) and row["time"].tzinfo for row in (photometry, other))


@pytest.mark.parametrize(
    ("name", "kind", "target", "value"),
    [("target_sidereal", "target", "SN 2024abc", ""), ("target_list", "target_list", "", "Nearby supernovae")],
)
def test_an_event_without_datums_is_a_row_too(name: str, kind: str, target: str, value: str) -> None:
    [row] = as_csv(EXAMPLES[name])

    assert (row["type"], row["target"], row["value"], row["datum"]) == (kind, target, value, "")
    assert row["shared"] == utc_text(EXAMPLES[name].time)


@pytest.mark.parametrize("value", [True, 1, 1.5, "", "[1]", "x\ny", [1, None], {"a": "é"}])
def test_a_value_is_json_whatever_it_is(value: Any) -> None:
    event, datum = (
        EXAMPLES["reduced_datums"],
        OtherDatum(timestamp=datetime(2026, 11, 1, tzinfo=UTC), data_type="notes", value=value),
    )
    body = event.body.model_copy(update={"datums": (datum,)})
    [row] = as_csv(ShareEvent(id=event.id, time=event.time, body=body))

    assert json.loads(row["value"]) == value


def test_a_datum_has_one_identity_in_all_tables_also_through_a_hub() -> None:
    event = passed_on(POINT).event

    assert [row["datum"] for row in rows_of(event)] == [row.datum_id for row in datum_rows(passed_on(POINT))]
    assert [row["datum"] for row in rows_of(event)] == [datum_identity(TOM.url, POINT)]


@given(anything.events())
def test_every_event_is_rows_of_the_same_columns_and_no_number_is_lost(event: ShareEvent) -> None:
    rows, datums = as_csv(event), event.body.datums_of()

    assert len(rows) == max(1, len(datums))
    assert [row for row in rows if list(row) != list(COLUMNS) or None in row.values()] == []
    for row, datum in zip(rows, datums, strict=False):
        assert row["datum"] == datum_identity(event.body.tom.url, datum)
        assert measured(row) == {name: part for name, part in plain(datum_value(datum)).items() if name != "data_type"}


def measured(row: dict[str, str]) -> dict[str, Any]:
    """Return what a row says was measured, as far as it is numbers or JSON."""
    numbers = {name: float(row[name]) for name in ("brightness", "brightness_error", "limit") if row[name]}
    value = json.loads(row["value"] or "{}") if row["datum"] else {}
    return numbers | (plain(value) if isinstance(value, dict) and row["data_type"] else {})


def plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return what of a value both sides show: texts are compared elsewhere, a raw value may be anything."""
    inner = value["value"] if value.keys() == {"value"} else value
    return {name: part for name, part in inner.items() if not isinstance(part, str)} if isinstance(inner, dict) else {}


@given(anything.events())
def test_a_line_is_a_line_and_nothing_on_it_is_obeyed(event: ShareEvent) -> None:
    lines = [json_line(event), csv_heading()[:-1], *(csv_line(row)[:-1] for row in rows_of(event))]

    assert [line for line in lines if not line.isprintable()] == []


@given(anything.events())
def test_json_loses_nothing_by_being_harmless(event: ShareEvent) -> None:
    assert json.loads(json_line(event)) == json.loads(to_structured(event))
    assert from_structured(parse_json(json_line(event).encode())) == event


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "\u202e", "\x7f", "\u2028", "\U000e0041", "\ufeff", "\x85"])
def test_what_moves_a_cursor_is_escaped(text: str) -> None:
    event = EXAMPLES["target_sidereal"]
    named = event.body.target.model_copy(update={"name": f"x{text}"})
    hostile = ShareEvent(id=event.id, time=event.time, body=event.body.model_copy(update={"target": named, "title": text}))
    [row] = rows_of(hostile)

    assert json_line(hostile).isprintable()
    assert json.loads(json_line(hostile))["data"]["target"]["name"] == f"x{text}"
    assert csv_line(row)[:-1].isprintable()


def test_the_page_names_every_column() -> None:
    page = (Path(bridge.__file__).parents[1] / "docs" / "observers.md").read_text(encoding="utf-8")

    assert [name for name, meaning in COLUMNS.items() if f"| `{name}` | {meaning} |" not in page] == []
