"""Door to pyarrow: tables as Parquet, in row groups, with units where astropy looks for them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from bridge.observe.lightcurves import Column
from bridge.observe.writing import header_lines

__all__ = ["ParquetWriter"]

BATCH_WEIGHT = 500_000
"""When rows become arrays: after so many characters and numbers. As Python's objects they take some ten times the memory."""
GROUP_BYTES = 8_000_000
"""When arrays become a row group."""
GROUP_ROWS = 100_000

_TYPES = {
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "time": pa.timestamp("us", "UTC"),
    "numbers": pa.list_(pa.float64()),
}


class ParquetWriter:
    """Parquet, compressed with zstd, written a row group at a time.

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
        self._schema = pa.schema([(column.name, _TYPES[column.form]) for column in columns])
        # Without Arrow's own schema in the file: astropy looks there for what is known at the end only, and finds nothing.
        self._file = parquet.ParquetWriter(path, self._schema, compression="zstd", store_schema=False)
        self._sized = tuple(place for place, column in enumerate(columns) if column.form in {"text", "numbers"})
        self._longest = {place: 1 for place, column in enumerate(columns) if column.form == "text"}
        self._rows: list[Sequence[Any]] = []
        self._weight = 0
        self._batches: list[pa.RecordBatch] = []

    def write(self, cells: Sequence[Any]) -> None:
        self._rows.append(cells)
        self._weight += sum(len(cells[place]) for place in self._sized)
        if self._weight >= BATCH_WEIGHT:
            self._make_batch()

    def finish(self, units: Mapping[str, str]) -> None:
        self._make_batch()
        self._write_group()
        lines = header_lines(self._columns, units, self._meta, times="datetime64")
        of_columns = {column.name: column.unit or units.get(column.name, "") for column in self._columns}
        lengths = {f"table::len::{self._columns[place].name}": str(length) for place, length in self._longest.items()}
        self._file.add_key_value_metadata(
            {
                "table_meta_yaml": "\n".join(lines),  # astropy's, as are the lengths
                "units": json.dumps({name: unit for name, unit in of_columns.items() if unit}),
                **lengths,
            }
        )
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _make_batch(self) -> None:
        if not self._rows:
            return
        cells = list(zip(*self._rows, strict=True))
        for place, longest in self._longest.items():
            self._longest[place] = max(longest, *map(len, cells[place]))
        arrays = [pa.array(column, field.type) for column, field in zip(cells, self._schema, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._rows, self._weight = [], 0
        if sum(batch.nbytes for batch in self._batches) >= GROUP_BYTES or sum(map(len, self._batches)) >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if self._batches:
            self._file.write_table(pa.Table.from_batches(self._batches), row_group_size=sum(map(len, self._batches)))
            self._batches = []
