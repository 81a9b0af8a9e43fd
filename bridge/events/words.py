"""What every model on the wire is built from."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from bridge.events.canonical import normalise_url, utc_text

__all__ = ["Count", "Name", "Number", "Origin", "Several", "Sha256", "Texts", "TomIdentity", "UtcTime", "Words"]

Item = TypeVar("Item")


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


def _first_wrong_text(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        wrong = next((key for key, text in value.items() if not isinstance(text, str)), None)
        if wrong is not None:
            read({wrong: value[wrong]})
    return read(value)


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
Several = Annotated[tuple[Item, ...], Field(fail_fast=True)]
"""Any number of things, read up to the first that is wrong: complaints about each in a megabyte of ``{}`` take gigabytes."""
Texts = Annotated[dict[str, str], WrapValidator(_first_wrong_text)]
"""Texts by key, read up to the first that is none, for the same reason."""


class Words(BaseModel):
    """Base of everything on the wire: frozen, finite numbers only, unknown fields kept."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, use_attribute_docstrings=True)


class TomIdentity(Words):
    """The TOM that an event comes from."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """The TOM's name (``TOM_NAME``), used in "Imported from <TOM Name>"."""
    url: Annotated[str, AfterValidator(normalise_url)]
    """The TOM's public URL, normalised; equal to the event's ``source``."""

    @property
    def address(self) -> str:
        """What a consumer's ``accept_sources`` names."""
        return self.url

    @property
    def source_name(self) -> str:
        """What stands as ``source_name`` of datums that are shared on."""
        return self.name

    def page(self, primary_key: int | None) -> str:
        """Return the address of a target of this TOM, or of the TOM if its primary key is not known."""
        return f"{self.url}targets/{primary_key}/" if primary_key is not None else self.url


class Origin(Words):
    """Where a thing lives at its source TOM."""

    model: str
    """Django model, for instance ``tom_dataproducts.PhotometryReducedDatum``."""
    primary_key: int
    """Its primary key there."""
