"""What is particular about TOM Toolkit 2.x: it stores a datum's value as JSON, and knows duplicates by it alone.

Measured on 2.32.4. A duplicate datum is answered with a 500; `is_row` tells it from a failure.
"""

import json
from collections.abc import Hashable, Mapping
from typing import Any

from bridge.events import DataProductShared, ReducedDatum, ReducedDatumsShared, Target, TargetShared
from bridge.translate.datums import DatumRequest, same_moment

__all__ = [
    "DEFAULT_DATA_TYPES",
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

LABEL = "2.x"
DEFAULT_DATA_TYPES = frozenset({"photometry", "spectroscopy", "fits_file", "image_file"})
"""What a TOM's DATA_PRODUCT_TYPES has unless its administrator changed it."""


def reserved_keys(_data_type: str) -> frozenset[str]:
    """Return the keys of a datum's value that would not be stored as they are: none."""
    return frozenset()


def unstorable(_datum: ReducedDatum) -> str | None:
    """Return why a datum can't be stored, as far as that is known beforehand."""
    return None


def hint(datum: ReducedDatum) -> str:
    """Return what the TOM's failure on a datum most likely means, or an empty string."""
    if datum.data_type in DEFAULT_DATA_TYPES:
        return ""
    return f"; TOM Toolkit 2 takes no {datum.data_type} unless its setting DATA_PRODUCT_TYPES has it"


def unstorable_extras(_target: Target) -> frozenset[str]:
    """Return the keys of a target's extras that are not stored: none."""
    return frozenset()


def provenance(_event: TargetShared | ReducedDatumsShared | DataProductShared) -> Mapping[str, str]:
    """Return the fields of a target that say who shared it: 2.x has none."""
    return {}


def is_row(row: Mapping[str, Any], request: DatumRequest) -> bool:
    """Whether a row of the destination is the datum: same type, time and value. 2.x does not look at the source."""
    return (
        row["data_type"] == request.body["data_type"]
        and _is_same(row["value"], request.body["value"])
        and same_moment(row["timestamp"], request.body["timestamp"])
    )


def row_of_file(request: DatumRequest) -> Mapping[str, Any] | None:
    """Return the row of a file of which 2.x makes what the request makes; ``source_location`` can't be given there."""
    value = request.body["value"]
    if "source" in value:
        return None  # the processor takes that for the datum's source
    source = request.body["source_name"].strip()
    return {**value, **({"source": source} if source else {})}


def is_row_of_file(row: Mapping[str, Any], request: DatumRequest) -> bool:
    """Whether a row that was made of a file is the datum, unchanged."""
    return is_row(row, request) and row["source_name"] == request.body["source_name"].strip()


def keys_there(row: Mapping[str, Any]) -> frozenset[Hashable]:
    """Return the value: 2.x drops the row of a file if a datum of the target has the same one, at whatever time."""
    return frozenset({_text(row["value"])})


def keys_beside(request: DatumRequest) -> frozenset[Hashable]:
    """Return the value."""
    return frozenset({_text(request.body["value"])})


def keys_in_file(request: DatumRequest) -> frozenset[Hashable]:
    """Return time and value: within a file 2.x looks for no duplicates."""
    return frozenset({(request.body["timestamp"], _text(request.body["value"]))})


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are one to the TOM: PostgreSQL gives 1e43 back as a whole number of 44 digits, which no float is."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if (
        isinstance(one, float) is not isinstance(other, float)
        and isinstance(one, int | float)
        and isinstance(other, int | float)
    ):
        try:
            return float(one) == float(other)
        except OverflowError:
            return False
    return bool(one == other)


def _text(value: Any) -> str:
    """Return a value as 2.x compares it (``tom_dataproducts.data_processor.run_data_processor``)."""
    return json.dumps(value, sort_keys=True)
