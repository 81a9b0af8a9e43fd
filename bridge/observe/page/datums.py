"""The datums of one target, each once, in bounded memory: how many of which type, and its light curve as it is to be drawn."""

import json
from collections import Counter
from typing import Any

from bridge.events import PhotometryDatum, utc_text
from bridge.observe.curves import LARGEST, MOST_PANELS
from bridge.observe.lightcurves import DatumRow
from bridge.observe.page.lines import short
from bridge.observe.units import is_magnitude, named_unit

__all__ = ["MOST_DATUMS", "MOST_POINTS", "MOST_SERIES", "Datums"]

MOST_POINTS = 10_000
"""Points of a light curve; those that come beyond it are counted."""
MOST_DATUMS = 30_000
"""Datums that are told apart, so that each counts once."""
MOST_SERIES = 16
"""Filters, each in its unit, that have a colour and a marker of their own; the others are grey together, and counted."""
MOST_TYPES = 50


class Datums:
    """What was measured. Not for several threads."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self._seen: set[bytes] = set()
        self._series: dict[tuple[str, str], int] = {}
        self._counts: Counter[int] = Counter()
        self._points: list[str] = []
        self._left_out = 0

    def add(self, row: DatumRow) -> None:
        """Take a datum of the target, unless it is known."""
        datum = row.datum
        if row.digest in self._seen:
            return
        if len(self._seen) >= MOST_DATUMS:
            self._left_out += isinstance(datum, PhotometryDatum)
            return
        self._seen.add(row.digest)
        kind = short(datum.data_type)
        self.types[kind if kind in self.types or len(self.types) < MOST_TYPES else "others"] += 1
        if not isinstance(datum, PhotometryDatum):
            return
        numbers = (datum.brightness, datum.brightness_error, datum.limit)
        if len(self._points) >= MOST_POINTS or any(abs(number or 0.0) > LARGEST for number in numbers):
            self._left_out += 1
            return
        key = short(datum.bandpass.strip(), 60), short(named_unit(datum.unit), 60)
        series = self._series.setdefault(key, len(self._series))
        self._counts[series] += 1
        error = datum.brightness_error or 0.0
        point = (
            utc_text(datum.timestamp),
            datum.brightness,
            error if error > 0 else None,  # a negative one says that there is none
            datum.limit,
            series,
            short(row.sighting.event.body.tom.name, 100),
        )
        self._points.append(json.dumps(point, ensure_ascii=False))  # a third of the memory that the values take

    def curve(self) -> dict[str, Any]:
        """Return how the points are to be drawn.

        ``panels`` are the units that have one, magnitudes first, then by number of points. ``series`` are filters in their
        units, in the order in which points name them; ``look`` numbers those that have a look of their own. ``left_out`` counts
        what is not drawn, in a unit without a panel, too.
        """
        counts: Counter[str] = Counter()
        for (_bandpass, unit), series in self._series.items():
            counts[unit] += self._counts[series]
        kept = sorted(counts, key=lambda unit: (-counts[unit], unit))[:MOST_PANELS]
        panels = sorted(kept, key=lambda unit: (not is_magnitude(unit), -counts[unit], unit))
        looks = self._looks(panels)
        return {
            "panels": [{"unit": unit, "is_magnitude": is_magnitude(unit)} for unit in panels],
            "series": [
                {"bandpass": bandpass, "unit": unit, "count": self._counts[series], "look": looks.get(series)}
                for (bandpass, unit), series in self._series.items()
            ],
            "left_out": self._left_out + sum(counts[unit] for unit in counts if unit not in panels),
        }

    def points(self) -> str:
        """Return the points as a JSON array, by time: when, brightness, error, limit, number of the series, source TOM."""
        return f"[{','.join(sorted(self._points))}]"  # each begins with its time

    def _looks(self, panels: list[str]) -> dict[int, int]:
        drawn = [(key, series) for key, series in self._series.items() if key[1] in panels]
        most = sorted(drawn, key=lambda one: (-self._counts[one[1]], one[0]))[:MOST_SERIES]
        most.sort(key=lambda one: (panels.index(one[0][1]), one[0][0]))
        return {series: look for look, (_key, series) in enumerate(most)}
