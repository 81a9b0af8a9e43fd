"""Reduced datums: what a TOM's API says of them, and the one payload that both dialects take."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import ValidationError

from bridge.events import (
    AstrometryDatum,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    SpectroscopyDatum,
    TargetIdentity,
    TomIdentity,
    datum_identities,
    datum_identity,
    utc_text,
)

__all__ = [
    "MOST_HOPS",
    "DatumRequest",
    "datum_mark",
    "datum_request",
    "first_identity",
    "is_hidden_limit",
    "origin_address",
    "read_datum",
    "read_row",
    "same_moment",
]

MOST_HOPS = 32
"""TOMs of an event's ``hops`` that may vouch for a mark: the oldest, since a datum is marked where it is first written to
another TOM and keeps that mark. An event can name thousands, and then each of its datums would take seconds."""

_SYNONYMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "photometry": {
        "brightness": ("brightness", "magnitude", "mag"),
        "brightness_error": ("brightness_error", "error", "magnitude_error", "mag_err"),
        "bandpass": ("bandpass", "filter", "band", "f"),
        "limit": ("limit",),
        "unit": ("unit",),
        "exposure_time": ("exposure_time",),
    },
    "spectroscopy": {
        "flux": ("flux",),
        "wavelength": ("wavelength", "wave", "wl", "lambda"),
        "flux_error": ("flux_error", "error", "err", "f_error"),
        "flux_unit": ("flux_unit", "flux_units", "f_unit", "f_units"),
        "wavelength_unit": (
            "wavelength_unit", "wavelength_units", "w_unit", "w_units", "lambda_unit", "lambda_units",
        ),
        "setup": ("setup",),
        "exposure_time": ("exposure_time",),
    },
    "astrometry": {
        "ra": ("ra", "right_ascension", "ra_deg"),
        "dec": ("dec", "declination", "dec_deg"),
        "ra_error": ("ra_error", "right_ascension_error", "ra_err"),
        "dec_error": ("dec_error", "declination_error", "dec_err"),
        "ra_error_units": ("ra_error_units", "ra_err_units"),
        "dec_error_units": ("dec_error_units", "dec_err_units"),
    },
}  # fmt: skip
"""Names under which TOMs store one thing, by data type (``tom_dataproducts.models`` of TOM Toolkit 3)."""
_COMMON = ("telescope", "instrument", "reduction_version")
_TEXTS = {"bandpass", "unit", "flux_unit", "wavelength_unit", "setup", "ra_error_units", "dec_error_units"}
_MODELS: Mapping[str, type[PhotometryDatum | SpectroscopyDatum | AstrometryDatum]] = {
    "photometry": PhotometryDatum,
    "spectroscopy": SpectroscopyDatum,
    "astrometry": AstrometryDatum,
}
_SENT_AS: Mapping[str, Mapping[str, str]] = {
    "photometry": {"brightness": "magnitude", "brightness_error": "error", "bandpass": "filter"},
    "spectroscopy": {"flux_unit": "flux_units", "wavelength_unit": "wavelength_units"},
    "astrometry": {},
}
"""Our field names -> the keys of the payload, where they differ: 2.x's, which 3.x takes too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatumRequest:
    """The POST that writes one datum, and what it cannot carry unchanged."""

    datum: ReducedDatum
    body: Mapping[str, Any]
    renamed: Mapping[str, str]
    """Keys that had to be stored under another name: original -> stored."""

    def kept_apart(self) -> "DatumRequest":
        """Return the same with a ``reduction_version`` of its own, for 3.x's notion of a duplicate."""
        own = str(self.body["value"].get("reduction_version", ""))[:25]
        version = f"{own} tom-bridge {str(self.datum.id)[:12]}".strip()
        value = {**self.body["value"], "reduction_version": version}
        return DatumRequest(datum=self.datum, body={**self.body, "value": value}, renamed=self.renamed)


def read_datum(row: Mapping[str, Any], source_url: str) -> ReducedDatum | None:
    """Read a datum from the API's JSON of either dialect, with its identity.

    Returns
    -------
    ReducedDatum or None
        None for a photometric row of 3.x without brightness: an upper limit, whose value that API does not show.
    """
    datum = read_row(row, source_url)
    return None if isinstance(datum, OtherDatum) and is_hidden_limit(row) else datum


def read_row(row: Mapping[str, Any], source_url: str) -> ReducedDatum:
    """Read a datum that is all there, as a TOM's database has it: ``data_type``, ``timestamp``, ``value`` and the source.

    A value that does not have its type's shape stays as it is.
    """
    data_type = str(row["data_type"]).lower()
    common = {
        "data_type": data_type,
        "timestamp": row["timestamp"],
        "source_name": row.get("source_name") or "",
        "source_location": row.get("source_location") or "",
        "origin": row.get("origin"),
    }
    datum = _read_typed(common, row["value"]) if data_type in _MODELS else None
    if datum is None:
        datum = OtherDatum.model_validate(common | {"value": row["value"]})
    return datum.model_copy(update={"id": datum_identity(source_url, datum)})


def is_hidden_limit(row: Mapping[str, Any]) -> bool:
    """Whether a row is what 3.x shows of an upper limit: no brightness, and the keys of its representation alone."""
    value = row["value"]
    shown = {"brightness", "brightness_error", "bandpass", "unit", "telescope", "instrument"}
    return row["data_type"] == "photometry" and isinstance(value, Mapping) and set(value) == shown


def datum_request(
    datum: ReducedDatum,
    *,
    target_id: int,
    tom: TomIdentity,
    target: TargetIdentity,
    hops: Iterable[str] = (),
    original_source: bool,
    reserved: Callable[[str], frozenset[str]],
) -> DatumRequest:
    """Return the POST that writes a datum.

    Parameters
    ----------
    datum
        From the event.
    target_id
        Primary key of the target at the destination.
    tom, target
        The source TOM, and the target there.
    hops
        The TOMs that the event's data has been through before.
    original_source
        Whether ``source_name`` is where the source TOM had it from, instead of that TOM's name.
    reserved
        For a data type, the keys that must not stand in ``value`` because the dialect takes them for something else.
    """
    if isinstance(datum, OtherDatum):
        extra, value = datum.value, {}
    else:
        sent_as = _SENT_AS[datum.data_type]
        fields = datum.model_dump(
            mode="json",
            exclude={"id", "data_type", "timestamp", "source_name", "source_location", "origin", "extra"},
            exclude_none=True,
        )
        value = {sent_as.get(key, key): item for key, item in fields.items() if item not in ("", [])}
        extra = dict(datum.extra)
    renamed = {}
    if isinstance(extra, Mapping):
        taken = reserved(datum.data_type) | value.keys()
        for key, item in extra.items():
            name = key
            while name in taken or (name != key and name in extra):
                name = f"original_{name}"
            if name != key:
                renamed[key] = name
            value[name] = item
    first = first_identity(datum, hops)
    identity = first or datum.id or datum_identity(tom.url, datum)
    body = {
        "target": target_id,
        "data_type": datum.data_type.strip(),  # a TOM trims what stands here, and it is asked and compared by it later
        "timestamp": utc_text(datum.timestamp),
        "source_name": (datum.source_name if original_source and datum.source_name else tom.source_name)[:100],
        "source_location": datum.source_location if first else origin_address(tom, target, identity),
        "value": dict(sorted(value.items())) if isinstance(extra, Mapping) else extra,
    }
    return DatumRequest(datum=datum.model_copy(update={"id": identity}), body=body, renamed=renamed)


def origin_address(tom: TomIdentity, target: TargetIdentity, datum_id: str) -> str:
    """Return the ``source_location`` of a datum: the target's page at the source TOM, marked with the datum's identity."""
    address = f"{tom.page(target.primary_key)}#datum={datum_id[:32]}"
    return address if len(address) <= 200 else f"urn:tom-bridge:datum:{datum_id}"


def datum_mark(address: str) -> str:
    """Return the datum's identity, its first 32 digits, that a ``source_location`` is marked with, or an empty string."""
    found = re.search(r"(?:#datum=|urn:tom-bridge:datum:)([0-9a-f]{32})", address)
    return found[1] if found else ""


def first_identity(datum: ReducedDatum, hops: Iterable[str]) -> str:
    """Return the identity that a datum which a hub passes on had where it came from, or an empty string.

    So it is one datum at a destination that hears of it from several hubs. A mark counts only if it is the identity that
    this very datum has at one of the TOMs it has been through: nobody can pass a datum off as another.

    Parameters
    ----------
    datum
        From an event.
    hops
        The TOMs that the event's data has been through, oldest first; the first `MOST_HOPS` count.
    """
    mark = datum_mark(datum.source_location)
    identities = datum_identities(islice(hops, MOST_HOPS), datum) if mark else ()
    return next((identity for identity in identities if identity.startswith(mark)), "")


def same_moment(one: str, other: str) -> bool:
    """Whether two ISO times are the same moment."""
    return datetime.fromisoformat(one) == datetime.fromisoformat(other)


def _read_typed(common: Mapping[str, Any], value: Any) -> ReducedDatum | None:
    """Read a typed datum, or return None if its value does not have that type's shape."""
    if not isinstance(value, Mapping):
        return None
    data_type = common["data_type"]
    rest = dict(value)
    fields: dict[str, Any] = {}
    for name, synonyms in _SYNONYMS[data_type].items():
        found = next((synonym for synonym in synonyms if rest.get(synonym) is not None), None)
        if found is not None:
            if isinstance(rest[found], str) is not (name in _TEXTS) or isinstance(rest[found], bool):
                return None  # a number as text stays what it is: 2.x would store another value for it
            fields[name] = rest.pop(found)
        rest = {key: item for key, item in rest.items() if not (key in synonyms and item is None)}
    fields |= {name: rest.pop(name) for name in _COMMON if isinstance(rest.get(name), str)}
    rest = {key: item for key, item in rest.items() if not (key in _COMMON and item is None)}
    try:
        return _MODELS[data_type].model_validate({**common, **fields, "extra": rest})
    except ValidationError:
        return None
