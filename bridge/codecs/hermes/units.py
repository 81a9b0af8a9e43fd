"""Units: Hermes' words for them, and those of TOMs.

Hermes knows few units, and refuses a row with any other (``hermes/serializers.py``). TOMs write what their users uploaded. What
is not in a table here is read by astropy, where it is installed (every TOM has it; else the extra ``tom-bridge[hermes]``).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from bridge.codecs.hermes.vocabulary import ANGLES, BRIGHTNESSES, FLUXES, WAVELENGTHS

__all__ = [
    "ZERO_STANDS_AS",
    "Outgoing",
    "angle_to_hermes",
    "angle_unit",
    "brightness_to_hermes",
    "brightness_unit",
    "flux_to_hermes",
    "flux_unit",
    "parsecs",
    "proper_motions",
    "same_unit",
    "scaled",
    "unsaid",
    "wavelength_to_hermes",
    "wavelength_unit",
    "zero_again",
]

ZERO_STANDS_AS = 1e-200
"""Goes out for 0.0 where Hermes, and those who read it, take 0 for missing. No measurement comes near it."""
FASTEST_ARCSEC = 11.0
"""No star moves faster, per year (Barnard's star: 10.4); beyond it a proper motion can only be in milliarcseconds."""

_MAGNITUDES = {
    **dict.fromkeys(("ab", "abmag", "magab", "abmags", "abmagnitude", "abmagnitudes", "abflux"), "AB mag"),
    **dict.fromkeys(("vega", "vegamag", "magvega", "vegamags", "vegamagnitude", "vegamagnitudes"), "Vega mag"),
    **dict.fromkeys(("mag", "mags", "magnitude", "magnitudes"), "mag"),
}
"""By their letters alone, in lower case."""
_AT_TOMS = {"erg / s / cm² / Å": "erg / (Angstrom s cm2)", "Å": "Angstrom", "µm": "um"}
"""Hermes' words -> TOMs', which write as astropy does, where they differ."""
_WORDS = {
    "a": "Angstrom", "å": "Angstrom", "aa": "Angstrom", "ang": "Angstrom", "angs": "Angstrom", "angstrom": "Angstrom",
    "angstroms": "Angstrom", "ångström": "Angstrom", "ångströms": "Angstrom",
    "ergs": "erg", "sec": "s", "second": "s", "seconds": "s", "jansky": "Jy", "janskys": "Jy", "hertz": "Hz",
    "nanometer": "nm", "nanometers": "nm", "nanometre": "nm", "nanometres": "nm",
    "\N{GREEK SMALL LETTER MU}m": "um",
    "micron": "um", "microns": "um", "micrometer": "um", "micrometers": "um", "micrometre": "um", "micrometres": "um",
    "degree": "deg", "degrees": "deg", "arcsecond": "arcsec", "arcseconds": "arcsec", "arcsecs": "arcsec",
    "arcminute": "arcmin", "arcminutes": "arcmin", "milliarcsec": "mas", "milliarcsecond": "mas", "milliarcseconds": "mas",
}  # fmt: skip
"""How people write a unit, in lower case -> how astropy does. An ``A`` is no ampere here."""
_SYMBOLS = {"°": "deg", "\N{PRIME}": "arcmin", "'": "arcmin", "\N{DOUBLE PRIME}": "arcsec", '"': "arcsec", "''": "arcsec"}

_AU_METRES = 149_597_870_700.0
_METRES = {
    "cm": 0.01, "m": 1.0, "km": 1000.0, "au": _AU_METRES, "ly": 9_460_730_472_580_800.0, "lyr": 9_460_730_472_580_800.0,
}  # fmt: skip
_PARSECS = {"pc": "1", "kpc": "1e3", "Mpc": "1e6", "Gpc": "1e9"}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """How numbers in a TOM's unit go to Hermes.

    Parameters
    ----------
    unit
        Hermes' word.
    factor
        What the numbers are multiplied with; 1: they stay as they are.
    """

    unit: str
    factor: float = 1.0


def brightness_unit(text: str) -> str:
    """Return the unit of a brightness as TOMs write it; an unknown one as it is, and nothing for nothing."""
    return _MAGNITUDES.get(_letters(text)) or flux_unit(text)


def flux_unit(text: str) -> str:
    """Return the unit of a spectrum's flux as TOMs write it; an unknown one as it is, and nothing for nothing."""
    return _at_toms(text, FLUXES)


def wavelength_unit(text: str) -> str:
    """Return the unit of a spectrum's wavelengths as TOMs write it; an unknown one as it is, and nothing for nothing."""
    return _at_toms(text, WAVELENGTHS)


def angle_unit(text: str) -> str:
    """Return the unit of an error of a position; an unknown one as it is, and nothing for nothing."""
    return _at_toms(text, ANGLES)


def same_unit(one: str, other: str) -> bool:
    """Whether two texts mean one unit; nothing is the same only as nothing."""
    if not one.strip() or not other.strip():
        return one.strip() == other.strip()
    return any(read(one) == read(other) for read in (brightness_unit, wavelength_unit, angle_unit))


def unsaid(text: str) -> bool:
    """Whether a text says no unit: it is empty, or a magnitude of nobody knows which system."""
    return not text.strip() or _MAGNITUDES.get(_letters(text)) == "mag"


def brightness_to_hermes(text: str) -> Outgoing | None:
    """Return how a brightness goes out, or None if Hermes has no unit for it.

    One whose unit the TOM does not say goes as AB magnitudes, as TOM Toolkit's own sharing and Hermes take it.
    """
    if unsaid(text):
        return Outgoing("AB mag")
    magnitude = _MAGNITUDES.get(_letters(text))
    return Outgoing(magnitude) if magnitude else _outgoing(text, FLUXES)


def flux_to_hermes(text: str) -> Outgoing | None:
    """Return how a spectrum's flux goes out; without a unit, in TOM Toolkit's default one."""
    return _outgoing(text, FLUXES) if text.strip() else Outgoing("erg / s / cm² / Å")


def wavelength_to_hermes(text: str) -> Outgoing | None:
    """Return how a spectrum's wavelengths go out; without a unit, in TOM Toolkit's default one."""
    return _outgoing(text, WAVELENGTHS) if text.strip() else Outgoing("Å")


def angle_to_hermes(text: str) -> Outgoing | None:
    """Return how an error of a position goes out; without a unit, in Hermes' default one."""
    return _outgoing(text, ANGLES) if text.strip() else Outgoing("degrees")


def scaled(value: float, factor: float) -> float:
    """Multiply as a person would on paper: 0.00112 times 1000 is 1.12."""
    return value if factor == 1 else float(Decimal(repr(value)) * Decimal(repr(factor)))


def zero_again(value: float) -> float:
    """Return 0.0 for what went out in its place, and everything else as it is."""
    return 0.0 if abs(value) <= ZERO_STANDS_AS else value


def parsecs(value: float, unit: str) -> float | None:
    """Return a distance in parsecs, or None if the unit is none that Hermes has, or the distance is too large for a number."""
    word = unit.strip()
    if word in _PARSECS:
        found = scaled(value, float(_PARSECS[word]))
    elif word.lower() in _METRES:
        found = float(f"{value * (_METRES[word.lower()] / (_AU_METRES * 648_000 / math.pi)):.15g}")
    else:
        return None
    return found if math.isfinite(found) else None


def proper_motions(pm_ra: float | None, pm_dec: float | None, unit: str) -> tuple[float | None, float | None]:
    """Return proper motions in milliarcseconds per year.

    Parameters
    ----------
    pm_ra, pm_dec
        As they came.
    unit
        ``mas/yr`` or ``arcsec/yr``; anything else counts as not said. Then it is arcseconds, as Hermes documents, but where a
        star cannot be as fast as that: TOM Toolkit sends milliarcseconds.
    """
    if unit not in {"mas/yr", "arcsec/yr"}:
        fast = any(abs(motion or 0.0) > FASTEST_ARCSEC for motion in (pm_ra, pm_dec))
        unit = "mas/yr" if fast else "arcsec/yr"
    if unit == "mas/yr":
        return pm_ra, pm_dec
    return _milli(pm_ra), _milli(pm_dec)


def _milli(motion: float | None) -> float | None:
    if motion is None:
        return None
    found = scaled(motion, 1e3)
    return found if math.isfinite(found) else None


def _letters(text: str) -> str:
    """Return a text's letters and digits alone, in lower case."""
    return re.sub(r"[\W_]", "", text).lower()


def _at_toms(text: str, known: tuple[str, ...]) -> str:
    outgoing = _outgoing(text, known)
    if outgoing is None or outgoing.factor != 1:
        return text.strip()
    return _AT_TOMS.get(outgoing.unit, outgoing.unit)


@lru_cache(maxsize=1024)
def _outgoing(text: str, known: tuple[str, ...]) -> Outgoing | None:
    """Return which of Hermes' units a text means, or can be turned into: the very same one, if it is among them."""
    word = text.strip()
    plain = _SYMBOLS.get(word) or _WORDS.get(word.lower(), word)
    if word in known or plain in known:
        return Outgoing(word if word in known else plain)
    unit = _read(word)
    if unit is None:
        return _WITHOUT_ASTROPY[known].get(plain)
    there = ((name, _read(name)) for name in known)
    found = (Outgoing(name, float(f"{unit.to(other):.15g}")) for name, other in there if unit.is_equivalent(other))
    return min((one for one in found if 0 < one.factor < math.inf), key=_digits_lost, default=None)


def _digits_lost(outgoing: Outgoing) -> tuple[bool, float]:
    """Sort powers of ten first, the smallest of them before all: what they multiply keeps its digits."""
    power = math.log10(outgoing.factor)
    return abs(power - round(power)) > 1e-12, abs(power)


_WITHOUT_ASTROPY: Mapping[tuple[str, ...], Mapping[str, Outgoing]] = MappingProxyType(
    {
        BRIGHTNESSES: {},
        FLUXES: {"erg / (Angstrom s cm2)": Outgoing("erg / s / cm² / Å")},
        WAVELENGTHS: {"Angstrom": Outgoing("Å"), "um": Outgoing("µm")},
        ANGLES: {"deg": Outgoing("degrees")},
    }
)


@lru_cache(maxsize=1024)
def _read(text: str) -> Any:
    """Return a unit as astropy reads it, or None: it is none, or there is no astropy."""
    try:
        from astropy import units  # noqa: PLC0415  slow, large, and needed for odd spellings alone
    except ImportError:
        return None
    if len(text) > 100:  # nobody writes such a unit, and a parser may take its time over it
        return None
    spelt = _SYMBOLS.get(text) or re.sub(r"[^\W\d_]+", lambda found: _WORDS.get(found[0].lower(), found[0]), text)
    # "a / b / c" means a / (b c) to everybody, but astropy complains about it.
    first, *divisors = spelt.split("/")
    spelt = f"{first} / ({' '.join(divisors)})" if len(divisors) > 1 and "(" not in spelt else spelt
    try:
        unit = units.Unit(spelt, parse_strict="raise")
    except Exception:  # noqa: BLE001  whatever it is that a parser does not like about a foreign text
        return None
    # Magnitudes are no multiples of a flux, and "AB" and "ST", which are to astropy, are magnitudes to everybody else.
    return unit if isinstance(unit, units.UnitBase) and unit not in {units.AB, units.ST} else None
