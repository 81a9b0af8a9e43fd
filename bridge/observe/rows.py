"""Events for programs: one row a datum, as CSV; or whole events, one JSON object a line. Neither moves a terminal's cursor."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bridge.codecs.native import to_structured
from bridge.events import DataProductShared, ReducedDatum, ShareBody, ShareEvent, TargetListShared, datum_value, utc_text
from bridge.observe.expressions import short_type
from bridge.observe.sightings import identity_of
from bridge.telemetry import printable

__all__ = ["COLUMNS", "csv_heading", "csv_line", "json_line", "rows_of"]

COLUMNS = {
    "event": "id of the event",
    "shared": "when the event was made",
    "type": "target, target_list, reduced_datums or data_product",
    "source": "URL of the source TOM, or address of the topic of a Hermes message",
    "tom": "name of the source TOM, or submitter of the Hermes message",
    "target": "name of the target",
    "ra": "right ascension of the target, degrees",
    "dec": "declination of the target, degrees",
    "datum": "identity of the datum; empty: the row is about an event without datums",
    "data_type": "photometry, spectroscopy, astrometry or the TOM's own",
    "time": "when it was observed",
    "bandpass": "filter",
    "brightness": "brightness, in `unit`",
    "brightness_error": "its error, in `unit`",
    "limit": "limiting brightness, in `unit`",
    "unit": "unit of these; empty: the source does not say",
    "telescope": "telescope",
    "instrument": "instrument",
    "value": "JSON: what else was measured; without datums, the name of the data product or of the list",
}
"""Columns of a row, and what they hold."""

_OF_DATUM = ("bandpass", "brightness", "brightness_error", "limit", "unit", "telescope", "instrument")


def rows_of(event: ShareEvent) -> Iterator[dict[str, Any]]:
    """Yield a row for each datum of an event, or one row for an event that has none. Every row has all of `COLUMNS`.

    What is not there is None; times are timezone-aware, in UTC.
    """
    target = getattr(event.body, "target", None)
    about = dict.fromkeys(COLUMNS) | {
        "event": str(event.id),
        "shared": event.time,
        "type": short_type(event.type),
        "source": event.source,
        "tom": event.body.tom.name,
        "target": target.name if target is not None else None,
        "ra": target.ra if target is not None else None,
        "dec": target.dec if target is not None else None,
    }
    datums = event.body.datums_of()
    for datum in datums:
        yield about | _of_datum(event.body, datum)
    if not datums:
        yield about | {"value": _name_of_rest(event)}


def csv_heading() -> str:
    """Return the first line of a CSV file."""
    return _csv(COLUMNS)


def csv_line(row: dict[str, Any]) -> str:
    """Return a row of `rows_of` as a line of CSV. Control characters are written as Python writes them in its texts."""
    is_json = row["datum"] is not None and row["value"] is not None  # else it is a name, or nothing
    return _csv((row | {"value": _json(row["value"])} if is_json else row).values())


def json_line(event: ShareEvent) -> str:
    """Return an event as CloudEvents structured JSON on one line. Control characters are escaped, and nothing is lost by it."""
    return _escaped(to_structured(event))


def _of_datum(body: ShareBody, datum: ReducedDatum) -> dict[str, Any]:
    found = {name: getattr(datum, name) for name in _OF_DATUM if name in type(datum).model_fields}
    value = datum_value(datum)
    rest = {name: part for name, part in value.items() if name not in found}
    return found | {
        "datum": identity_of(datum, body),
        "data_type": datum.data_type,
        "time": datum.timestamp,
        "value": value["value"] if value.keys() == {"value"} else rest or None,
    }


def _name_of_rest(event: ShareEvent) -> str | None:
    if isinstance(event.body, DataProductShared):
        return event.body.product.name
    return event.body.name if isinstance(event.body, TargetListShared) else None


def _csv(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return utc_text(value)
    return printable(str(value)).replace("\n", "\\n")


def _json(value: Any) -> str:
    return _escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _escaped(text: str) -> str:
    """Escape what is not printable in JSON: it can only stand inside of a text, and means the same there."""
    return text if text.isprintable() else "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
