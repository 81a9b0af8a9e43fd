"""Reading the TOM's own rows as what share events carry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urljoin

from pydantic import ValidationError

from bridge import blobs
from bridge.emitter.tables import is_typed
from bridge.errors import Rejected
from bridge.events import (
    AstrometryDatum,
    DataProduct,
    Origin,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReferencedContent,
    SpectroscopyDatum,
    Target,
    datum_identity,
)
from bridge.translate.datums import read_row

__all__ = ["IMPORTED_LISTS", "MOST_FILE_BYTES", "list_names", "read_datum", "read_product", "read_target"]

MOST_FILE_BYTES = 100_000_000
"""Larger files are not shared."""
IMPORTED_LISTS = "imported from "
"""How the lists begin that tell where this TOM's own imports came from; they concern nobody else."""

_TYPED: Mapping[str, tuple[type[PhotometryDatum | SpectroscopyDatum | AstrometryDatum], Mapping[str, str]]] = {
    "PhotometryReducedDatum": (PhotometryDatum, {}),
    "SpectroscopyReducedDatum": (SpectroscopyDatum, {"flux_error": "error"}),
    "AstrometryReducedDatum": (AstrometryDatum, {}),
}
"""Model of TOM Toolkit 3 -> ours, and our fields whose columns have other names."""
_NO_COLUMNS = {"id", "data_type", "timestamp", "source_name", "source_location", "origin", "extra"}


def read_target(row: Any) -> Target:
    """Read a target with its aliases and extras; what a TOM's own kind of target adds becomes extras.

    Raises
    ------
    Rejected
        ``unreadable_target`` if no share event can be about it, such as one without a name.
    """
    fields = {name: value for name in Target.model_fields if (value := getattr(row, name, None)) is not None}
    extras = _own_fields(row) | {extra.key: str(extra.value) for extra in row.targetextra_set.all()}
    aliases = [alias.name for alias in sorted(row.aliases.all(), key=lambda alias: alias.pk)]
    try:
        return Target.model_validate(fields | {"primary_key": row.pk, "aliases": aliases, "extras": extras})
    except ValidationError as error:
        raise Rejected("unreadable_target", f"target {row.pk}: {_complaints(error)}") from error


def list_names(row: Any) -> tuple[str, ...]:
    """Return the names of the lists that a target is in, without those of what was imported."""
    names = sorted({found.name for found in row.targetlist_set.all()})
    return tuple(name for name in names if name and not name.lower().startswith(IMPORTED_LISTS))


def read_datum(row: Any, source_url: str) -> ReducedDatum:
    """Read a reduced datum of either version, with its identity and its origin.

    Raises
    ------
    Rejected
        ``unreadable_datum`` if it has no data type or value, or a number in it is infinite or none.
    """
    model = type(row)
    common = {
        "timestamp": row.timestamp,
        "source_name": row.source_name,
        "source_location": row.source_location,
        "origin": Origin(model=model._meta.label, primary_key=row.pk),  # noqa: SLF001  Django's documented model API
    }
    try:
        if not is_typed(model):
            columns = {name: getattr(row, name, "") for name in ("telescope", "instrument", "reduction_version")}
            return read_row(common | {"data_type": row.data_type, "value": _with(row.value, columns)}, source_url)
        datum = _read_typed(row, common)
        return datum.model_copy(update={"id": datum_identity(source_url, datum)})
    except ValidationError as error:
        raise Rejected("unreadable_datum", f"{model.__name__} {row.pk}: {_complaints(error)}") from error
    except ValueError as error:  # a text that is no Unicode
        raise Rejected("unreadable_datum", f"{model.__name__} {row.pk}: {error}") from error


def read_product(row: Any, *, tom_url: str, datums: tuple[ReducedDatum, ...]) -> DataProduct:
    """Read a data product with its file.

    Parameters
    ----------
    row
        The ``DataProduct``.
    tom_url
        Public address of this TOM, for files that are too large to go inside an event.
    datums
        What processing the file has made.

    Raises
    ------
    Rejected
        ``unreadable_product`` if the file is gone, too large, or has a name that no event may carry.
    """
    content = _content(row)
    packed = blobs.pack(content)
    try:
        return DataProduct(
            name=PurePosixPath(row.data.name).name,
            data_product_type=row.data_product_type or "",
            size=len(content),
            sha256=blobs.sha256(content),
            content=packed or ReferencedContent(url=urljoin(tom_url, row.data.url)),
            product_id=row.product_id or "",
            extra_data=row.extra_data or "",
            origin=Origin(model="tom_dataproducts.DataProduct", primary_key=row.pk),
            datums=datums,
        )
    except ValidationError as error:
        raise Rejected("unreadable_product", f"data product {row.pk}: {_complaints(error)}") from error


def _content(row: Any) -> bytes:
    try:
        size = row.data.size
        if size <= MOST_FILE_BYTES:
            with row.data.open("rb") as file:
                return bytes(file.read())
    except Exception as error:  # each kind of storage raises what it likes
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Rejected("unreadable_product", f"data product {row.pk}: its file cannot be read ({why})") from error
    raise Rejected("unreadable_product", f"data product {row.pk}: larger than {MOST_FILE_BYTES:,} bytes")


def _read_typed(row: Any, common: Mapping[str, Any]) -> ReducedDatum:
    model, columns = _TYPED[type(row).__name__]
    fields = {
        name: value
        for name in model.model_fields
        if name not in _NO_COLUMNS and (value := getattr(row, columns.get(name, name))) is not None
    }
    extra = row.value if isinstance(row.value, dict) else {"value": row.value}
    try:
        return model.model_validate({**common, **fields, "extra": extra})
    except ValidationError:
        # A limit without a number, a spectrum without wavelengths: it goes as it is.
        value = {columns.get(name, name): value for name, value in fields.items()}
        return OtherDatum.model_validate(
            {**common, "data_type": model.model_fields["data_type"].default, "value": _with(value, extra)}
        )


def _own_fields(row: Any) -> dict[str, str]:
    """Return the fields that a TOM's own kind of target adds, as TOM Toolkit 3 shares them: as extras, in text."""
    if not row._meta.parents:  # noqa: SLF001  Django's documented model API
        return {}
    own = [field for field in row._meta.local_concrete_fields if not field.primary_key]  # noqa: SLF001
    return {field.name: str(value) for field in own if (value := getattr(row, field.name)) is not None}


def _with(value: Any, more: Mapping[str, Any]) -> Any:
    """Return a datum's value with what stands in columns beside it; what is empty is left out."""
    given = {name: item for name, item in more.items() if item not in ("", None)}
    return {**given, **value} if isinstance(value, dict) else value


def _complaints(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems[:3])
