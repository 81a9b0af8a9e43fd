"""Reduced datums: photometry, spectroscopy, astrometry and any other, and what makes one the same as another."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from bridge.events.canonical import canonical_json, normalise_url, utc_text
from bridge.events.words import Number, Origin, Several, Sha256, UtcTime, Words

__all__ = [
    "AstrometryDatum",
    "OtherDatum",
    "PhotometryDatum",
    "ReducedDatum",
    "SpectroscopyDatum",
    "datum_identities",
    "datum_identity",
    "datum_value",
]


class _Datum(Words):
    """What all reduced datums have. Subclasses add the measured value."""

    data_type: str
    timestamp: UtcTime
    """Time of the observation, UTC."""
    id: Sha256 | None = None
    """Identity of the datum (see `datum_identity`); a producer may leave it out, a wrong one is refused."""
    source_name: str = ""
    """Where the source TOM had it from, as that TOM says."""
    source_location: str = ""
    """Address at that origin, as the source TOM says."""
    origin: Origin | None = None
    """The row at the source TOM, where it is known."""


class _Instrumented(_Datum):
    telescope: str = ""
    """Telescope."""
    instrument: str = ""
    """Instrument."""
    reduction_version: str = ""
    """Version of the reduction; part of a datum's identity in TOM Toolkit 3."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Everything else that the source TOM stores in the datum's value."""


class PhotometryDatum(_Instrumented):
    """A brightness, an upper limit, or both."""

    data_type: Literal["photometry"] = "photometry"
    brightness: Number | None = None
    """Brightness, in ``unit``."""
    brightness_error: Number | None = None
    """Error of the brightness, in ``unit``."""
    limit: Number | None = None
    """Limiting brightness of a non-detection, in ``unit``."""
    bandpass: str = ""
    """Filter."""
    unit: str = ""
    """Unit of the three numbers above; empty: as the source TOM does not say."""
    exposure_time: Number | None = None
    """Exposure time, seconds."""

    @model_validator(mode="after")
    def _has_a_measurement(self) -> Self:
        if self.brightness is None and self.limit is None:
            raise ValueError("a photometric datum needs a brightness or a limit")
        return self


class SpectroscopyDatum(_Instrumented):
    """A spectrum: flux over wavelength, arrays of one length N."""

    data_type: Literal["spectroscopy"] = "spectroscopy"
    flux: Several[Number]
    """Flux, shape (N,), in ``flux_unit``."""
    wavelength: Several[Number]
    """Wavelength, shape (N,), in ``wavelength_unit``."""
    flux_error: Several[Number] = ()
    """Error of the flux, shape (N,) or empty, in ``flux_unit``."""
    flux_unit: str = ""
    """Unit of the flux, as astropy writes it."""
    wavelength_unit: str = ""
    """Unit of the wavelength, as astropy writes it."""
    setup: str = ""
    """Set-up of the spectrograph."""
    exposure_time: Number | None = None
    """Exposure time, seconds."""

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        lengths = {len(self.flux), len(self.wavelength), len(self.flux_error) or len(self.flux)}
        if len(lengths) > 1 or not self.flux:
            raise ValueError("flux and wavelength, and flux_error if there is any, need one length of at least 1")
        return self


class AstrometryDatum(_Instrumented):
    """A position."""

    data_type: Literal["astrometry"] = "astrometry"
    ra: Number
    """Right ascension, degrees, ICRS."""
    dec: Number
    """Declination, degrees, ICRS."""
    ra_error: Number | None = None
    """Error of the right ascension, in ``ra_error_units``."""
    dec_error: Number | None = None
    """Error of the declination, in ``dec_error_units``."""
    ra_error_units: str = ""
    """Unit of ``ra_error``."""
    dec_error_units: str = ""
    """Unit of ``dec_error``."""


class OtherDatum(_Datum):
    """Any other datum: its value just as the source TOM stores it."""

    data_type: Annotated[str, Field(min_length=1, max_length=100)]
    value: JsonValue
    """The value, raw; anything but null."""

    @field_validator("value")
    @classmethod
    def _is_something(cls, value: JsonValue) -> JsonValue:
        if value is None:
            raise ValueError("a datum's value may be anything but null")
        return value


_TYPED = {"photometry", "spectroscopy", "astrometry"}


def _datum_tag(datum: Any) -> str:
    """Tell which model reads a datum: a raw ``value`` or an unknown data_type makes it `OtherDatum`."""
    fields: Mapping[str, Any] = datum if isinstance(datum, Mapping) else getattr(datum, "__dict__", {})
    data_type = fields.get("data_type")
    return data_type if isinstance(data_type, str) and data_type in _TYPED and "value" not in fields else "other"


ReducedDatum = Annotated[
    Annotated[PhotometryDatum, Tag("photometry")]
    | Annotated[SpectroscopyDatum, Tag("spectroscopy")]
    | Annotated[AstrometryDatum, Tag("astrometry")]
    | Annotated[OtherDatum, Tag("other")],
    Discriminator(_datum_tag),
]

_NOT_MEASURED = {"id", "data_type", "timestamp", "source_name", "source_location", "origin"}


def datum_value(datum: ReducedDatum) -> dict[str, Any]:
    """Return what was measured: every field of a datum that is neither bookkeeping nor empty."""
    dumped = datum.model_dump(mode="json", exclude=_NOT_MEASURED, exclude_none=True)
    return {key: value for key, value in dumped.items() if key == "value" or value not in ("", [], {})}


def datum_identity(source_url: str, datum: ReducedDatum) -> str:
    """Return the identity of a datum: SHA-256 over source TOM, data type, UTC time and the canonically encoded value.

    Two rows of one target with the same identity are the same measurement. Where a datum came from does not enter,
    so that it is the same whichever way it was shared.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return next(datum_identities([source_url], datum))


def datum_identities(source_urls: Iterable[str], datum: ReducedDatum) -> Iterator[str]:
    """Yield the identity that a datum has at each of some source TOMs; what was measured is encoded once for all."""
    rest = canonical_json([datum.data_type, utc_text(datum.timestamp), datum_value(datum)])[1:]
    for url in source_urls:
        yield hashlib.sha256(_beginning(url) + rest).hexdigest()


@lru_cache(maxsize=256)
def _beginning(source_url: str) -> bytes:
    """Return what is hashed of a TOM: the same for all its datums, and a sixth of the work on one."""
    return b"[" + canonical_json(normalise_url(source_url)) + b","
