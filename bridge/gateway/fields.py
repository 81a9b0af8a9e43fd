"""What Hermes' fields take, what they make of it, and their words where they refuse: its serializers, as far as they are used.

A field reads a value that was parsed from JSON, and returns what Hermes publishes for it. Differences from Hermes are
where a value would not be JSON (``nan``), or would be taken for something that nobody meant (``true`` for 1.0).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, cast
from urllib.parse import urlsplit

from dateutil.parser import parse
from pydantic import JsonValue

from bridge.codecs.hermes import values

__all__ = [
    "REQUIRED", "Errors", "Field", "Json", "Read", "Refused", "choice", "date", "declination", "flag", "listing", "number",
    "record", "right_ascension", "table", "text", "url",
]  # fmt: skip

Json = dict[str, JsonValue]
Errors = JsonValue
"""A list of sentences, or a dictionary of these by field, or a list of such dictionaries by row: as Hermes nests them."""
Read = Callable[[JsonValue], JsonValue]
"""Returns what is published for a value, or raises `Refused`."""

MOST_BAD_ROWS = 1_000
"""After so many, the rest of a table is not looked at: ten megabytes of ``{}`` would make a gigabyte of complaints."""
MOST_SAID = 100
"""Characters of a value that a complaint repeats."""
LONGEST_DATE = 80

_ONE_SPELLING = str.maketrans({"\N{ANGSTROM SIGN}": "Å", "\N{GREEK SMALL LETTER MU}": "\N{MICRO SIGN}"})
"""Unicode has two of each, which look the same. TOM Toolkit 2 writes the sign, and tom_hermes the letter."""

_TRUE = {"t", "y", "yes", "true", "on", "1"}
_FALSE = {"f", "n", "no", "false", "off", "0"}
_HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_][\w-]*\.?|localhost|[0-9a-fA-F:.]+")


class Refused(Exception):
    """A value that Hermes does not take.

    Parameters
    ----------
    errors
        Why, in Hermes' form.
    """

    def __init__(self, errors: Errors) -> None:
        super().__init__("Hermes' rules refuse it")
        self.errors = errors


class _Required:
    """Stands for the default of a field that has to be there."""


REQUIRED = _Required()


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a row.

    Parameters
    ----------
    read
        What it takes.
    default
        What it is if it is not there; None: it stays out.
    null
        Whether it may be null.
    """

    read: Read
    default: JsonValue | _Required = None
    null: bool = False

    def of(self, row: Json, key: str) -> JsonValue:
        """Return what is published for a key of a row; None: nothing is."""
        if key in row:
            value = row[key]
            return None if value is None and self.null else _not_null(value, self.read)
        if isinstance(self.default, _Required):
            raise Refused(["This field is required."])
        return self.default


def text(*, blank: bool = False) -> Read:
    """Return what takes a text, without the white space around it, or a number as text."""

    def read(value: JsonValue) -> JsonValue:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refused(["Not a valid string."])
        found = str(value).strip()
        if not found and not blank:
            raise Refused(["This field may not be blank."])
        if "\x00" in found:
            raise Refused(["Null characters are not allowed."])
        if any("\ud800" <= character <= "\udfff" for character in found):
            raise Refused(["Surrogate characters are not allowed."])
        return found

    return read


def number(low: float = -math.inf, high: float = math.inf) -> Read:
    """Return what takes a finite number, or one as text, and makes it a float."""

    def read(value: JsonValue) -> JsonValue:
        try:
            found = float(cast("Any", value))
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if isinstance(value, bool) or not math.isfinite(found):
            raise Refused(["A valid number is required."])
        if found < low:
            raise Refused([f"Ensure this value is greater than or equal to {low}."])
        if found > high:
            raise Refused([f"Ensure this value is less than or equal to {high}."])
        return found

    return read


def choice(*known: str) -> Read:
    """Return what takes one of several texts, and publishes it in the spelling that is known."""

    def read(value: JsonValue) -> JsonValue:
        if isinstance(value, str) and (found := value.translate(_ONE_SPELLING)) in known:
            return found
        raise Refused([f'"{str(value)[:MOST_SAID]}" is not a valid choice.'])

    return read


def flag(value: JsonValue) -> JsonValue:
    """Return a truth value, from the words that Django REST framework takes for one."""
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    word = value.lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise Refused(["Must be a valid boolean."])
    return word in _TRUE


def url(value: JsonValue) -> JsonValue:
    """Return an address of the web or of FTP."""
    found = cast("str", text()(value))
    try:
        parts = urlsplit(found)
        good = parts.scheme.lower() in {"http", "https", "ftp", "ftps"} and parts.port != 0 and len(found) <= 2048
    except ValueError:
        good = False
    if not good or not _HOST.fullmatch(parts.hostname or "") or re.search(r"\s", found):
        raise Refused(["Enter a valid URL."])
    return found


def date(value: JsonValue) -> JsonValue:
    """Return a date as it was written: a Julian date, a modified one, or whatever dateutil reads."""
    found = cast("str", text()(value))
    try:
        days = float(found)
    except ValueError:
        if _readable_date(found):
            return found
        unreadable = f"{found[:MOST_SAID]} does not parse with dateutil.parser.parse."
        raise Refused([f"{unreadable} Please specify the date in a standard format or as a JD."]) from None
    if 2_400_000 < days < 2_600_000 or 1_000 < days < 150_000:
        return found
    bounds = "in JD format must be within bounds of 2400000 to 2600000, and in MJD format within bounds of 1000 to 150000."
    raise Refused([f"Date {days} {bounds}"])


def _readable_date(written: str) -> bool:
    try:
        return len(written) <= LONGEST_DATE and bool(parse(written, tzinfos=_any_zone))
    except Exception:  # noqa: BLE001  dateutil lets through whatever its insides raise
        return False


def _any_zone(_name: str | None, _offset: int | None) -> tzinfo:
    """Take any name for a zone: dateutil would ask the machine's, or warn. Which it is, is for readers to say."""
    return UTC


def right_ascension(value: JsonValue) -> JsonValue:
    """Return degrees from 0 to 360, from degrees or from hours, minutes and seconds."""
    return _position(value, values.right_ascension)


def declination(value: JsonValue) -> JsonValue:
    """Return degrees, from degrees or from degrees, minutes and seconds."""
    return _position(value, values.declination)


def _position(value: JsonValue, read: Callable[[JsonValue], float]) -> JsonValue:
    found = text()(value)
    try:
        return read(found)
    except values.Unreadable:
        raise Refused(["Must be in a format astropy understands"]) from None


def listing(read: Read, *, least: int = 0) -> Read:
    """Return what takes a list of values of one kind."""

    def read_all(value: JsonValue) -> JsonValue:
        if not isinstance(value, list):
            raise Refused([f'Expected a list of items but got type "{_kind(value)}".'])
        if len(value) < least:
            raise Refused([f"Ensure this field has at least {least} elements."])
        found, errors = list[JsonValue](), Json()
        for index, item in enumerate(value):
            try:
                found.append(_not_null(item, read))
            except Refused as refused:
                errors[str(index)] = refused.errors
                if len(errors) >= MOST_BAD_ROWS:
                    break
        if errors:
            raise Refused(errors)
        return found

    return read_all


def record(
    fields: Mapping[str, Field], check: Callable[[Json], None] = lambda _row: None, *, keep_empty: bool = False
) -> Callable[[JsonValue], Json]:
    """Return what takes a dictionary: the keys it knows, in their order, with defaults, and without those that say nothing.

    Parameters
    ----------
    fields
        By key; others are dropped.
    check
        Raises `Refused` if the keys do not go together.
    keep_empty
        Whether null, empty texts and empty lists stay.
    """

    def read(value: JsonValue) -> Json:
        if not isinstance(value, dict):
            raise Refused({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {_kind(value)}."]})
        found, errors = Json(), Json()
        for key, field in fields.items():
            try:
                found[key] = field.of(value, key)
            except Refused as refused:
                errors[key] = refused.errors
        if errors:
            raise Refused(errors)
        if not keep_empty:
            found = {key: item for key, item in found.items() if item or item == 0}  # which False is, too
        check(found)
        return found

    return read


def table(read: Read) -> Read:
    """Return what takes a list of dictionaries; its errors have an empty one for each that is good."""

    def read_all(value: JsonValue) -> JsonValue:
        if not isinstance(value, list):
            raise Refused({"non_field_errors": [f'Expected a list of items but got type "{_kind(value)}".']})
        found, errors, bad = list[JsonValue](), list[JsonValue](), 0
        for item in value:
            try:
                found.append(read(item))
                errors.append({})
            except Refused as refused:
                errors.append(refused.errors)
                bad += 1
                if bad >= MOST_BAD_ROWS:
                    break
        if bad:
            raise Refused(errors)
        return found

    return read_all


def _not_null(value: JsonValue, read: Read) -> JsonValue:
    if value is None:
        raise Refused(["This field may not be null."])
    return read(value)


def _kind(value: JsonValue) -> str:
    return "NoneType" if value is None else type(value).__name__
