"""A table of events that a person can read on a terminal while they come in."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime

from bridge.events import DataProductShared, PhotometryDatum, ReducedDatum, ShareEvent, TargetListShared
from bridge.observe.expressions import short_type
from bridge.observe.sightings import Sighting, Unreadable
from bridge.telemetry import printable

__all__ = ["heading", "latest_brightness", "line", "width_of"]

GAP = "  "
NAMES = ("time (UTC)", "source", "type", "target", "datums", "latest brightness")
NARROW = 100
"""Below this width the time goes without its year and seconds."""
LEAST = (10, 12, 17)
"""Least widths of source, target and latest brightness, which share what is left of a terminal; at 80 columns they fit."""
UNCUT = 120
"""Columns stand where they would on such a terminal, where there is none."""


def heading(width: int | None) -> str:
    """Return the line above the columns.

    Parameters
    ----------
    width
        Characters of the terminal; None: it is none, and nothing is cut.
    """
    return _joined(NAMES, width)


def line(seen: Sighting | Unreadable, width: int | None) -> str:
    """Return what was seen as one line, without anything that a terminal would obey; `width` as for `heading`."""
    if isinstance(seen, Unreadable):
        time = "" if seen.consumed.time is None else _time(seen.consumed.time, width)
        return _joined((time, "", "unreadable", seen.consumed.place, "", f"{seen.reason}: {seen.detail}"), width)
    event, datums = seen.event, seen.event.body.datums_of()
    source = event.source.removeprefix("https://").rstrip("/")
    about = "" if isinstance(event.body, TargetListShared) else event.body.subject
    count = f"{len(datums):,}" if datums else ""
    return _joined((_time(event.time, width), source, short_type(event.type), about, count, _summary(event, datums)), width)


def latest_brightness(datums: Sequence[ReducedDatum]) -> str:
    """Return the newest brightness or limit among datums, with its filter and unit; empty if there is none."""
    measured = [datum for datum in datums if isinstance(datum, PhotometryDatum)]
    if not measured:
        return ""
    latest = max(measured, key=lambda datum: datum.timestamp)
    if latest.brightness is None:
        number = f"limit {latest.limit:.6g}"
    else:
        error = "" if latest.brightness_error is None else f" ± {latest.brightness_error:.2g}"
        number = f"{latest.brightness:.6g}{error}"
    return " ".join(filter(None, (latest.bandpass, number, latest.unit)))


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(map(_columns, text))


def _summary(event: ShareEvent, datums: Sequence[ReducedDatum]) -> str:
    body = event.body
    if isinstance(body, TargetListShared):
        return f"list {body.name}, {len(body.members):,} targets"
    found = latest_brightness(datums) or ", ".join(sorted({datum.data_type for datum in datums}))
    return found or (body.product.name if isinstance(body, DataProductShared) else "")


def _time(moment: datetime, width: int | None) -> str:
    return f"{moment:%m-%d %H:%M}" if width is not None and width < NARROW else f"{moment:%Y-%m-%d %H:%M:%S}"


def _joined(cells: Sequence[str], width: int | None) -> str:
    harmless = [printable(cell).replace("\n", "\\n") for cell in cells]
    widths = _widths(width or UNCUT)
    shown = harmless if width is None else map(_cut, harmless, widths)
    return GAP.join(map(_padded, shown, widths)).rstrip()


def _widths(width: int) -> tuple[int, ...]:
    time, kind, datums = (11 if width < NARROW else 19), 14, 6
    left = width - time - kind - datums - len(GAP) * (len(NAMES) - 1)
    source, target, latest = (max(least, int(left * least / sum(LEAST))) for least in LEAST)
    return time, source, kind, target, datums, latest


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _cut(text: str, width: int) -> str:
    if width_of(text) <= width and len(text) <= 2 * width:  # marks without a width can be piled up without end
        return text
    kept, used = "", 0
    for char in text[: 2 * width]:
        used += _columns(char)
        if used >= width:
            break
        kept += char
    return f"{kept}…"


def _columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
