"""Values as people write them in Hermes messages: numbers as texts, dates in every form, positions in hours and degrees.

Each function returns the one form that share events have, or raises `Unreadable`. Nothing is guessed: a date whose day could
be its month is unreadable, and so is a year that could be an MJD. No clock, no local time zone and no locale enter.

Dates are read by forms of our own. Parsers that take any text make a moment of a range of days, and drop what they do not
understand: dateutil loses the half day of "2023 Apr 9.5", and Python takes the 10 of "2023-04-09/10" for an hour.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from astropy import units as u
from astropy.coordinates import Angle
from pydantic import JsonValue

__all__ = ["Unreadable", "declination", "julian_year", "mjd", "moment", "number", "numbers", "right_ascension", "text"]

MOST_CHARACTERS = 80
"""A text longer than this is no number, no date and no position, and no parser sees it."""

_JD = (2_400_000, 2_600_000)
"""What Hermes takes for a Julian date (its ``validate_date``)."""
_MJD = (1_000, 150_000)
"""What Hermes takes for a modified Julian date."""
_YEARS = (1_800, 2_200)
"""Of these, as an MJD a date in 1863 or 1864, a person would as well think of a year."""
_MJD_OF_JD = Decimal("2400000.5")
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_J2000 = 51_544.5
"""J2000.0 as an MJD."""
_MICROSECONDS_PER_DAY = 86_400_000_000

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"""(?P<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?
             |Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"""
_YEAR = r"(?P<year>\d{4})"
_DAY = r"(?P<day>\d{1,2})(?:(?P<of_day>\.\d*)|st|nd|rd|th)?"
_GAP = r"(?:,?\s+|-|/)"
_WEEKDAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,?\s+)?"
_CLOCK = r"""(?:(?P<t>T)|,?\s+(?:at\s+)?)
             (?P<hour>\d{1,2}) (?:(?P<colon>:?)(?P<minute>\d\d) (?:(?P=colon)(?P<second>\d\d))?)? (?P<fraction>[.,]\d+)?
             (?:\s*(?P<half>[AP])\.?M\.?(?![A-Z]))?"""
_OFFSET = r"(?P<sign>[-+])(?P<hours_off>0\d|1[0-4]):?(?P<minutes_off>00|30|45)?"
"""No zone is as far from UTC as 15 hours, or by other minutes than these: ``10:11-10:15`` is a span."""
_UTC = r"(?:Z|UTC?|GMT)"
"""``UTC+3`` is not read: to people it is east of Greenwich, to POSIX and dateutil west."""


def _form(date: str) -> re.Pattern[str]:
    written = rf"{_WEEKDAY}{date}(?:{_CLOCK}(?:\s*(?:{_OFFSET}|{_UTC}))?|\s*{_UTC})?"
    return re.compile(written, re.VERBOSE | re.ASCII | re.IGNORECASE)


_EITHER_WAY = _form(r"(?P<month>\d{1,2})(?P<gap>[-/.])(?P<day>\d{1,2})(?P=gap)" + _YEAR)
"""The day or the month may come first."""
_COMPACT = _form(_YEAR + r"(?P<month>\d\d)(?P<day>\d\d)")
_FORMS = (
    _form(_YEAR + r"(?P<gap>[-/ ])(?P<month>\d{1,2})(?P=gap)" + _DAY),
    _COMPACT,
    _form(_YEAR + r"\.(?P<month>\d{1,2})\.(?P<day>\d{1,2})"),
    _form(_YEAR + _GAP + _MONTH + _GAP + _DAY),
    _form(_DAY + _GAP + _MONTH + _GAP + _YEAR),
    _form(_MONTH + _GAP + _DAY + _GAP + _YEAR),
    _EITHER_WAY,
)
"""Every date that is read, but for those that are numbers of days."""
_PARTS = r"""([+-]?)\s* (\d{1,3}) (?:\s*[:%s]\s*|\s+)                             # hours or degrees
           (\d{1,2}(?:\.\d*)?) (?:(?:\s*[:m'\N{PRIME}]\s*|\s+)                  # minutes
           (\d{1,2}(?:\.\d*)?) \s*[s"\N{DOUBLE PRIME}]? | \s*[m'\N{PRIME}])?"""  # seconds
_HOURS = re.compile(_PARTS % "h", re.VERBOSE)
_DEGREES = re.compile(_PARTS % "d°", re.VERBOSE)


class Unreadable(ValueError):
    """A value that is not what it should be; says in a few words what was expected, and never repeats the value."""


def text(value: JsonValue) -> str:
    """Return a text without the white space around it; numbers and truth values as JSON writes them."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise Unreadable("a text is expected")


def number(value: JsonValue) -> float:
    """Return a finite number, given as such or as a text."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
        elif isinstance(value, str) and len(value) <= MOST_CHARACTERS and "_" not in value:
            found = float(_plain(value))
        else:
            raise Unreadable("a number is expected")
    except (ValueError, OverflowError):
        raise Unreadable("a number is expected") from None
    if not math.isfinite(found):
        raise Unreadable("a finite number is expected")
    return found


def numbers(value: JsonValue) -> tuple[float, ...]:
    """Return a list of at least one finite number."""
    if not isinstance(value, list) or not value:
        raise Unreadable("a list of numbers is expected")
    return tuple(number(item) for item in value)


def moment(value: JsonValue) -> datetime:
    """Return a date in UTC, from a Julian date, a modified one, ISO 8601 or another text that names a day and perhaps a time.

    Without a zone it is UTC. A day may have decimals, as astronomers write it: ``2023 Apr 9.5`` is noon.

    A Julian date counts days of 86,400 seconds, so it differs from astropy's by up to one second on the 27 days that had a
    leap second.
    """
    days = _days(value)
    try:
        return _date(_plain(text(value))) if days is None else _MJD_ZERO + _so_many(days)
    except OverflowError:
        raise Unreadable("a date in the years 1 to 9999 is expected") from None


def mjd(value: JsonValue) -> float:
    """Return a date as modified Julian date."""
    days = _days(value)
    return float(days) if days is not None else (moment(value) - _MJD_ZERO) / timedelta(days=1)


def julian_year(value: JsonValue) -> float:
    """Return the epoch of a position in Julian years, from ``2000.0``, ``J2000``, or a date in any form.

    Here a number that could be a year is one: that is what an epoch usually is.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*[Jj]\s*\d+(\.\d*)?\s*", value):
        value = value.strip()[1:]
    try:
        year = number(value)
    except Unreadable:
        year = math.nan
    if _YEARS[0] <= year <= _YEARS[1]:
        return year
    return round(2000 + (mjd(value) - _J2000) / 365.25, 6)


def right_ascension(value: JsonValue) -> float:
    """Return a right ascension in degrees from 0 to 360: a bare number is degrees, several parts begin with hours."""
    degrees = _angle(value, _HOURS, 15.0, u.hourangle) % 360
    return degrees if degrees < 360 else 0.0  # a tiny negative angle is rounded up to 360


def declination(value: JsonValue) -> float:
    """Return a declination in degrees: a bare number is degrees, and so is the first of several parts."""
    degrees = _angle(value, _DEGREES, 1.0, u.deg)
    if abs(degrees) > 90:
        raise Unreadable("a declination from -90 to 90 degrees is expected")
    return degrees


def _plain(written: str) -> str:
    """Return a text with an ASCII minus sign, as it is copied from a paper."""
    return written.strip().replace("\N{MINUS SIGN}", "-")


def _days(value: JsonValue) -> Decimal | None:
    """Return the MJD that a number stands for, exactly as it is written, or None if it is not Hermes' idea of a date."""
    try:
        written = _plain(text(value))
        found = Decimal(written) if len(written) <= MOST_CHARACTERS and "_" not in written else Decimal("NaN")
    except InvalidOperation:
        return None
    if not found.is_finite():
        return None
    if _JD[0] < found < _JD[1]:
        return found - _MJD_OF_JD
    if _YEARS[0] <= found <= _YEARS[1]:
        raise Unreadable("a date is expected; this could be a year or an MJD")
    return found if _MJD[0] < found < _MJD[1] else None


def _so_many(days: Decimal) -> timedelta:
    return timedelta(microseconds=int((days * _MICROSECONDS_PER_DAY).to_integral_value()))


def _date(written: str) -> datetime:
    matches = ((form, form.fullmatch(written)) for form in _FORMS if len(written) <= MOST_CHARACTERS)
    form, found = next(((form, match) for form, match in matches if match), (None, None))
    if found is None:
        raise Unreadable("a date is expected, such as 2026-11-23T04:30:00Z")
    said = found.groupdict()
    of_day = Decimal("0" + (said.get("of_day") or ""))
    if of_day and said["hour"]:
        raise Unreadable("a date is expected, with decimals of the day or with a time")
    day = _midnight(said, either_way=form is _EITHER_WAY)
    return day + _so_many(of_day) + _since_midnight(said, compact=form is _COMPACT)


def _midnight(said: Mapping[str, str], *, either_way: bool) -> datetime:
    """Return the day that a date names."""
    word = said["month"].lower()
    month, day = int(word) if word.isdigit() else _MONTHS.index(word[:3]) + 1, int(said["day"])
    found = set()
    for one, other in {(month, day), (day, month)} if either_way else {(month, day)}:
        try:
            found.add(datetime(int(said["year"]), one, other, tzinfo=UTC))
        except ValueError:
            continue
    if len(found) > 1:
        raise Unreadable("a date is expected whose day, month and year can be told apart")
    if not found:
        raise Unreadable("a date is expected, of a day that there is")
    return found.pop()


def _since_midnight(said: Mapping[str, str | None], *, compact: bool) -> timedelta:
    """Return the time of day of a date, in UTC.

    Its last part may have decimals: ``10:11.5`` is half a minute after 10:11. Where hours stand alone, or have no colon
    after them, only ISO 8601's ``T`` says that they are hours.
    """
    written = said["hour"]
    if written is None:
        return timedelta()
    parts = [int(part) for part in (written, said["minute"], said["second"]) if part is not None]
    bare = said["half"] is None and not said["t"] and (len(parts) == 1 or not (said["colon"] or compact))
    if bare or (len(parts) > 1 and not said["colon"] and len(written) == 1):
        raise Unreadable("a date is expected, with a time such as 04:30:00")
    if said["sign"] == "-" and not (said["t"] or said["second"]):
        raise Unreadable("a moment is expected; this could be a span, such as 10:00-11:00")
    if said["half"]:
        if not 1 <= parts[0] <= 12:
            raise Unreadable("a time from 1 to 12 o'clock is expected before am or pm")
        parts[0] = parts[0] % 12 + (12 if said["half"] in "pP" else 0)
    if parts[0] > 23 or max(parts[1:], default=0) > 59:
        raise Unreadable("a time from 00:00:00 to 23:59:59 is expected")
    sizes = (3600, 60, 1)[: len(parts)]
    fraction = Decimal("0" + (said["fraction"] or "").replace(",", "."))
    seconds = sum(part * size for part, size in zip(parts, sizes, strict=True)) + fraction * sizes[-1]
    off = timedelta(hours=int(said["hours_off"] or 0), minutes=int(said["minutes_off"] or 0))
    return timedelta(microseconds=int(seconds * 1_000_000)) - (-off if said["sign"] == "-" else off)


def _angle(value: JsonValue, parts: re.Pattern[str], per_part: float, unit: object) -> float:
    """Return degrees from a number, from several parts, or from anything that astropy reads."""
    try:
        return number(value)
    except Unreadable:
        if not isinstance(value, str) or not 0 < len(value) <= MOST_CHARACTERS:
            raise Unreadable("a position is expected") from None
    written = _plain(value)
    if found := parts.fullmatch(written):
        sign, whole, minutes, seconds = found.groups()
        # What was rounded to 60.0 seconds is the next minute.
        if float(minutes) < 60 and float(seconds or 0) <= 60 and int(whole) * per_part <= 360:
            size = (int(whole) + float(minutes) / 60 + float(seconds or 0) / 3600) * per_part
            return -size if sign == "-" else size
        raise Unreadable("a position is expected, with minutes below 60 and seconds up to 60")
    try:
        degrees = float(Angle(written, unit=unit).to_value(u.deg))
    except Exception:  # noqa: BLE001  what astropy's parser raises is not documented
        degrees = math.nan
    if not math.isfinite(degrees):
        raise Unreadable("a position is expected, in degrees or sexagesimal")
    return degrees
