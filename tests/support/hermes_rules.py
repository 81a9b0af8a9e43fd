"""What Hermes takes, from its documentation and its ``hermes/serializers.py`` at 6708389; knows nothing of our codec.

`complaints` says what Hermes would refuse, and what it would drop without a word. `published` is what leaves Hermes.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from dateutil.parser import parse

__all__ = ["complaints", "published"]

BRIGHTNESS_UNITS = ["AB mag", "Vega mag", "mJy", "erg / s / cm² / Å"]
FLUX_UNITS = ["mJy", "erg / s / cm² / Å"]
WAVELENGTH_UNITS = ["Å", "nm", "µm", "Hz", "GHz", "THz"]
FLUX_TYPES = ["Fλ", "Flambda", "Fν", "Fnu"]
ANGLE_UNITS = ["degrees", "mas", "arcsec", "arcmin"]
DISTANCE_UNITS = ["cm", "m", "km", "pc", "kpc", "Mpc", "Gpc", "ly", "au"]
PERIOD_UNITS = ["Days", "Months", "Years"]
SPEC_TYPES = ["Object", "Other", "Host", "Synthetic", "Sky", "Arcs"]
TRANSIENT_TYPES = [
    "PSN - Possible SN",
    "NUC - Possibly nuclear",
    "PNV - Possible Nova",
    "AGN - Known AGN",
    "FRB - Fast Radio Burst event",
    "Other - Undefined",
]

Check = Callable[[Any], str | None]


def text(value: Any) -> str | None:
    """DRF's CharField: a text or a number, trimmed, not blank, no NUL, no half characters."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return "not a valid string"
    value = str(value)
    if "\x00" in value:
        return "null characters are not allowed"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "surrogate characters are not allowed"
    return None if value.strip() else "may not be blank"


def text_or_blank(value: Any) -> str | None:
    return None if value == "" else text(value)


def number(value: Any) -> str | None:
    """DRF's FloatField. JSON has no NaN, and Hermes' parser is strict."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return "a valid number is required"
    return None if math.isfinite(found) and not isinstance(value, bool) else "a valid number is required"


def between(low: float, high: float) -> Check:
    return lambda value: number(value) or (None if low <= float(value) <= high else f"not between {low} and {high}")


def choice(*known: str) -> Check:
    return lambda value: None if isinstance(value, str) and value in known else f"{value!r} is not a valid choice"


def numbers(value: Any) -> str | None:
    if not isinstance(value, list):
        return "expected a list"
    return next((found for found in map(number, value) if found), None)


def texts(value: Any) -> str | None:
    if not isinstance(value, list):
        return "expected a list"
    return next((found for found in map(text, value) if found), None)


def truth(value: Any) -> str | None:
    return None if value in (True, False) else "must be a valid boolean"


def date(value: Any) -> str | None:
    """``validate_date``."""
    wrong = text(value)
    if wrong:
        return wrong
    try:
        found = float(value)
    except ValueError:
        try:
            parse(value)
        except ValueError:
            return "does not parse with dateutil.parser.parse"
        return None
    if 2_400_000 < found < 2_600_000 or 1000 < found < 150_000:
        return None
    return "not within the bounds of a JD or MJD"


def right_ascension(value: Any) -> str | None:
    return text(value) or _angle(value, Longitude)


def declination(value: Any) -> str | None:
    return text(value) or _angle(value, Latitude)


def _angle(value: Any, kind: Any) -> str | None:
    try:
        found = float(value)
    except ValueError:
        try:
            kind(value, unit=u.hourangle)
        except Exception:  # noqa: BLE001  as Hermes does
            return "must be in a format astropy understands"
        return None
    if not math.isfinite(found):
        return "value must be finite"
    try:
        kind(found * u.deg)
    except ValueError:
        return "must be in a format astropy understands"
    return None


ELEMENTS: Mapping[str, Check] = {
    "epoch_of_elements": date,
    "orbital_inclination": between(0, 180),
    "longitude_of_the_ascending_node": between(0, 360),
    "argument_of_the_perihelion": between(0, 360),
    "eccentricity": between(0, math.inf),
    "semimajor_axis": number,
    "mean_anomaly": between(0, 360),
    "perihelion_distance": number,
    "epoch_of_perihelion": date,
}
DISCOVERY: Mapping[str, Check] = {
    "date": date,
    "reporting_group": text,
    "discovery_source": text,
    "transient_type": choice(*TRANSIENT_TYPES),
    "proprietary_period": number,
    "proprietary_period_units": choice(*PERIOD_UNITS),
    "nondetection_source": text,
    "nondetection_comments": text,
}
TARGET: Mapping[str, Check] = {
    "name": text,
    "ra": right_ascension,
    "dec": declination,
    "ra_error": number,
    "dec_error": number,
    "ra_error_units": choice(*ANGLE_UNITS),
    "dec_error_units": choice(*ANGLE_UNITS),
    "pm_ra": number,
    "pm_dec": number,
    "epoch": date,
    "new_discovery": truth,
    "distance": number,
    "distance_error": number,
    "distance_units": choice(*DISTANCE_UNITS),
    "redshift": number,
    "host_redshift": number,
    "host_name": text,
    "aliases": texts,
    "group_associations": texts,
    "comments": text,
}
COMMON: Mapping[str, Check] = {
    "target_name": text,
    "date_obs": date,
    "telescope": text_or_blank,
    "instrument": text_or_blank,
    "comments": text,
}
TABLES: Mapping[str, Mapping[str, Check]] = {
    "photometry": COMMON
    | {
        "bandpass": text,
        "brightness": number,
        "brightness_error": number,
        "brightness_unit": choice(*BRIGHTNESS_UNITS),
        "limiting_brightness": number,
        "limiting_brightness_error": number,
        "limiting_brightness_unit": choice(*BRIGHTNESS_UNITS),
        "exposure_time": number,
        "observer": text,
        "catalog": text,
    },
    "spectroscopy": COMMON
    | {
        "setup": text,
        "exposure_time": number,
        "flux": numbers,
        "flux_error": numbers,
        "flux_units": choice(*FLUX_UNITS),
        "wavelength": numbers,
        "wavelength_units": choice(*WAVELENGTH_UNITS),
        "flux_type": choice(*FLUX_TYPES),
        "classification": text,
        "proprietary_period": number,
        "proprietary_period_units": choice(*PERIOD_UNITS),
        "observer": text,
        "reducer": text,
        "spec_type": choice(*SPEC_TYPES),
    },
    "astrometry": COMMON
    | {
        "ra": right_ascension,
        "dec": declination,
        "ra_error": number,
        "dec_error": number,
        "ra_error_units": choice(*ANGLE_UNITS),
        "dec_error_units": choice(*ANGLE_UNITS),
        "mpc_sitecode": text,
        "catalog": text,
    },
}
REQUIRED: Mapping[str, Sequence[str]] = {
    "photometry": ["target_name", "date_obs", "bandpass"],
    "spectroscopy": ["target_name", "date_obs"],
    "astrometry": ["target_name", "date_obs", "ra", "dec"],
}
MESSAGE: Mapping[str, Check] = {
    "title": text,
    "topic": text,
    "submitter": text,
    "authors": text_or_blank,
    "message_text": text_or_blank,
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "targets": {"ra_error_units": "degrees", "dec_error_units": "degrees", "epoch": "2000.0", "new_discovery": False},
    "photometry": {"brightness_unit": "AB mag", "limiting_brightness_unit": "AB mag"},
    "spectroscopy": {
        "flux_units": "mJy",
        "wavelength_units": "nm",
        "flux_type": "Fλ",
        "proprietary_period_units": "Days",
    },
    "astrometry": {"ra_error_units": "degrees", "dec_error_units": "degrees"},
}


def complaints(message: Mapping[str, Any]) -> list[str]:
    """Return what Hermes would refuse of a message, and what it would drop."""
    found = [
        *_fields("", {key: value for key, value in message.items() if key != "data"}, MESSAGE, ["title", "topic", "submitter"])
    ]
    data = message.get("data", {})
    names = [target.get("name") for target in data.get("targets", [])]
    found += ["targets: names must be unique" for name in names if names.count(name) > 1]
    for index, target in enumerate(data.get("targets", [])):
        found += _target(f"targets[{index}].", target)
    for table, checks in TABLES.items():
        for index, row in enumerate(data.get(table, [])):
            where = f"{table}[{index}]."
            found += _fields(where, row, checks, REQUIRED[table])
            found += _row(where, table, row)
            if row.get("target_name") not in names:
                found.append(f"{where}target_name: must reference a name in your target table")
    return found


def published(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as it leaves Hermes: trimmed, with its defaults, unknown keys of rows dropped, those of data kept."""
    assert complaints(message) == []
    data: dict[str, Any] = {}
    for table in ("targets", *TABLES):
        known = {*TABLES.get(table, TARGET), "orbital_elements", "discovery_info"}
        rows = [
            {
                key: _kept(key, value)
                for key, value in (DEFAULTS[table] | row).items()
                if key in known and value not in ("", [], None)
            }
            for row in message["data"].get(table, [])
        ]
        if rows:
            data[table] = rows
    passed = {key: value for key, value in message["data"].items() if key not in {"targets", *TABLES}}
    words = {key: str(message.get(key, "")).strip() for key in MESSAGE}
    return {**words, "data": data | passed}


def _kept(key: str, value: Any) -> Any:
    if key == "ra":
        return float(Longitude(float(value) * u.deg).deg)
    if key == "dec":
        return float(value)
    return value.strip() if isinstance(value, str) else value


def _fields(where: str, given: Mapping[str, Any], checks: Mapping[str, Check], required: Sequence[str]) -> Iterator[str]:
    yield from (f"{where}{name}: this field is required" for name in required if name not in given)
    for name, value in given.items():
        wrong = checks[name](value) if name in checks else "is dropped without a word"
        if wrong:
            yield f"{where}{name}: {wrong}"


def _target(where: str, target: Mapping[str, Any]) -> Iterator[str]:
    elements, discovery = target.get("orbital_elements"), target.get("discovery_info")
    plain = {key: value for key, value in target.items() if key not in {"orbital_elements", "discovery_info"}}
    yield from _fields(where, plain, TARGET, ["name"])
    if ("ra" in target) != ("dec" in target):
        yield f"{where}ra, dec: both or neither"
    if "ra" not in target and not elements:
        yield f"{where}ra/dec or orbital elements are required"
    if elements is not None:
        yield from _fields(f"{where}orbital_elements.", elements, ELEMENTS, list(ELEMENTS)[:5])
        one = elements.get("semimajor_axis") and elements.get("mean_anomaly")
        other = elements.get("perihelion_distance") and elements.get("epoch_of_perihelion")
        if not (one or other):
            yield f"{where}orbital_elements: must set mean_anomaly/semimajor_axis or epoch_of_perihelion/perihelion_distance"
    if discovery is not None:
        yield from _fields(f"{where}discovery_info.", discovery, DISCOVERY, [])


def _row(where: str, table: str, row: Mapping[str, Any]) -> Iterator[str]:
    if not (row.get("telescope") or row.get("instrument")):
        yield f"{where}must have at least one of telescope or instrument set"
    if table == "photometry" and not (row.get("brightness") or row.get("limiting_brightness")):
        yield f"{where}brightness or limiting_brightness are required"
    if table == "spectroscopy":
        if not row.get("flux"):
            yield f"{where}must specify one or more flux values"
        if "flux_error" in row and len(row["flux_error"]) != len(row.get("flux", [])):
            yield f"{where}must have same number of datapoints for flux and flux_error"
        if len(row.get("flux", [])) != len(row.get("wavelength", [])):
            yield f"{where}must have same number of datapoints for flux and wavelength"
