"""A target's light curve as it is to be drawn: which points in which panel, in which colour. No drawing here."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from bridge.events import PhotometryDatum
from bridge.observe.lightcurves import MJD_0, DatumRow, mjd
from bridge.observe.units import is_magnitude, named_unit

__all__ = ["LightCurve", "Panel", "Points", "Series", "Style", "styles"]

MOST_PANELS = 4
"""Units that have a panel of their own, those with most datums first; the others are counted."""
MOST_BANDPASSES = 24
"""Bandpasses that are told apart, likewise; the others are grey together."""
LARGEST = 1e100
"""Numbers beyond it are counted and not drawn: arithmetic with them overflows, and they are no brightness."""
_LAST_DAY = (datetime.max.replace(tzinfo=UTC) - MJD_0).days
"""The last microseconds of the year 9999 are rounded to a day that there is not."""
OTHERS = "other bandpasses"
NO_BANDPASS = "no bandpass said"


class Style(NamedTuple):
    """How a bandpass looks, on white; no two have both in common."""

    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a light curve, in the order in which they came. An error that is not known is 0."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    errors: "array[float]" = field(default_factory=lambda: array("d"))
    limit_times: "array[float]" = field(default_factory=lambda: array("d"))
    limits: "array[float]" = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.times) + len(self.limits)

    def add(self, datum: PhotometryDatum) -> None:
        """Take a datum: its brightness, or if it has none, its limit. A limit beside a brightness is about the image alone."""
        time = mjd(datum.timestamp)
        if datum.brightness is not None:
            self.times.append(time)
            self.values.append(datum.brightness)
            self.errors.append(max(datum.brightness_error or 0.0, 0.0))  # a negative one says that there is none
        elif datum.limit is not None:
            self.limit_times.append(time)
            self.limits.append(datum.limit)

    def extend(self, other: "Points") -> None:
        """Take other points, too."""
        for name in ("times", "values", "errors", "limit_times", "limits"):
            getattr(self, name).extend(getattr(other, name))


@dataclass(frozen=True, slots=True)
class Series:
    """A bandpass in a panel."""

    bandpass: str
    style: Style
    points: Points


@dataclass(frozen=True, slots=True)
class Panel:
    """All that is in one unit."""

    unit: str
    series: tuple[Series, ...]

    @property
    def is_upside_down(self) -> bool:
        """Whether less is brighter."""
        return is_magnitude(self.unit)


class LightCurve:
    """What was shared of a target's photometry. Feed it with datums of this target that differ from each other.

    Parameters
    ----------
    name
        The target's name or one of its aliases.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._points: dict[tuple[str, str], Points] = {}
        self.names: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.others = 0
        self.extreme = 0

    def __len__(self) -> int:
        return sum(map(len, self._points.values()))

    def add(self, row: DatumRow) -> None:
        """Take a datum of the target; one that is no photometry is counted."""
        if not isinstance(row.datum, PhotometryDatum):
            self.others += 1
            return
        if any(abs(value or 0.0) > LARGEST for value in (row.datum.brightness, row.datum.limit, row.datum.brightness_error)):
            self.extreme += 1
            return
        self.names[row.target.name] += 1
        self.sources[row.sighting.event.body.tom.name] += 1
        key = named_unit(row.datum.unit), row.datum.bandpass.strip() or NO_BANDPASS
        self._points.setdefault(key, Points()).add(row.datum)

    @property
    def title(self) -> str:
        """The name under which most of it was shared."""
        return self.names.most_common(1)[0][0] if self.names else self.name

    @property
    def subtitle(self) -> str:
        """How much it is, and whose."""
        sources = [name for name, _count in self.sources.most_common()]
        more = f" and {len(sources) - 3:,} more" if len(sources) > 3 else ""
        count = f"{len(self):,} datum{'' if len(self) == 1 else 's'}"
        first, last = (_day(time) for time in self.extent)
        return f"{count} from {', '.join(sources[:3])}{more}, {first if first == last else f'{first} to {last}'}"

    @property
    def extent(self) -> tuple[float, float]:
        """First and last time, as modified Julian dates; there has to be a datum."""
        times = [time for points in self._points.values() for column in (points.times, points.limit_times) for time in column]
        return min(times), max(times)

    def panels(self) -> tuple[Panel, ...]:
        """Return what is to be drawn: magnitudes first, then by number of datums."""
        counts = self._counted(0)
        units = sorted(counts, key=lambda unit: (not is_magnitude(unit), -counts[unit], unit))
        kept = set(sorted(counts, key=lambda unit: (-counts[unit], unit))[:MOST_PANELS])
        told = self._told_apart()
        known = styles(told)
        return tuple(Panel(unit, tuple(self._series(unit, known))) for unit in units if unit in kept)

    @property
    def undrawn(self) -> int:
        """Datums in units that have no panel."""
        return len(self) - sum(len(series.points) for panel in self.panels() for series in panel.series)

    def _counted(self, part: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for key, points in self._points.items():
            found[key[part]] += len(points)
        return found

    def _told_apart(self) -> list[str]:
        counts = self._counted(1)
        return sorted(counts, key=lambda bandpass: (-counts[bandpass], bandpass))[:MOST_BANDPASSES]

    def _series(self, unit: str, known: Mapping[str, Style]) -> Iterable[Series]:
        others = Points()
        for bandpass, style in known.items():
            if (unit, bandpass) in self._points:
                yield Series(bandpass, style, self._points[unit, bandpass])
        for (its_unit, bandpass), points in self._points.items():
            if its_unit == unit and bandpass not in known:
                others.extend(points)
        if others:
            yield Series(OTHERS, Style("#9a9a9a", "."), others)


def styles(bandpasses: Iterable[str]) -> dict[str, Style]:
    """Return how bandpasses look, in the order of a legend: from blue to red as far as we know, then by name.

    A bandpass looks the same wherever it is drawn: as its letter does, or if we do not know that, as its name gives. Only if
    two of them would look the same, one has another marker. There are looks for some 90.
    """
    found: dict[str, Style] = {}
    for bandpass in sorted(bandpasses, key=_rank):
        look = _LOOKS.get(_letter(bandpass)) or _unknown(bandpass)
        found[bandpass] = next(style for style in _candidates(look) if style not in found.values())
    return found


def _day(time: float) -> str:
    return (MJD_0 + timedelta(days=min(int(time // 1), _LAST_DAY))).date().isoformat()


def _unknown(bandpass: str) -> Style:
    number = int.from_bytes(blake2b(bandpass.encode(), digest_size=4).digest())
    return Style(_SPARE[number % len(_SPARE)], _MARKERS[number // len(_SPARE) % len(_MARKERS)])


def _candidates(look: Style) -> Iterable[Style]:
    """Yield a look, and what else there is if that is taken, first in the same colour."""
    yield look
    yield from (Style(look.colour, marker) for marker in _MARKERS)
    yield from (Style(spare, marker) for marker in _MARKERS for spare in _SPARE)


def _rank(bandpass: str) -> tuple[int, bool, str]:
    letter = _letter(bandpass)
    return (list(_LOOKS).index(letter) if letter else len(_LOOKS)), bandpass != letter, bandpass


def _letter(bandpass: str) -> str:
    """Return the known filter that a name is of, such as ``r`` of ``ZTF r`` and ``r'``, or nothing."""
    words = re.findall(r"[A-Za-z0-9]+", bandpass)
    return next((word for word in (bandpass, *reversed(words)) if word in _LOOKS), "")


_LOOKS: Mapping[str, Style] = MappingProxyType({name: Style(*look.split()) for name, look in {
        "UVW2": "#8e24aa h", "UVM2": "#6a1b9a p", "UVW1": "#5e35b1 D", "NUV": "#7b1fa2 X", "u": "#6639b6 P",
        "up": "#6639b6 P", "U": "#4527a0 p", "B": "#1e5bc6 h", "BP": "#1565c0 p", "g": "#1b8a3a s",
        "gp": "#1b8a3a s", "c": "#00838f s", "V": "#558b2f s", "G": "#2e6b57 h", "w": "#6d6d2a X",
        "L": "#8d6e00 P", "o": "#e06c00 o", "r": "#d32f2f o", "rp": "#d32f2f o", "R": "#b71c1c o",
        "RP": "#a32020 ^", "i": "#8d4a1f D", "ip": "#8d4a1f D", "I": "#6d3a17 D", "z": "#4a4a4a ^",
        "zs": "#4a4a4a ^", "Z": "#4a4a4a ^", "y": "#1a1a1a X", "Y": "#1a1a1a X", "J": "#ad1457 s",
        "H": "#880e4f o", "K": "#5a0a35 D", "Ks": "#5a0a35 D", "W1": "#7a4b00 ^", "W2": "#4e342e p",
    }.items()})  # fmt: skip
"""Filters from short to long wavelengths, in colours that remind of their light and are dark enough for white paper. Those that
are seen together have different markers, for not everybody tells red from green."""
_SPARE = (
    "#1f6fb2", "#c2410c", "#0f766e", "#6d4ec2", "#be185d", "#4d7c0f",
    "#92610e", "#991b1b", "#1e40af", "#0e7490", "#5b4636", "#3f3f46",
)  # fmt: skip
_MARKERS = ("o", "s", "D", "^", "P", "X", "p", "h")
