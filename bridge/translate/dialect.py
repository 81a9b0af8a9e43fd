"""The one place that knows which dialects of TOM Toolkit's API there are."""

from collections.abc import Hashable, Mapping
from typing import Any, Literal, Protocol

from bridge.events import DataProductShared, ReducedDatum, ReducedDatumsShared, Target, TargetShared
from bridge.translate import toolkit2, toolkit3
from bridge.translate.datums import DatumRequest

__all__ = ["Dialect", "dialect_of"]


class Dialect(Protocol):
    """What a dialect's module answers."""

    LABEL: str

    def reserved_keys(self, data_type: str, /) -> frozenset[str]:
        """Return the keys of a datum's value that would not be stored as they are."""

    def unstorable(self, datum: ReducedDatum, /) -> str | None:
        """Return why a datum can't be stored, as far as that is known beforehand."""

    def hint(self, datum: ReducedDatum, /) -> str:
        """Return what the TOM's failure on a datum most likely means, or an empty string."""

    def unstorable_extras(self, target: Target, /) -> frozenset[str]:
        """Return the keys of a target's extras that are not stored."""

    def provenance(self, event: TargetShared | ReducedDatumsShared | DataProductShared, /) -> Mapping[str, str]:
        """Return the fields of a target that say who shared it."""

    def is_row(self, row: Mapping[str, Any], request: DatumRequest, /) -> bool:
        """Whether a row of the destination is the datum."""

    def row_of_file(self, request: DatumRequest, /) -> Mapping[str, Any] | None:
        """Return the row of a file, but for its time, of which the TOM makes what the request makes; None if there is none."""

    def is_row_of_file(self, row: Mapping[str, Any], request: DatumRequest, /) -> bool:
        """Whether a row that was made of a file is the datum, unchanged as far as the API shows it."""

    def keys_there(self, row: Mapping[str, Any], /) -> frozenset[Hashable]:
        """Return what no row of a file may have in common with a row that is there, or the TOM drops it."""

    def keys_beside(self, request: DatumRequest, /) -> frozenset[Hashable]:
        """Return the same of a datum that is to go into a file."""

    def keys_in_file(self, request: DatumRequest, /) -> frozenset[Hashable]:
        """Return what no two rows of one file may have in common, or the TOM drops one, or makes one datum twice."""


def dialect_of(major: Literal[2, 3]) -> Dialect:
    """Return the rules for a major version of TOM Toolkit."""
    return toolkit2 if major == 2 else toolkit3
