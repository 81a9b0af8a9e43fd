"""Rows of Hermes' tables -> reduced datums.

A datum has one unit for its brightness, error and limit. What nobody says stays unsaid: Hermes fills its defaults in by itself,
so a row without a unit has not been through Hermes, and whoever wrote it did not say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from bridge.codecs.hermes.datum_block import UNKNOWN
from bridge.codecs.hermes.fields import Fields, Refusal
from bridge.codecs.hermes.message import BridgeNotes
from bridge.codecs.hermes.units import angle_unit, brightness_unit, flux_unit, same_unit, unsaid, wavelength_unit
from bridge.codecs.hermes.values import Unreadable, declination, moment, numbers, right_ascension
from bridge.codecs.hermes.vocabulary import FLUX_TYPES
from bridge.events import AstrometryDatum, PhotometryDatum, ReducedDatum, SpectroscopyDatum

__all__ = ["READERS", "Said"]

DEFAULT_BRIGHTNESS = "AB mag"
"""What Hermes fills in for either unit of a photometric row, whether there is a number for it or not."""
_STANDS_FOR_UNSAID = {
    "brightness": DEFAULT_BRIGHTNESS,
    "flux": "erg / s / cm² / Å",
    "wavelength": "Å",
    "ra_error": "degrees",
    "dec_error": "degrees",
}
"""What the bridge sends for a unit that its TOM does not say, and then notes."""
_IMPLIED_BY: Mapping[str, tuple[str, ...]] = {"erg / (Angstrom s cm2)": FLUX_TYPES[:2], "mJy": FLUX_TYPES[2:]}
"""A flux's unit -> the ``flux_type`` that it has anyway; Hermes fills one in, right or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message says of all its rows.

    Parameters
    ----------
    notes
        The bridge's own notes, if it wrote the message.
    from_tom_toolkit
        Whether TOM Toolkit wrote it.
    """

    notes: BridgeNotes | None = None
    from_tom_toolkit: bool = False

    def unit(self, of: str, written: str, translate: Callable[[str], str]) -> str:
        """Return a unit as a TOM's datum has it: in the source TOM's own spelling, if the bridge noted that and it agrees."""
        noted = self.notes.unit(of) if self.notes else None
        if noted is not None and (same_unit(noted, written) or (unsaid(noted) and same_unit(written, _STANDS_FOR_UNSAID[of]))):
            return noted
        return translate(written)

    def word(self, text: str) -> str:
        """Return a text that Hermes requires, which the bridge sends even where its TOM has none."""
        return "" if self.notes and text == UNKNOWN else text


def photometry(row: Fields, said: Said) -> PhotometryDatum:
    """Return a brightness, a limit, or both if they are in one unit."""
    when = row.need("date_obs", moment, "bad_date")
    brightness, limit = row.number("brightness"), row.number("limiting_brightness")
    if brightness is None and limit is None:
        given = " and ".join(key for key in ("brightness", "limiting_brightness") if key in row.rest)
        raise Refusal("no_measurement", f"{given}: a number is expected" if given else "neither a brightness nor a limit")
    unit, limit_unit = _units(row, said)
    if brightness is None:
        stated, idle = _unit_of_limit(unit, limit_unit, said), ("brightness_unit", unit)
    elif limit is not None and not same_unit(unit, limit_unit):  # nor if only one says its unit: the other may be in any
        row.rest |= {"limiting_brightness": limit} | ({"limiting_brightness_unit": limit_unit} if limit_unit else {})
        stated, idle, limit = unit, ("", ""), None
    else:
        stated, idle = unit, ("limiting_brightness_unit", limit_unit)
    if not _says_nothing(idle[1], stated):
        row.rest[idle[0]] = idle[1]
    limit_error = row.number("limiting_brightness_error")  # share events have no field for it
    if limit_error is not None:
        row.rest["limiting_brightness_error"] = limit_error
    return PhotometryDatum(
        timestamp=when,
        brightness=brightness,
        brightness_error=row.number("brightness_error"),
        limit=limit,
        unit=said.unit("brightness", stated, brightness_unit),
        bandpass=said.word(row.text("bandpass")),
        exposure_time=row.number("exposure_time"),
        **_instrumented(row, said),
    )


def _units(row: Fields, said: Said) -> tuple[str, str]:
    """Return the unit of a row's brightness, and that of its limit.

    SkyPortal's ``unit`` is that of the whole row, where nothing else is said, and so is the ``brightness_unit`` of TOM Toolkit.
    """
    unit, limit_unit, of_row = row.text("brightness_unit"), row.text("limiting_brightness_unit"), row.text("unit")
    if unit and of_row and not same_unit(unit, of_row):
        row.rest["unit"], of_row = of_row, ""
    of_row = of_row or (unit if said.from_tom_toolkit else "")
    return unit or of_row, limit_unit or of_row


def _unit_of_limit(unit: str, limit_unit: str, said: Said) -> str:
    """Return the unit of a limit that stands alone.

    TOM Toolkit 2.x says ``brightness_unit`` alone, and Hermes then fills in AB magnitudes for the limit, whatever it is in.
    """
    if said.from_tom_toolkit and unit and same_unit(limit_unit, DEFAULT_BRIGHTNESS):
        return unit
    return limit_unit or unit


def _says_nothing(unit: str, stated: str) -> bool:
    """Whether a unit that belongs to no number can go: it is what Hermes fills in, or the unit of the numbers."""
    return not unit or same_unit(unit, DEFAULT_BRIGHTNESS) or same_unit(unit, stated)


def spectroscopy(row: Fields, said: Said) -> SpectroscopyDatum:
    """Return a spectrum that stands in the message. Files are never fetched."""
    when = row.need("date_obs", moment, "bad_date")
    if "flux" not in row.rest and "file_info" in row.rest:
        raise Refusal("only_in_file", "the spectrum is in a file, and no file that a message names is fetched")
    flux = row.need("flux", numbers, "no_measurement")
    wavelength = row.need("wavelength", numbers, "no_measurement")
    if len(flux) != len(wavelength):
        raise Refusal("no_measurement", f"{len(flux):,} values of flux for {len(wavelength):,} wavelengths")
    written = row.text("flux_units")
    unit = said.unit("flux", written, flux_unit)
    if row.rest.get("flux_type") in _IMPLIED_BY.get(flux_unit(written), ()):
        del row.rest["flux_type"]
    if "proprietary_period" not in row.rest:
        row.rest.pop("proprietary_period_units", None)  # Hermes fills it in
    return SpectroscopyDatum(
        timestamp=when,
        flux=flux,
        wavelength=wavelength,
        flux_error=row.take("flux_error", lambda value: _as_many(value, len(flux))) or (),
        flux_unit=unit,
        wavelength_unit=said.unit("wavelength", row.text("wavelength_units"), wavelength_unit),
        setup=row.text("setup"),
        exposure_time=row.number("exposure_time"),
        **_instrumented(row, said),
    )


def _as_many(value: JsonValue, length: int) -> tuple[float, ...]:
    found = numbers(value)
    if len(found) != length:
        raise Unreadable(f"{length:,} numbers are expected")
    return found


def astrometry(row: Fields, said: Said) -> AstrometryDatum:
    """Return a position in degrees."""
    when = row.need("date_obs", moment, "bad_date")
    ra, dec = row.need("ra", right_ascension, "bad_position"), row.need("dec", declination, "bad_position")
    errors: dict[str, Any] = {}
    for key in ("ra_error", "dec_error"):
        error, unit = row.number(key), row.text(f"{key}_units")
        if error is not None:
            errors |= {key: error, f"{key}_units": said.unit(key, unit, angle_unit)}
        elif key in row.rest and unit:  # an error that is no number stays as it is, with its unit
            row.rest[f"{key}_units"] = unit
    return AstrometryDatum(timestamp=when, ra=ra, dec=dec, **errors, **_instrumented(row, said))


def _instrumented(row: Fields, said: Said) -> dict[str, Any]:
    """Return what all rows have, and all that nobody has taken; so it comes last."""
    known = {key: row.text(key) for key in ("telescope", "instrument", "reduction_version")}
    return {**known, "telescope": said.word(known["telescope"]), "extra": row.rest}


READERS: Mapping[str, Callable[[Fields, Said], ReducedDatum]] = {
    "photometry": photometry,
    "spectroscopy": spectroscopy,
    "astrometry": astrometry,
}
"""Table -> what reads its rows."""
