"""A TOM's target as a row of ``data.targets``, which Hermes' rules accept."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bridge.codecs.hermes.losses import Losses
from bridge.codecs.hermes.units import ZERO_STANDS_AS, scaled
from bridge.codecs.hermes.vocabulary import ANGLES, PERIODS, TRANSIENT_TYPES
from bridge.errors import Rejected
from bridge.events import TargetIdentity

__all__ = ["NO_FIELD", "TargetBlock", "hermes_text", "is_number", "target_block", "within_turn"]

NO_FIELD = "Hermes has no field for it"
IN_NOTES = f"{NO_FIELD}; it goes along in data.tom_bridge, where anybody can see it, and only the bridge reads it"
IN_ARCSEC = "it goes out in arcseconds, as Hermes documents; TOMs that read it without the bridge take it for milliarcseconds"
_YEARS = (1800.0, 2200.0)
"""A number between these is taken for a year where an epoch is meant."""
_MJD = (3000.0, 150_000.0)
"""Between these it is a modified Julian date to everybody; Hermes takes smaller ones, but people a year."""
_JD = (2_400_000, 2_600_000)
"""Between these Hermes takes it for a Julian date."""
_BOOKKEEPING = {"name", "type", "aliases", "primary_key", "scheme", "extras"}
_SIDEREAL = {"ra", "dec", "epoch", "pm_ra", "pm_dec"}
_ELEMENTS: Mapping[str, tuple[str, float, float]] = {
    "inclination": ("orbital_inclination", 0.0, 180.0),
    "lng_asc_node": ("longitude_of_the_ascending_node", 0.0, 360.0),
    "arg_of_perihelion": ("argument_of_the_perihelion", 0.0, 360.0),
    "eccentricity": ("eccentricity", 0.0, math.inf),
    "semimajor_axis": ("semimajor_axis", -math.inf, math.inf),
    "mean_anomaly": ("mean_anomaly", 0.0, 360.0),
    "perihdist": ("perihelion_distance", -math.inf, math.inf),
}
"""Our fields -> Hermes', and between which numbers it takes them."""
_DATES = {"epoch_of_elements": "epoch_of_elements", "epoch_of_perihelion": "epoch_of_perihelion"}
_REQUIRED = {"epoch_of_elements", "inclination", "lng_asc_node", "arg_of_perihelion", "eccentricity"}
_PAIRS = ({"semimajor_axis", "mean_anomaly"}, {"perihdist", "epoch_of_perihelion"})
_EXTRA_NUMBERS = {"redshift", "host_redshift", "ra_error", "dec_error"}
_EXTRA_TEXTS = {"host_name", "comments"}
_DISCOVERY_TEXTS = {"reporting_group", "discovery_source", "nondetection_source", "nondetection_comments"}
_DISCOVERY_CHOICES = {"transient_type": TRANSIENT_TYPES, "proprietary_period_units": PERIODS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetBlock:
    """A target as it goes to Hermes.

    Parameters
    ----------
    row
        For ``data.targets``.
    notes
        What Hermes has no field for, by our names: for ``data.tom_bridge``. Readers with the bridge get it back.
    units
        Units that a reader has to know.
    """

    row: dict[str, Any]
    notes: dict[str, Any]
    units: dict[str, str]


def hermes_text(text: Any) -> str | None:
    """Return a text as Hermes keeps it, without white space around it, or None if it refuses it."""
    if not isinstance(text, str) or "\x00" in text:
        return None
    return text.strip() or None


def within_turn(degrees: float) -> float:
    """Return an angle from 0 up to 360, the same one."""
    turned = degrees % 360.0
    return 0.0 if turned >= 360.0 else turned  # a tiny negative angle is rounded up


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that Hermes takes."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def target_block(target: TargetIdentity, *, lists: Iterable[str], losses: Losses) -> TargetBlock:
    """Return a target for Hermes.

    Parameters
    ----------
    target
        Whole, or its identity alone.
    lists
        Names of the target lists that it is in.
    losses
        Is told what is not carried.

    Raises
    ------
    Rejected
        ``no_position`` if Hermes would refuse it: a position has right ascension and declination, an orbit all elements.
    """
    row: dict[str, Any] = {"name": target.name.strip()}
    given = {
        name: value
        for name, value in target.model_dump(mode="json", exclude=_BOOKKEEPING, exclude_none=True).items()
        if value not in ("", [], {})
    }
    sidereal = target.type == "SIDEREAL"
    found = _position(given) if sidereal else _orbit(given)
    if not found:
        needs = "a right ascension and a declination" if sidereal else "complete orbital elements"
        raise Rejected("no_position", f"{target.name!r}: Hermes takes a target only with {needs}")
    carried = set[str]()
    for names, fields in (found, _motion(given) if sidereal else ({}, {}), _distance(given)):
        row |= fields
        carried |= {*names}
    units = {"proper_motion": "arcsec/yr"} if {"pm_ra", "pm_dec"} & row.keys() else {}
    texts = _texts(row, target.aliases, "aliases", losses)
    row |= texts | _texts(row, lists, "group_associations", losses)
    extras = dict(getattr(target, "extras", {}))
    row |= _extras(extras)
    left = {name: value for name, value in given.items() if name not in carried}
    left_extras = {key: text for key, text in extras.items() if key not in row}
    for name in (*left, *(f"extras.{key}" for key in left_extras)):
        losses.add(f"target.{name}", IN_NOTES)
    for name in [name for name in ("pm_ra", "pm_dec") if row.get(name)]:
        losses.add(f"target.{name}", IN_ARCSEC)
    notes = {"type": target.type, **({"scheme": target.scheme} if target.scheme else {}), **left}
    return TargetBlock(row=row, notes=notes | ({"extras": left_extras} if left_extras else {}), units=units)


_Found = tuple[Iterable[str], dict[str, Any]]
"""Our fields that are carried, and Hermes' fields that carry them."""


def _position(given: Mapping[str, Any]) -> _Found | None:
    if "ra" not in given or not -90.0 <= given.get("dec", 999.0) <= 90.0:
        return None
    return {"ra", "dec"}, {"ra": within_turn(given["ra"]), "dec": given["dec"]}


def _motion(given: Mapping[str, Any]) -> _Found:
    fields: dict[str, Any] = {name: scaled(given[name], 1e-3) for name in ("pm_ra", "pm_dec") if name in given}
    if "epoch" in given and _YEARS[0] <= given["epoch"] <= _YEARS[1]:
        fields["epoch"] = repr(given["epoch"])
    return [*fields], fields


def _orbit(given: Mapping[str, Any]) -> _Found | None:
    fields: dict[str, Any] = {}
    for name, (theirs, low, high) in _ELEMENTS.items():
        value = given.get(name)
        if value is not None and high == 360.0 and not low <= value <= high:
            value = within_turn(value)
        if value is not None and low <= value <= high:
            in_pair = any(name in pair for pair in _PAIRS)
            fields[name] = theirs, ZERO_STANDS_AS if in_pair and value == 0 else value
    for name, theirs in _DATES.items():
        date = _date(given[name]) if name in given else None
        if date is not None:
            fields[name] = theirs, date
    if not fields.keys() >= _REQUIRED or not any(fields.keys() >= pair for pair in _PAIRS):
        return None
    return [*fields], {"orbital_elements": dict(fields.values())}


def _date(mjd: float) -> str | None:
    """Return an MJD as Hermes takes it: as it is, or as a Julian date where it would not be taken for one."""
    if _MJD[0] < mjd < _MJD[1]:
        return repr(mjd)
    days = Decimal(repr(mjd)) + Decimal("2400000.5")
    return str(days) if _JD[0] < days < _JD[1] else None


def _distance(given: Mapping[str, Any]) -> _Found:
    sent = {ours: theirs for ours, theirs in (("distance", "distance"), ("distance_err", "distance_error")) if ours in given}
    fields = {theirs: given[ours] for ours, theirs in sent.items()}
    return [*sent], fields | ({"distance_units": "pc"} if fields else {})


def _texts(row: Mapping[str, Any], texts: Iterable[str], name: str, losses: Losses) -> dict[str, list[str]]:
    kept = [hermes_text(text) for text in texts]
    if None in kept:
        losses.add(f"target.{name}", "a name of white space alone, or with a NUL in it, is none to Hermes")
    names = [text for text in dict.fromkeys(kept) if text is not None and (name != "aliases" or text != row["name"])]
    return {name: names} if names else {}


def _extras(extras: Mapping[str, str]) -> dict[str, Any]:
    """Return the extras that Hermes has a field for: the same names, and values as the reader of Hermes makes them texts."""
    fields: dict[str, Any] = {}
    for key, text in extras.items():
        if key in _EXTRA_NUMBERS:
            fields[key] = _number(text)
        elif key in _EXTRA_TEXTS:
            fields[key] = hermes_text(text)
        elif key in {"ra_error_units", "dec_error_units"}:
            fields[key] = text if text in ANGLES else None
        elif key == "new_discovery":
            fields[key] = True if text.lower() == "true" else None  # that it is none is what Hermes says by itself
        elif key == "discovery_info":
            fields[key] = _discovery(text)
    return {key: value for key, value in fields.items() if value is not None}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None  # only Python takes 1_0 for 10


def _discovery(text: str) -> dict[str, Any] | None:
    """Return a report of a discovery if Hermes takes all of it, else None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found and all(_is_discovery(*item) for item in found.items()) else None


def _is_discovery(key: str, value: Any) -> bool:
    if key in _DISCOVERY_TEXTS:
        return isinstance(value, str) and hermes_text(value) == value
    if key == "proprietary_period":
        return is_number(value)
    if key == "date":
        return _is_date(value)
    return isinstance(value, str) and value in _DISCOVERY_CHOICES.get(key, ())


def _is_date(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return "-" in value  # or Hermes takes it for a Julian date
