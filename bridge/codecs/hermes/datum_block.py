"""A TOM's reduced datum as a row of ``data.photometry``, ``data.spectroscopy`` or ``data.astrometry``."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bridge.codecs.hermes.losses import Losses
from bridge.codecs.hermes.target_block import NO_FIELD, hermes_text, is_number, within_turn
from bridge.codecs.hermes.units import (
    ZERO_STANDS_AS,
    Outgoing,
    angle_to_hermes,
    angle_unit,
    brightness_to_hermes,
    brightness_unit,
    flux_to_hermes,
    flux_unit,
    scaled,
    unsaid,
    wavelength_to_hermes,
    wavelength_unit,
)
from bridge.codecs.hermes.vocabulary import FLUX_TYPES, PERIODS, SPECTRUM_TYPES
from bridge.events import AstrometryDatum, OtherDatum, PhotometryDatum, ReducedDatum, SpectroscopyDatum, utc_text

__all__ = ["UNKNOWN", "Row", "row_of"]

UNKNOWN = "unknown"
"""Stands where Hermes needs a text and the TOM has none."""

_EXTRA_TEXTS: Mapping[str, frozenset[str]] = {
    "photometry": frozenset({"observer", "comments", "catalog"}),
    "spectroscopy": frozenset({"classification", "comments", "observer", "reducer"}),
    "astrometry": frozenset({"mpc_sitecode", "catalog", "comments"}),
}
_PER_ANGSTROM, _, _PER_HERTZ, _ = FLUX_TYPES
_EXTRA_CHOICES: Mapping[str, Sequence[str]] = {
    "spec_type": SPECTRUM_TYPES,
    "flux_type": FLUX_TYPES,
    "proprietary_period_units": PERIODS,
}
"""Of spectra."""

_Typed: TypeAlias = PhotometryDatum | SpectroscopyDatum | AstrometryDatum


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A datum as it goes to Hermes.

    Parameters
    ----------
    number
        The datum's, in the event.
    table
        ``photometry``, ``spectroscopy`` or ``astrometry``.
    fields
        The row.
    units
        The TOM's own words for units, where Hermes' would be read otherwise.
    """

    number: int
    table: str
    fields: dict[str, Any]
    units: dict[str, str]


def row_of(datum: ReducedDatum, number: int, *, target_name: str, losses: Losses) -> Row | None:
    """Return a datum's row, or None if Hermes cannot carry it.

    Parameters
    ----------
    datum, number
        The datum, and its number in the event.
    target_name
        The name that ``data.targets`` has.
    losses
        Is told what is not carried.
    """
    if isinstance(datum, OtherDatum):
        losses.add("datum", f"Hermes has no table for {datum.data_type!r}, or not for what this one holds", number)
        return None
    writing = _Writing(number, losses)
    fields = writing.common(datum, target_name)
    try:
        if isinstance(datum, PhotometryDatum):
            fields |= writing.photometry(datum)
        elif isinstance(datum, SpectroscopyDatum):
            fields |= writing.spectroscopy(datum)
        else:
            fields |= writing.astrometry(datum)
    except _NotCarriedError as error:
        losses.add("datum", str(error), number)
        return None
    writing.say_losses(datum, fields)
    return Row(number=number, table=datum.data_type, fields=fields, units=writing.units)


class _NotCarriedError(Exception):
    """Hermes would refuse the row."""


class _Writing:
    """One row in the making."""

    def __init__(self, number: int, losses: Losses) -> None:
        self._number = number
        self._losses = losses
        self._small: list[tuple[str, str]] = []
        self.units: dict[str, str] = {}

    def common(self, datum: _Typed, target_name: str) -> dict[str, Any]:
        """Return what all rows have."""
        fields: dict[str, Any] = {"target_name": target_name, "date_obs": utc_text(datum.timestamp)}
        fields |= self._texts(datum, ("telescope", "instrument"))
        if "telescope" not in fields and "instrument" not in fields:
            self._note("datum.telescope", f"Hermes needs a telescope or an instrument, and so is told {UNKNOWN!r}")
            fields["telescope"] = UNKNOWN
        return fields

    def photometry(self, datum: PhotometryDatum) -> dict[str, Any]:
        """Return a brightness or limit."""
        fields: dict[str, Any] = self._texts(datum, ("bandpass",))
        if not fields:
            self._note("datum.bandpass", f"Hermes needs a bandpass, and so is told {UNKNOWN!r}")
            fields = {"bandpass": UNKNOWN}
        unit = self._unit("unit", datum.unit, brightness_to_hermes, brightness_unit, "brightness")
        for name, value in (("brightness", datum.brightness), ("limiting_brightness", datum.limit)):
            if value is not None:
                fields[name] = self._scaled(value, unit) or ZERO_STANDS_AS
        errors = {"brightness_error": datum.brightness_error, "limiting_brightness_error": _limit_error(datum)}
        fields |= {name: self._scaled(value, unit) for name, value in errors.items() if value is not None}
        fields["brightness_unit"] = unit.unit  # TOMs that read Hermes need it of a limit, too, and Hermes would fill one in
        if datum.limit is not None:
            fields["limiting_brightness_unit"] = unit.unit
        return fields | _exposure(datum.exposure_time) | _extra_texts(datum)

    def spectroscopy(self, datum: SpectroscopyDatum) -> dict[str, Any]:
        """Return a spectrum."""
        flux = self._unit("flux_unit", datum.flux_unit, flux_to_hermes, flux_unit, "flux")
        wavelength = self._unit("wavelength_unit", datum.wavelength_unit, wavelength_to_hermes, wavelength_unit, "wavelength")
        fields = self._texts(datum, ("setup",)) | _exposure(datum.exposure_time)
        fields |= {"flux": self._several(datum.flux, flux)}
        if datum.flux_error:
            fields["flux_error"] = self._several(datum.flux_error, flux)
        fields |= {
            "flux_units": flux.unit,
            "wavelength": self._several(datum.wavelength, wavelength),
            "wavelength_units": wavelength.unit,
            "flux_type": _PER_HERTZ if flux.unit == "mJy" else _PER_ANGSTROM,
        }
        period = datum.extra.get("proprietary_period")
        if is_number(period):
            fields["proprietary_period"] = period
        for name, choices in _EXTRA_CHOICES.items():
            chosen = datum.extra.get(name)
            if isinstance(chosen, str) and chosen in choices:
                fields[name] = chosen
        return fields | _extra_texts(datum)

    def astrometry(self, datum: AstrometryDatum) -> dict[str, Any]:
        """Return a position."""
        if not -90.0 <= datum.dec <= 90.0:
            raise _NotCarriedError("a declination has to be between -90 and 90 degrees")
        fields: dict[str, Any] = {"ra": within_turn(datum.ra), "dec": datum.dec}
        for name, value, text in (
            ("ra_error", datum.ra_error, datum.ra_error_units),
            ("dec_error", datum.dec_error, datum.dec_error_units),
        ):
            if value is not None:
                unit = self._unit(f"{name}_units", text, angle_to_hermes, angle_unit, name)
                fields |= {name: self._scaled(value, unit), f"{name}_units": unit.unit}
        return fields | _extra_texts(datum)

    def say_losses(self, datum: _Typed, fields: Mapping[str, Any]) -> None:
        """Say what of a datum that goes is not carried."""
        for what, why in self._small:
            self._losses.add(what, why, self._number)
        for name in ("reduction_version", "source_name", "source_location"):
            if getattr(datum, name):
                self._losses.add(f"datum.{name}", NO_FIELD, self._number)
        for name, errors in (("ra_error_units", "ra_error"), ("dec_error_units", "dec_error")):
            if getattr(datum, name, "") and errors not in fields:
                self._losses.add(f"datum.{name}", "a unit without a number is not sent", self._number)
        for key in datum.extra:
            if key not in fields:
                self._losses.add(f"datum.extra.{key}", NO_FIELD, self._number)
        for name in datum.model_extra or {}:
            self._losses.add(f"datum.{name}", NO_FIELD, self._number)

    def _note(self, what: str, why: str) -> None:
        self._small.append((what, why))

    def _texts(self, datum: _Typed, names: Iterable[str]) -> dict[str, Any]:
        found = {}
        for name in names:
            given = getattr(datum, name)
            text = hermes_text(given)
            if text is not None:
                found[name] = text
            elif given:
                self._note(f"datum.{name}", "a text of white space alone, or with a NUL in it, is none to Hermes")
        return found

    def _unit(
        self, field: str, text: str, to_hermes: Callable[[str], Outgoing | None], at_toms: Callable[[str], str], note: str
    ) -> Outgoing:
        """Return how numbers go out, and note the TOM's own word if a reader would not come back to it."""
        outgoing = to_hermes(text)
        if outgoing is None:
            raise _NotCarriedError(f"Hermes has no unit that {text!r} could be turned into")
        if outgoing.factor != 1:
            self._note(f"datum.{field}", f"numbers in {text!r} go out in {outgoing.unit!r}")
        elif at_toms(outgoing.unit) != text:
            self.units[note] = text
            if unsaid(text):
                self._note(f"datum.{field}", f"the TOM does not say it; other readers than the bridge see {outgoing.unit!r}")
        return outgoing

    @staticmethod
    def _scaled(value: float, unit: Outgoing) -> float:
        found = scaled(value, unit.factor)
        if not math.isfinite(found):
            raise _NotCarriedError(f"a number is too large for {unit.unit!r}")
        return found

    def _several(self, values: Sequence[float], unit: Outgoing) -> list[float]:
        return list(values) if unit.factor == 1 else [self._scaled(value, unit) for value in values]


def _exposure(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"exposure_time": seconds}


def _limit_error(datum: PhotometryDatum) -> float | None:
    """Return the error of the limit, which Hermes has a field for and a share event has not."""
    found: Any = datum.extra.get("limiting_brightness_error")
    return float(found) if is_number(found) else None


def _extra_texts(datum: _Typed) -> dict[str, Any]:
    """Return the texts among a datum's extras that Hermes has a field for, by the same name."""
    found = {key: datum.extra.get(key) for key in sorted(_EXTRA_TEXTS[datum.data_type])}
    return {key: text for key, text in found.items() if text is not None and hermes_text(text) == text}
