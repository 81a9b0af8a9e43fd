"""What every model on the wire is built from."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from bridge.events.canonical import normalise_url, utc_text

__all__ = ["Count", "Name", "Number", "Origin", "Sha256", "TomIdentity", "UtcTime", "Words"]


def _iso_text(value: Any) -> Any:
    is_number = isinstance(value, str) and re.fullmatch(r"[\s\d.+-]*", value) and value.count("-") < 2
    if not isinstance(value, str | datetime) or is_number:  # an MJD, a JD, seconds since 1970: nobody can tell
        raise ValueError("a time is a text in ISO 8601 with its time zone")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time outside the years 1 to 9999") from None


UtcTime = Annotated[
    AwareDatetime,
    BeforeValidator(_iso_text),
    AfterValidator(_in_utc),
    PlainSerializer(utc_text, return_type=str, when_used="json"),
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A number; a text or a truth value is none."""
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
"""A name: anything but nothing; no database stores NUL."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Words(BaseModel):
    """Base of everything on the wire: frozen, finite numbers only, unknown fields kept."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, use_attribute_docstrings=True)


class TomIdentity(Words):
    """The TOM that an event comes from."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """The TOM's name (``TOM_NAME``), used in "Imported from <TOM Name>"."""
    url: Annotated[str, AfterValidator(normalise_url)]
    """The TOM's public URL, normalised; equal to the event's ``source``."""


class Origin(Words):
    """Where a thing lives at its source TOM."""

    model: str
    """Django model, for instance ``tom_dataproducts.PhotometryReducedDatum``."""
    primary_key: int
    """Its primary key there."""
