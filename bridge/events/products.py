"""Data products: files that belong to a target, inside an event or elsewhere."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bridge.events.datums import ReducedDatum
from bridge.events.words import Count, Origin, Several, Sha256, Words

__all__ = ["DataProduct", "InlineContent", "ReferencedContent"]


class InlineContent(Words):
    """A small file inside the event."""

    encoding: Literal["gzip+base64"] = "gzip+base64"
    data: str
    """The file's bytes, compressed with gzip, in base64."""


class ReferencedContent(Words):
    """A file elsewhere. It is fetched only from where the consumer's settings allow it, and verified."""

    url: Annotated[str, Field(min_length=1)]
    """Address: https, or any that fsspec opens."""


class DataProduct(Words):
    """A file that belongs to a target."""

    name: Annotated[str, Field(min_length=1)]
    """File name, without folders."""
    data_product_type: str
    """TOM Toolkit's type: photometry, spectroscopy, fits_file, image_file or one of the TOM's own."""
    size: Count
    """Size in bytes."""
    sha256: Sha256
    """SHA-256 of the bytes."""
    content: InlineContent | ReferencedContent
    product_id: str = ""
    """The product's identifier at the source TOM, if it has one."""
    extra_data: str = ""
    """Free text that the source TOM keeps with it."""
    origin: Origin | None = None
    datums: Several[ReducedDatum] = ()
    """Reduced datums that processing the file made at the source; for destinations that refuse the file."""

    @field_validator("name")
    @classmethod
    def _is_a_bare_name(cls, name: str) -> str:
        if "/" in name or "\\" in name or name in {".", ".."} or not name.isprintable():
            raise ValueError("a data product's name is a file name without folders or control characters")
        return name
