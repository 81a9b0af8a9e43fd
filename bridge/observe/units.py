"""Units as source TOMs write them, and what to do about them: astropy's spelling, and which way is up."""

import re
from collections.abc import Callable, Iterable

from bridge.codecs.hermes.units import brightness_unit, unsaid

__all__ = ["UNSAID", "astropy_unit", "is_magnitude", "named_unit"]

UNSAID = "mag"
"""What a brightness counts as whose unit is not said: TOMs hold magnitudes."""
LONGEST_UNIT = 60
"""Characters of a unit that goes into a file's header; nobody writes longer ones."""

_ASTROPY = {
    "AB mag": "mag(AB)", "ST mag": "mag(ST)", "STmag": "mag(ST)", "STMAG": "mag(ST)", "Vega mag": "mag",
    "degrees": "deg", "°": "deg", "Å": "Angstrom",
}  # fmt: skip
"""As TOMs and we write units -> as astropy does, which knows no magnitudes of Vega's."""
_MICRO = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})
_AMPERE = re.compile(r"(?<![^\W\d_])A(?![^\W\d_])")
"""What astropy takes for an ampere, and everybody else for an angstrom."""
_MAGNITUDE = re.compile(r"\b(m|milli)?mag(s|nitudes?)?\b|^(ab|st|vega)?mag(s|ab|st|vega)?$", re.IGNORECASE)


def named_unit(text: str) -> str:
    """Return a unit of brightness in its one spelling; nothing said is magnitudes of an unknown system, too."""
    return UNSAID if unsaid(text) else brightness_unit(text)


def is_magnitude(unit: str) -> bool:
    """Whether less of it is brighter."""
    return _MAGNITUDE.search(unit.strip()) is not None


def astropy_unit(texts: Iterable[str], read: Callable[[str], str] = brightness_unit) -> str:
    """Return the one unit that all these texts mean, as astropy writes it, or nothing if there is none, or several.

    A text that is no unit at all stays as it is; astropy reads it as an unrecognized unit.

    Parameters
    ----------
    texts
        As TOMs write them.
    read
        Returns what one means; which of `bridge.codecs.hermes.units` it is depends on what it is the unit of.
    """
    meant = {read(text) for text in texts}
    if len(meant) != 1:
        return ""
    [unit] = meant
    found = _AMPERE.sub("Angstrom", _ASTROPY.get(unit, unit).translate(_MICRO))
    is_plain = found.isascii() and found.isprintable() and len(found) <= LONGEST_UNIT
    return found if is_plain else ""
