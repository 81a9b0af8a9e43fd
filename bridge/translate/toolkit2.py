"""What is particular about TOM Toolkit 2.x: it stores a datum's value as JSON, and knows duplicates by it alone.

Measured on 2.32.4. A duplicate datum is answered with a 500; `is_row` tells it from a failure.
"""

from collections.abc import Mapping
from typing import Any

from bridge.events import DataProductShared, ReducedDatum, ReducedDatumsShared, Target, TargetShared
from bridge.translate.datums import DatumRequest, same_moment

__all__ = ["DEFAULT_DATA_TYPES", "LABEL", "hint", "is_row", "provenance", "reserved_keys", "unstorable", "unstorable_extras"]

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
        and row["value"] == request.body["value"]
        and same_moment(row["timestamp"], request.body["timestamp"])
    )
