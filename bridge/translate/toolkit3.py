"""What is particular about TOM Toolkit 3.x: typed columns, and its own notion of a duplicate.

Measured on 3.1.0. Keys in a datum's ``value`` that are fields of the model override what the request says of source,
target, time or type, so they are renamed. A duplicate is answered with 200, also when only time, bandpass, brightness and
instrument are equal; `is_row` tells whether the row that is there is ours.
"""

import math
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any

from bridge.events import (
    DataProductShared,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    Target,
    TargetShared,
)
from bridge.translate.datums import DatumRequest, datum_mark, same_moment

__all__ = [
    "LABEL",
    "hint",
    "is_row",
    "is_row_of_file",
    "keys_beside",
    "keys_in_file",
    "keys_there",
    "provenance",
    "reserved_keys",
    "row_of_file",
    "unstorable",
    "unstorable_extras",
]

LABEL = "3.x"

_ENVELOPE = frozenset({"id", "target", "data_product", "data_type", "timestamp", "value", "source_name", "source_location"})
_COLUMNS = frozenset({"telescope", "instrument", "reduction_version"})
# fmt: off
_TAKEN: Mapping[str, frozenset[str]] = {
    "photometry": frozenset({
        "brightness", "magnitude", "mag", "error", "brightness_error", "magnitude_error", "mag_err", "bandpass",
        "filter", "band", "f", "limit", "unit", "exposure_time",
    }),
    "spectroscopy": frozenset({
        "flux", "f", "wavelength", "wave", "wl", "lambda", "error", "err", "flux_error", "f_error", "flux_unit",
        "f_unit", "flux_units", "f_units", "wavelength_unit", "w_unit", "wavelength_units", "w_units", "lambda_unit",
        "lambda_units", "setup", "exposure_time",
    }),
    "astrometry": frozenset({
        "ra", "right_ascension", "ra_deg", "dec", "declination", "dec_deg", "ra_error", "right_ascension_error",
        "ra_err", "dec_error", "declination_error", "dec_err", "ra_error_units", "ra_err_units", "dec_error_units",
        "dec_err_units",
    }),
}
# fmt: on
"""Keys that 3.x takes for columns, by data type (``tom_dataproducts.models.try_parse_reduced_datum``)."""
_LONGEST = {"filter": 32, "unit": 32, "telescope": 255, "instrument": 255, "reduction_version": 50}
"""Characters that 3.x's columns take. A POST that has more is refused; out of a file SQLite stores it, and PostgreSQL fails."""
_TARGET_FIELDS = frozenset(Target.model_fields) - {"aliases", "primary_key", "extras"} | {
    "id", "created", "modified", "permissions",
}  # fmt: skip


def reserved_keys(data_type: str) -> frozenset[str]:
    """Return the keys of a datum's value that 3.x would take for something else."""
    kind = data_type.strip().lower()  # 3.x does not look at case
    return _ENVELOPE | _COLUMNS | _TAKEN[kind] if kind in _TAKEN else _ENVELOPE


def unstorable(datum: ReducedDatum) -> str | None:
    """Return why a datum can't be stored, as far as that is known beforehand."""
    if isinstance(datum, PhotometryDatum) and not datum.bandpass:
        return "TOM Toolkit 3 stores no photometry without a bandpass"
    if isinstance(datum, OtherDatum) and not (isinstance(datum.value, dict) and datum.value):
        return "TOM Toolkit 3 stores no value that is not a dictionary with something in it"
    if isinstance(datum, OtherDatum) and datum.data_type.strip().lower() in _TAKEN and _has_no_number(datum.value):
        return "TOM Toolkit 3 would store a text such as 'NaN' as a number, and then fail on every list that has it"
    return None


def _has_no_number(value: object) -> bool:
    """Whether a text somewhere in a raw value reads as infinite or as no number."""
    if isinstance(value, dict | list):
        return any(_has_no_number(item) for item in (value.values() if isinstance(value, dict) else value))
    try:
        return isinstance(value, str) and not math.isfinite(float(value))
    except ValueError:
        return False


def hint(_datum: ReducedDatum) -> str:
    """Return what the TOM's failure on a datum most likely means, or an empty string."""
    return "; a column of TOM Toolkit 3 does not take one of its values (a text where a number belongs, or too long)"


def unstorable_extras(target: Target) -> frozenset[str]:
    """Return the keys of a target's extras that 3.x drops, because a field of the target has that name."""
    return _TARGET_FIELDS & target.extras.keys()


def provenance(event: TargetShared | ReducedDatumsShared | DataProductShared) -> Mapping[str, str]:
    """Return the fields of a target that say who shared it."""
    return {"shared_from": event.tom.name, "shared_by": event.submitter}


def is_row(row: Mapping[str, Any], request: DatumRequest) -> bool:
    """Whether a row of the destination is the datum.

    The mark in ``source_location`` decides where there is one. Without it everything that the API shows must be equal, the
    source's name included.
    """
    mark = datum_mark(row["source_location"])
    return mark == datum_mark(request.body["source_location"]) if mark else _shows(row, request)


def row_of_file(request: DatumRequest) -> Mapping[str, Any] | None:
    """Return the row of a file of which 3.x makes what the request makes."""
    value = request.body["value"]
    if "source" in value or any(len(value.get(name, "")) > most for name, most in _LONGEST.items()):
        return None
    columns = {"source": request.body["source_name"], "source_location": request.body["source_location"]}
    return {**value, **{name: text.strip() for name, text in columns.items() if text.strip()}}


def is_row_of_file(row: Mapping[str, Any], request: DatumRequest) -> bool:
    """Whether a row that was made of a file is the datum, unchanged as far as the API shows it."""
    return datum_mark(row["source_location"]) == datum_mark(request.body["source_location"]) and _shows(row, request)


def keys_there(row: Mapping[str, Any]) -> frozenset[Hashable]:
    """Return what a row is known by, as far as the API shows it; of limits, it may have any."""
    shown = row["value"]
    place = (datetime.fromisoformat(row["timestamp"]), shown.get("bandpass"), shown.get("instrument") or "")
    return frozenset({(*place, "brightness", shown.get("brightness")), (*place, "limit")})


def keys_beside(request: DatumRequest) -> frozenset[Hashable]:
    """Return what a datum would be known by that goes into a file."""
    value = request.body["value"]
    place = (datetime.fromisoformat(request.body["timestamp"]), value.get("filter"), value.get("instrument", ""))
    brightness = {(*place, "brightness", value["magnitude"])} if "magnitude" in value else set()
    return frozenset(brightness | ({(*place, "limit")} if "limit" in value else set()))


def keys_in_file(request: DatumRequest) -> frozenset[Hashable]:
    """Return what 3.x's constraints compare: each brightness and each limit once, the rest being equal."""
    value = request.body["value"]
    place = (request.body["timestamp"], *(value.get(name, "") for name in ("filter", "instrument", "reduction_version")))
    return frozenset((*place, name, value[name]) for name in ("magnitude", "limit") if name in value)


def _shows(row: Mapping[str, Any], request: DatumRequest) -> bool:
    """Whether everything that the API shows of a row is the datum's, the source's name included."""
    body = request.body
    return (
        str(row["data_type"]).lower() == str(body["data_type"]).lower()
        and same_moment(row["timestamp"], body["timestamp"])
        and row["source_name"] == body["source_name"].strip()
        and _shown(request.datum) == _given(row["value"])
    )


def _shown(datum: ReducedDatum) -> dict[str, Any]:
    """Return what 3.x's API would show of a datum, without what is empty."""
    if isinstance(datum, OtherDatum):
        value = datum.value if isinstance(datum.value, dict) else {}
        return {key: item for key, item in value.items() if key not in _ENVELOPE | _COLUMNS}
    hidden = {
        "id", "data_type", "timestamp", "source_name", "source_location", "origin", "extra",
        "limit", "exposure_time", "reduction_version", "setup",
    }  # fmt: skip
    shown = datum.model_dump(mode="json", include=type(datum).model_fields.keys() - hidden)
    if "flux_error" in shown:
        shown["error"] = shown.pop("flux_error")
    return _given(shown)


def _given(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item not in (None, "", [])}
