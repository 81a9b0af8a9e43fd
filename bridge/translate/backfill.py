"""Backfill: many photometric datums as one file, of which a TOM's photometry processor makes what as many POSTs would make.

The file is CSV with astropy's header (ECSV, https://github.com/astropy/astropy-APEs/blob/main/APE6.rst), which says of what
type each column is: without it astropy guesses, takes a filter ``1`` for a number, and TOM Toolkit fails on a column of
integers. The processor puts every column into the datum, ``time`` as well; that column is masked, so that no datum gets one
it never had. Its numbers have another name in the file: whoever reads it as mere CSV finds no ``time``, and refuses it.
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from bridge.events import PhotometryDatum, canonical_json
from bridge.translate.datums import DatumRequest
from bridge.translate.dialect import Dialect
from bridge.translate.products import DATUMS_MARK

__all__ = ["FEWEST", "MOST", "BackfillFile", "fitting", "in_files", "keys_there", "recognised"]

FEWEST = 100
"""A file is as fast as a request for each from some 15 datums on; for fewer than this, nobody wants one more data product."""
MOST = 1_000
"""Datums of one file. They keep a worker of the TOM busy for one to two seconds. What an emitter's event holds, some 3,400,
makes four files, which two workers share evenly if the pace allows it; with the usual columns each has far less than the
megabyte that many proxies refuse."""
MOST_CHARACTERS = 10_000
"""Longest text in one cell; Python's csv takes ten times as much."""
LONGEST_NAME = 100
"""Of a column, in characters."""

_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)
_MJD, _MASK, _TIMESTAMP = "time.mjd", "time.mask", "timestamp"
_HIDDEN_TIME = f"""\
delimiter: ','
meta:
  __serialized_columns__:
    time:
      __class__: astropy.utils.masked.core.MaskedNDArray
      data: !astropy.table.SerializedColumn {{name: {_MJD}}}
      mask: !astropy.table.SerializedColumn {{name: {_MASK}}}"""
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""A text that comes out of a column of texts as it went in: astropy strips, and reads the file in the TOM's own encoding."""

Kind: TypeAlias = Literal["float64", "string", "json"]
Row: TypeAlias = Mapping[str, Any]
Columns: TypeAlias = tuple[tuple[str, Kind], ...]
"""Names and kinds of a file's columns besides those for the time, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillFile:
    """A file of datums.

    Parameters
    ----------
    name
        File name.
    product_id
        The product's identifier at the destination: unique to the target there, and the datums.
    columns
        Of which columns it is made.
    content
        Its bytes.
    requests
        The datums in it: number in the event -> the POST that would write it.
    """

    name: str
    product_id: str
    columns: Columns
    content: bytes
    requests: Mapping[int, DatumRequest]


def fitting(requests: Mapping[int, DatumRequest], dialect: Dialect) -> dict[int, Row]:
    """Return the rows of those datums that a file carries without a change, by their numbers."""
    rows = ((number, _row(request, dialect)) for number, request in requests.items())
    return {number: row for number, row in rows if row is not None}


def keys_there(rows: Iterable[Mapping[str, Any]], dialect: Dialect) -> set[Hashable]:
    """Return what the rows of photometry that a target has are known by there: no row of a file may have any of it."""
    return set().union(*map(dialect.keys_there, rows))


def in_files(
    requests: Mapping[int, DatumRequest],
    taken: AbstractSet[Hashable],
    *,
    dialect: Dialect,
) -> list[BackfillFile]:
    """Return files of those datums that a file can carry beside what is there.

    Parameters
    ----------
    requests
        Number in the event -> the POST that would write the datum. None of them is there.
    taken
        What the photometry that the target has is known by there; see `keys_there`.
    dialect
        The TOM's rules.
    """
    rows = _apart(fitting(requests, dialect), requests, taken, dialect)
    if len(rows) < FEWEST:
        return []
    # Alike together: a column without gaps costs the TOM less, and 2.x takes equal values of one file for two datums.
    numbers = sorted(rows, key=lambda number: (sorted(rows[number]), sorted(map(str, dialect.keys_beside(requests[number])))))
    size = math.ceil(len(rows) / math.ceil(len(rows) / MOST))
    parts = (sorted(numbers[begin : begin + size]) for begin in range(0, len(numbers), size))
    return [_file([rows[number] for number in part], {number: requests[number] for number in part}) for part in parts]


def recognised(file: BackfillFile, stored: Sequence[Mapping[str, Any]], *, dialect: Dialect) -> tuple[set[int], int]:
    """Return the numbers of a file's datums that are among the rows the TOM made of it, and how many rows are none of them."""
    by_moment: dict[datetime, list[Mapping[str, Any]]] = {}
    for row in stored:
        by_moment.setdefault(datetime.fromisoformat(row["timestamp"]), []).append(row)
    found = set()
    for number, request in file.requests.items():
        rows = by_moment.get(datetime.fromisoformat(request.body["timestamp"]), [])
        same = next((row for row in rows if dialect.is_row_of_file(row, request)), None)
        if same is not None:
            rows.remove(same)
            found.add(number)
    return found, len(stored) - len(found)


def _apart(
    rows: Mapping[int, Row], requests: Mapping[int, DatumRequest], taken: AbstractSet[Hashable], dialect: Dialect
) -> dict[int, Row]:
    """Return those rows that the TOM takes for no other: neither of one that is there, nor of one before them."""
    taken_here: set[Hashable] = set()
    apart = {}
    for number, row in rows.items():
        request = requests[number]
        own = dialect.keys_in_file(request)
        if taken.isdisjoint(dialect.keys_beside(request)) and taken_here.isdisjoint(own):
            taken_here |= own
            apart[number] = row
    return apart


def _row(request: DatumRequest, dialect: Dialect) -> Row | None:
    """Return the columns of a datum's row but for its time, or None if a file would change it."""
    if not isinstance(request.datum, PhotometryDatum) or not _is_readable(request.datum.timestamp):
        return None
    row = dialect.row_of_file(request)
    if row is None or row.keys() & {"time", _MJD, _MASK, _TIMESTAMP}:
        return None
    if any(len(name) > LONGEST_NAME or not _is_name(name) or _kind(value) is None for name, value in row.items()):
        return None
    return row


def _is_readable(moment: datetime) -> bool:
    """Whether astropy makes a time of the MJD; which one does not matter, as the row has its own beside it."""
    # Where a day is longer than 86,400 s, its last second as an MJD reads as a leap second, which Python's times have not.
    return 1859 <= moment.year < 2200 and (moment + timedelta(seconds=2)).day == moment.day


@lru_cache(1_000)
def _is_name(name: str) -> bool:
    """Whether astropy takes this for the name of a column, and gives it back as it is."""
    try:
        float(name)
    except ValueError:
        return bool(re.fullmatch(r"[A-Za-z_](?:[ -~]*[A-Za-z0-9_)\]%])?", name)) and not set(name) & set("\"'\\#")
    return False  # nan, inf


def _kind(value: Any) -> Kind | None:
    """Return the kind of column that carries a value, or None if none does."""
    if isinstance(value, float) and math.isfinite(value):
        return "float64"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and len(value) <= MOST_CHARACTERS:
        return "string"
    if isinstance(value, list):
        return None  # numpy would take a column of them for one of two dimensions
    try:
        canonical_json(value)
    except ValueError:
        return None  # no number, infinite, or half a character
    text = _json(value)
    return "json" if len(text) <= MOST_CHARACTERS and "\\u0000" not in text else None


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _file(rows: Sequence[Row], requests: Mapping[int, DatumRequest]) -> BackfillFile:
    about = [(request.body["target"], request.datum.id) for request in requests.values()]
    digest = hashlib.sha256(canonical_json(about)).hexdigest()
    columns = tuple(sorted(_kinds(rows)))  # 2.x on SQLite tells values apart by their text, and so by the order of columns
    return BackfillFile(
        name=f"reduced-datums-{digest[:12]}.csv",
        product_id=f"{DATUMS_MARK}{digest[:32]}",
        columns=columns,
        content=_content([request.datum.timestamp for request in requests.values()], rows, columns),
        requests=requests,
    )


def _content(moments: Sequence[datetime], rows: Sequence[Row], columns: Columns) -> bytes:
    """Return the file."""
    kinds: dict[str, Kind] = dict(columns)
    types = {_MJD: "float64", _MASK: "bool", _TIMESTAMP: "string"} | kinds
    header = [
        "%ECSV 1.0",
        "---",
        "datatype:",
        *(
            "- "
            + _json({"name": name, **({"datatype": "string", "subtype": "json"} if kind == "json" else {"datatype": kind})})
            for name, kind in types.items()
        ),
        *_HIDDEN_TIME.splitlines(),
    ]
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in header)
    table = csv.writer(text, lineterminator="\n")
    table.writerow(types)
    for moment, row in zip(moments, rows, strict=True):
        mjd = (moment - _MJD_0) / timedelta(days=1)
        cells = (_cell(row[name], kind) if name in row else "" for name, kind in kinds.items())
        table.writerow([repr(mjd), "True", moment.isoformat(timespec="microseconds"), *cells])
    return text.getvalue().encode("ascii")


def _kinds(rows: Sequence[Row]) -> Iterator[tuple[str, Kind]]:
    """Yield each column with the kind that carries all its values."""
    kinds: dict[str, set[Kind | None]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(_kind(value))
    for name, found in kinds.items():
        kind = found.pop()
        yield name, "json" if found or kind is None else kind


def _cell(value: Any, kind: Kind) -> str:
    if kind == "json":
        return _json(value)
    return value if kind == "string" else repr(value)
