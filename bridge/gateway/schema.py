"""The keys of a Hermes message, what each takes, and which go together (Hermes' ``hermes/serializers.py``)."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast
from uuid import UUID

from pydantic import JsonValue

from bridge.codecs.hermes.units import Outgoing, brightness_to_hermes, flux_to_hermes, unsaid, wavelength_to_hermes
from bridge.codecs.hermes.vocabulary import (
    ANGLES,
    BRIGHTNESSES,
    DISTANCES,
    FLUX_TYPES,
    FLUXES,
    PERIODS,
    ROWS,
    SPECTRUM_TYPES,
    TRANSIENT_TYPES,
    WAVELENGTHS,
)
from bridge.gateway.fields import (
    REQUIRED,
    Field,
    Json,
    Read,
    Refused,
    choice,
    date,
    declination,
    flag,
    listing,
    number,
    record,
    right_ascension,
    table,
    text,
    url,
)

__all__ = ["DATA_FIELDS", "ELSEWHERE", "MESSAGE"]

ELSEWHERE = ("submit_to_tns", "submit_to_mpc", "submit_to_gcn")
"""Where Hermes may submit a message, too. It never publishes these keys."""

_TEXT = Field(text(), null=True)
_TEXTS = Field(listing(text()), null=True)
_NUMBER = Field(number(), null=True)
_ERRORS_OF_POSITION = {
    "ra_error": _NUMBER,
    "dec_error": _NUMBER,
    "ra_error_units": Field(choice(*ANGLES), default="degrees"),
    "dec_error_units": Field(choice(*ANGLES), default="degrees"),
}
_PERIOD_UNITS = Field(choice(*PERIODS), default="Days")
_FILE = record({"name": Field(text(), default=REQUIRED), "description": Field(text(blank=True)), "url": Field(url)})


def _refused(sentence: str, *fields: str) -> Refused:
    return Refused({field: [sentence] for field in fields})


def _pair_of_elements(row: Json) -> None:
    pairs = (("semimajor_axis", "mean_anomaly"), ("perihelion_distance", "epoch_of_perihelion"))
    if any(row.get(one) and row.get(other) for one, other in pairs):
        return
    for one, other in pairs:
        for there, missing in ((one, other), (other, one)):
            if row.get(there):
                raise _refused(f"Must set {missing} when {there} is set", missing)
    said = "Must set mean_anomaly/semimajor_axis or epoch_of_perihelion/perihelion_distance"
    raise _refused(said, *(name for pair in pairs for name in pair))


def _somewhere(row: Json) -> None:
    """Refuse a target that is nowhere."""
    if ("ra" in row) != ("dec" in row):
        there, missing = ("ra", "dec") if "ra" in row else ("dec", "ra")
        raise _refused(f"Must set {missing} if {there} is set", missing)
    if "ra" not in row and not row.get("orbital_elements"):
        said = "ra/dec or orbital elements are required"
        raise Refused({"ra": [said], "dec": [said], "orbital_elements": {"non_field_errors": [said]}})


def _unit(known: tuple[str, ...], to_hermes: Callable[[str], Outgoing | None]) -> Read:
    """Return what takes a unit, in Hermes' word for it or another for the very same.

    TOM Toolkit passes on what its TOM has, as astropy writes it; its own spectra are in ``erg / (Angstrom s cm2)``.
    """
    exactly = choice(*known)

    def read(value: JsonValue) -> JsonValue:
        outgoing = to_hermes(value) if isinstance(value, str) and not unsaid(value) else None
        return exactly(outgoing.unit if outgoing is not None and outgoing.factor == 1 else value)

    return read


def _unit_or_none(known: tuple[str, ...], to_hermes: Callable[[str], Outgoing | None]) -> Read:
    """Return what takes an empty text for no unit, too."""
    unit = _unit(known, to_hermes)
    return lambda value: None if value == "" else unit(value)


def _bright_or_not(row: Json) -> None:
    # TOM Toolkit 2 says the unit of a limit in brightness_unit, and Hermes then calls it AB, whatever it is in.
    row.setdefault("limiting_brightness_unit", row["brightness_unit"] if "limiting_brightness" in row else BRIGHTNESSES[0])
    if not (row.get("brightness") or row.get("limiting_brightness")):
        raise _refused("brightness or limiting_brightness are required", "brightness", "limiting_brightness")


def _spectrum_or_file(row: Json) -> None:
    # TOM Toolkit sends null for the units of a spectrum that has none, and takes it to be in these.
    row.setdefault("flux_units", "erg / s / cm² / Å")
    row.setdefault("wavelength_units", "Å")
    if not (row.get("flux") or row.get("file_info")):
        raise _refused("Must specify a spectroscopy file to upload or specify one or more flux values", "file_info", "flux")
    lengths = {name: len(cast("list[JsonValue]", row.get(name, []))) for name in ("flux", "flux_error", "wavelength")}
    for name in ("flux_error", "wavelength"):
        if (name in row or name == "wavelength") and lengths[name] != lengths["flux"]:
            raise _refused(f"Must have same number of datapoints for flux and {name}", "non_field_errors")


def _known_source(row: Json) -> None:
    source, citation = row.get("source"), row.get("citation")
    if source and citation:
        if str(source).lower() == "hop_uuid" and not _is_uuid(str(citation)):
            raise _refused(f"hop_uuid {str(citation)[:100]} does not exist", "citation")
    elif source or citation:
        there, missing = ("source", "citation") if source else ("citation", "source")
        raise _refused(f"Must set {missing} with {there}", missing)
    elif not row.get("url"):
        raise _refused("Must set source/citation or url", "source", "citation", "url")


def _is_uuid(written: str) -> bool:
    try:
        return bool(UUID(written))
    except ValueError:
        return False


def _goes_together(data: Json) -> None:
    """Refuse names that are not unique, rows about targets that are not there, and files that would have to be uploaded."""
    names = Counter(row["name"] for row in _rows(data, "targets"))
    unique: Json = {"name": ["The target name must be unique within the submission"]}
    reference: Json = {"target_name": ["The target_name must reference a name in your target table"]}
    errors: Json = {"targets": [unique if names[row["name"]] > 1 else {} for row in _rows(data, "targets")]}
    errors |= {name: [{} if row["target_name"] in names else reference for row in _rows(data, name)] for name in ROWS}
    for name in ("targets", "spectroscopy"):
        if not any(cast("list[Json]", errors[name])):
            errors[name] = [_files_without_address(row) for row in _rows(data, name)]
    errors = {name: of_rows for name, of_rows in errors.items() if any(cast("list[Json]", of_rows))}
    if errors:
        raise Refused(errors)


def _files_without_address(row: Mapping[str, Any]) -> Json:
    missing: Json = {"url": ["This gateway takes no files: put the file where readers can fetch it, and give its url"]}
    errors = [{} if "url" in file else missing for file in row.get("file_info", [])]
    return {"file_info": cast("JsonValue", errors)} if any(errors) else {}


def _rows(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", data.get(name, []))


_ELEMENTS = record(
    {
        "epoch_of_elements": Field(date, default=REQUIRED),
        "orbital_inclination": Field(number(0.0, 180.0), default=REQUIRED),
        "longitude_of_the_ascending_node": Field(number(0.0, 360.0), default=REQUIRED),
        "argument_of_the_perihelion": Field(number(0.0, 360.0), default=REQUIRED),
        "eccentricity": Field(number(0.0), default=REQUIRED),
        "semimajor_axis": _NUMBER,
        "mean_anomaly": Field(number(0.0, 360.0), null=True),
        "perihelion_distance": _NUMBER,
        "epoch_of_perihelion": Field(date, null=True),
    },
    _pair_of_elements,
)
_DISCOVERY = record(
    {
        "date": Field(date, null=True),
        "reporting_group": _TEXT,
        "discovery_source": _TEXT,
        "transient_type": Field(choice(*TRANSIENT_TYPES)),
        "proprietary_period": _NUMBER,
        "proprietary_period_units": _PERIOD_UNITS,
        "nondetection_source": _TEXT,
        "nondetection_comments": _TEXT,
    }
)
_TARGET = record(
    {
        "name": Field(text(), default=REQUIRED),
        "ra": Field(right_ascension, null=True),
        "dec": Field(declination, null=True),
        **_ERRORS_OF_POSITION,
        "pm_ra": _NUMBER,
        "pm_dec": _NUMBER,
        "epoch": Field(date, default="2000.0"),
        "new_discovery": Field(flag, default=False),
        "orbital_elements": Field(_ELEMENTS),
        "discovery_info": Field(_DISCOVERY),
        "distance": _NUMBER,
        "distance_error": _NUMBER,
        "distance_units": Field(choice(*DISTANCES), null=True),
        "redshift": _NUMBER,
        "host_name": _TEXT,
        "host_redshift": _NUMBER,
        "aliases": Field(listing(text())),
        "group_associations": _TEXTS,
        "file_info": Field(table(_FILE)),
        "comments": _TEXT,
    },
    _somewhere,
)
_COMMON = {
    "target_name": Field(text(), default=REQUIRED),
    "date_obs": Field(date, default=REQUIRED),
    "telescope": Field(text(blank=True), default="", null=True),
    "instrument": Field(text(blank=True), default="", null=True),
}
_BRIGHTNESS_UNIT = _unit(BRIGHTNESSES, brightness_to_hermes)
_PHOTOMETRY = record(
    {
        **_COMMON,
        "bandpass": Field(text(), default=REQUIRED),
        "brightness": _NUMBER,
        "brightness_error": _NUMBER,
        "brightness_unit": Field(_BRIGHTNESS_UNIT, default="AB mag"),
        "exposure_time": _NUMBER,
        "observer": _TEXT,
        "comments": _TEXT,
        "limiting_brightness": _NUMBER,
        "limiting_brightness_error": _NUMBER,
        "limiting_brightness_unit": Field(_BRIGHTNESS_UNIT),
        "catalog": _TEXT,
    },
    _bright_or_not,
)
_SPECTROSCOPY = record(
    {
        **_COMMON,
        "setup": _TEXT,
        "exposure_time": _NUMBER,
        "flux": Field(listing(number(), least=1)),
        "flux_error": Field(listing(number())),
        "flux_units": Field(_unit_or_none(FLUXES, flux_to_hermes), default="mJy", null=True),
        "wavelength": Field(listing(number(), least=1)),
        "wavelength_units": Field(_unit_or_none(WAVELENGTHS, wavelength_to_hermes), default="nm", null=True),
        "flux_type": Field(choice(*FLUX_TYPES), default="Fλ"),
        "classification": _TEXT,
        "proprietary_period": _NUMBER,
        "proprietary_period_units": _PERIOD_UNITS,
        "comments": _TEXT,
        "observer": _TEXT,
        "reducer": _TEXT,
        "spec_type": Field(choice(*SPECTRUM_TYPES)),
        "file_info": Field(table(_FILE)),
    },
    _spectrum_or_file,
)
_ASTROMETRY = record(
    {
        **_COMMON,
        "ra": Field(right_ascension, default=REQUIRED),
        "dec": Field(declination, default=REQUIRED),
        **_ERRORS_OF_POSITION,
        "mpc_sitecode": _TEXT,
        "catalog": _TEXT,
        "comments": _TEXT,
    }
)
DATA_FIELDS = {
    "references": Field(table(record({"source": _TEXT, "citation": _TEXT, "url": Field(url, null=True)}, _known_source))),
    "event_id": _TEXT,
    "targets": Field(table(_TARGET)),
    "photometry": Field(table(_PHOTOMETRY)),
    "spectroscopy": Field(table(_SPECTROSCOPY)),
    "astrometry": Field(table(_ASTROMETRY)),
}


def _not_from_here(value: JsonValue) -> JsonValue:
    if flag(value):
        raise Refused(["This gateway publishes to its own topics alone, and submits nothing elsewhere"])
    return False


MESSAGE = record(
    {
        "title": Field(text(), default=REQUIRED),
        "topic": Field(text(), default=REQUIRED),
        "submitter": Field(text(), default=REQUIRED),
        "data": Field(record(DATA_FIELDS, _goes_together)),
        "message_text": Field(text(blank=True), default=""),
        "authors": Field(text(blank=True), default=""),
        **dict.fromkeys(ELSEWHERE, Field(_not_from_here, null=True)),
    },
    keep_empty=True,
)
