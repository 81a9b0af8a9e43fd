"""Tables as text, written row by row: CSV, and ECSV as astropy reads it, with units."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bridge.events import utc_text
from bridge.observe.lightcurves import Column

__all__ = ["CsvWriter", "EcsvWriter", "TableWriter", "header_lines"]

UNIT_BYTES = 80
"""Room that an ECSV header keeps for a unit that only the rows tell."""

_DATATYPES = {"text": "string", "number": "float64", "integer": "int64", "time": "string", "numbers": "string"}
_BREAKS = str.maketrans(
    {"\n": "\\n", "\r": "\\r", **{char: f"\\u{ord(char):04x}" for char in "\0\v\f\x1c\x1d\x1e\x85\u2028\u2029"}}
)
"""What ends a line to some reader -> as JSON has it, so that a column of JSON stays that."""


class TableWriter(Protocol):
    """Writes a table into a new file."""

    def write(self, cells: Sequence[Any]) -> None:
        """Write a row: a cell for each column, None where there is no value."""

    def finish(self, units: Mapping[str, str]) -> None:
        """Complete the file. `units` are those of the columns whose unit only the rows tell, as far as there is one."""

    def close(self) -> None:
        """Close the file, complete or not."""


class CsvWriter:
    """Plain CSV: a line of names, times with ``Z``, arrays as JSON, nothing where there is no value.

    Parameters
    ----------
    path
        A file that is not there yet.
    columns
        The table's.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("x", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow([column.name for column in columns])
        self._times = _places(columns, "time")
        self._arrays = _places(columns, "numbers")

    def write(self, cells: Sequence[Any]) -> None:
        row = list(cells)
        for place in self._times:
            row[place] = utc_text(row[place])
        for place in self._arrays:
            row[place] = json.dumps(row[place])
        self._rows.writerow(row)

    def finish(self, units: Mapping[str, str]) -> None:
        """Complete the file; plain CSV has no place for units."""

    def close(self) -> None:
        self._file.close()


class EcsvWriter:
    """ECSV 1.0, which ``astropy.table.Table.read`` and other programs read: units, descriptions, and times as times.

    The header's units are known only at the end, so it is written twice, with room for them.

    Parameters
    ----------
    path
        A file that is not there yet.
    columns
        The table's.
    meta
        What there is to say about the table as a whole.
    """

    def __init__(self, path: Path, columns: Sequence[Column], meta: Mapping[str, str]) -> None:
        self._columns, self._meta = columns, meta
        self._file = path.open("x", encoding="utf-8", newline="")
        self._file.write(self._header({}))
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow([column.name for column in columns])
        self._times = _places(columns, "time")
        self._arrays = _places(columns, "numbers")
        self._texts = _places(columns, "text")

    def write(self, cells: Sequence[Any]) -> None:
        row = list(cells)
        for place in self._times:
            row[place] = _time(row[place])
        for place in self._arrays:
            row[place] = json.dumps(row[place])
        for place in self._texts:
            if not row[place].isprintable():  # a line break in a text that "#" follows is a comment to astropy's reader
                row[place] = row[place].translate(_BREAKS)
        self._rows.writerow(row)

    def finish(self, units: Mapping[str, str]) -> None:
        self._file.seek(0)
        self._file.write(self._header(units))

    def close(self) -> None:
        self._file.close()

    def _header(self, units: Mapping[str, str]) -> str:
        about = header_lines(self._columns, units, self._meta, times="isot", unit_bytes=UNIT_BYTES)
        lines = ("%ECSV 1.0", "---", "delimiter: ','", *about, "schema: astropy-2.0")
        return "".join(f"# {line}\n" for line in lines)


def header_lines(
    columns: Sequence[Column], units: Mapping[str, str], meta: Mapping[str, str], *, times: str, unit_bytes: int = 0
) -> Iterator[str]:
    """Yield what astropy wants to know of a table, in YAML.

    Parameters
    ----------
    columns, units, meta
        As for the writers.
    times
        Astropy's name for the form in which times stand in the rows.
    unit_bytes
        The room that a unit of `units` takes, be it there or not.
    """
    yield "datatype:"
    for column in columns:
        unit = column.unit or units.get(column.name, "")
        about = {"unit": _text(unit)} if unit else {}
        about["datatype"] = _DATATYPES[column.form]
        if column.form == "numbers":
            about["subtype"] = "'float64[null]'"
        about["description"] = _text(column.about)
        line = f"- {{name: {column.name}, {', '.join(f'{key}: {value}' for key, value in about.items())}}}"
        room = unit_bytes if column.unit_in else 0
        yield line + " " * (room - len(f"unit: {_text(unit)}, ") * bool(unit)) * bool(room)
    yield "meta:"
    yield from (f"  {key}: {_text(value)}" for key, value in meta.items())
    yield "  __serialized_columns__:"
    for column in columns:
        if column.form == "time":
            yield f"    {column.name}:"
            yield from (f"      {line}" for line in ("__class__: astropy.time.core.Time", f"format: {times}", "scale: utc"))
            yield from ["      precision: 6"] * (times == "isot")
            yield f"      value: !astropy.table.SerializedColumn {{name: {column.name}}}"


def _text(text: str) -> str:
    """Return a text as YAML, in double quotes, as JSON has it."""
    return json.dumps("".join(char if char.isprintable() else " " for char in text), ensure_ascii=False)


def _time(moment: datetime) -> str:
    """Return a time as astropy's ``isot`` has it: that it is UTC stands in the header."""
    return utc_text(moment)[:-1]


def _places(columns: Sequence[Column], form: str) -> tuple[int, ...]:
    return tuple(place for place, column in enumerate(columns) if column.form == form)
