"""Datums as a table in a file, which is there only when it is complete."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.errors import Misconfigured, Retryable
from bridge.observe.lightcurves import TABLES, Column, DatumRow, DatumTable
from bridge.observe.units import astropy_unit
from bridge.observe.writing import CsvWriter, EcsvWriter, TableWriter

__all__ = ["FORMATS", "Tally", "export", "format_of", "open_writer", "whole_file"]

FORMATS = ("csv", "ecsv", "parquet")
MOST_UNITS = 100
"""Units that are told apart; in what others publish there may be any number."""


@dataclass(slots=True)
class Tally:
    """What came of an export.

    Parameters
    ----------
    rows
        Datums that were written.
    left_out
        Datums of other types, by the table that has them.
    units
        For each column of units, how many rows have which.
    """

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    units: dict[str, Counter[str]] = field(default_factory=dict)

    def unit_of(self, column: Column) -> str:
        """Return the unit that all rows of a column have, as astropy writes it, or nothing."""
        unit = column.unit or astropy_unit(self.units.get(column.unit_in, ()), column.read_unit)
        return "mag" if column.is_error and unit.startswith("mag(") else unit


def export(rows: Iterable[DatumRow], *, table: DatumTable, writer: TableWriter, tally: Tally) -> None:
    """Write datums as a table.

    Parameters
    ----------
    rows
        The datums, each once.
    table
        Which of them, and how.
    writer
        Where to.
    tally
        What came of it; up to date whenever this stops.

    Raises
    ------
    OSError
        If the file can't be written.
    """
    units = _unit_places(table)
    for row in rows:
        if not isinstance(row.datum, table.model):
            tally.left_out[_table_of(row.datum)] += 1
            continue
        cells = row.cells(table)
        writer.write(cells)
        tally.rows += 1
        _note_units(tally, units, cells)
    writer.finish({column.name: tally.unit_of(column) for column in table.columns if column.unit_in})


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when all has gone well, and else is removed.

    Raises
    ------
    Misconfigured
        If there can be no such file.
    Retryable
        If writing fails.
    """
    if path.is_dir():
        raise Misconfigured(f"{path}: is a folder; name a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        kind = Retryable if temporary.exists() else Misconfigured
        raise kind(f"{path}: cannot be written ({why})") from error
    finally:
        temporary.unlink(missing_ok=True)


def format_of(path: Path, asked: str | None, formats: Iterable[str] = FORMATS) -> str:
    """Return the format that is asked for, or that a file's name says.

    Raises
    ------
    Misconfigured
        If the name says none.
    """
    if asked is None and path.suffix.lower().removeprefix(".") not in formats:
        names = ", ".join(f".{name}" for name in formats)
        raise Misconfigured(f"--to {path}: say which format with --format, or with the file's name: {names}")
    return asked or path.suffix.lower().removeprefix(".")


def open_writer(form: str, path: Path, table: DatumTable, meta: Mapping[str, str]) -> TableWriter:
    """Open a new file of a format.

    Raises
    ------
    Misconfigured
        If what writes that format is not installed.
    OSError
        If the file can't be made.
    """
    if form == "csv":
        return CsvWriter(path, table.columns)
    if form == "ecsv":
        return EcsvWriter(path, table.columns, meta)
    try:
        from bridge.observe.parquet import ParquetWriter  # noqa: PLC0415  an extra: tom-bridge[parquet]
    except ImportError as error:
        raise Misconfigured("Parquet needs more than is installed; from a clone: pip install '.[parquet]'") from error
    return ParquetWriter(path, table.columns, meta)


def _table_of(datum: Any) -> str:
    return next(name for name, table in TABLES.items() if isinstance(datum, table.model))


UnitPlaces = tuple[tuple[str, int, tuple[int, ...]], ...]


def _unit_places(table: DatumTable) -> UnitPlaces:
    """Return each column of units, where it stands, and where the columns stand whose unit it says."""
    names = [column.name for column in table.columns]
    wanted = dict.fromkeys(column.unit_in for column in table.columns if column.unit_in)
    return tuple(
        (name, names.index(name), tuple(place for place, column in enumerate(table.columns) if column.unit_in == name))
        for name in wanted
    )


def _note_units(tally: Tally, places: UnitPlaces, cells: tuple[Any, ...]) -> None:
    for name, place, numbers in places:
        if any(cells[number] is not None for number in numbers):
            counted = tally.units.setdefault(name, Counter())
            unit = cells[place]
            counted[unit if unit in counted or len(counted) < MOST_UNITS else "others"] += 1
