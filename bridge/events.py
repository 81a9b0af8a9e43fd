"""Share events: what TOMs tell each other, and the words for it.

An event is a CloudEvent [1]_ whose body (its ``data``) is one of the four models at the end of this module. Field names
are TOM Toolkit's own wherever it has one (``tom_targets.base_models.BaseTarget`` and the typed reduced datums of
TOM Toolkit 3). Angles are degrees (ICRS for positions, J2000 ecliptic for orbital elements) unless a field says otherwise.
Unknown fields are kept, so that a tool which passes an event on loses nothing of a later version.

.. [1] https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    PlainSerializer,
    Tag,
    field_validator,
    model_validator,
)

__all__ = [
    "EVENT_TYPES",
    "RESERVED_TYPES",
    "AstrometryDatum",
    "DataProduct",
    "DataProductShared",
    "InlineContent",
    "ListMember",
    "Origin",
    "OtherDatum",
    "PhotometryDatum",
    "ReducedDatum",
    "ReducedDatumsShared",
    "ReferencedContent",
    "ShareBody",
    "ShareEvent",
    "SpectroscopyDatum",
    "Target",
    "TargetIdentity",
    "TargetListShared",
    "TargetShared",
    "TomIdentity",
    "canonical_json",
    "datum_identity",
    "datum_value",
    "normalise_url",
    "simplify_name",
    "utc_text",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalise_url(url: str) -> str:
    """Return a TOM's public URL in the one form that identifies it.

    Scheme and host in lower case, no default port, no query or fragment, one trailing slash (RFC 3986, section 6.2).

    Raises
    ------
    ValueError
        If it is not an http(s) URL with a host, or if it carries a user name or password.
    """
    try:
        parts = urlsplit(url.strip())
        port_number = parts.port
    except ValueError:  # urllib's own words would repeat the URL
        raise ValueError("not a TOM's URL: its host or port cannot be read") from None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not a TOM's URL: expected something like https://my-tom.org/")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a TOM's URL must not carry a user name or password")
    scheme, host = parts.scheme.lower(), parts.hostname.lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if port_number in {None, _DEFAULT_PORTS[scheme]} else f":{port_number}"
    return urlunsplit((scheme, host + port, parts.path.rstrip("/") + "/", "", ""))


def simplify_name(name: str) -> str:
    """Return a name as TOM Toolkit compares it: lower case, without spaces, ``-``, ``_``, ``(`` and ``)``.

    Source: ``tom_targets.base_models.TargetMatchManager.simplify_name``, the same in 2.32 and 3.1.
    """
    return name.lower().translate(str.maketrans("", "", " -_()"))


def utc_text(moment: datetime) -> str:
    """Return a moment as UTC in ISO 8601 with microseconds and ``Z``: the one spelling on the wire and in hashes."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical_json(value: object) -> bytes:
    """Encode JSON in the one way that hashes and TOMs see: sorted keys, no white space, UTF-8, shortest exact floats.

    Frozen: ``tests/data/canonical`` holds golden files. RFC 8785 is not used because its numbers are doubles, and
    survey identifiers of 19 digits in a datum's extras would lose their last ones.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


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


class TargetIdentity(Words):
    """What is needed to recognise a target: names, and where it is on the sky."""

    name: Name
    """Primary name."""
    type: Literal["SIDEREAL", "NON_SIDEREAL"]
    """Target type, as TOM Toolkit spells it."""
    aliases: tuple[Name, ...] = ()
    """Other names of the same target."""
    primary_key: int | None = None
    """Primary key at the source TOM."""
    ra: float | None = None
    """Right ascension, degrees, ICRS."""
    dec: float | None = None
    """Declination, degrees, ICRS."""
    epoch: float | None = None
    """Epoch of the position, Julian years; absent means 2000.0."""
    pm_ra: float | None = None
    """Proper motion in right ascension times cos(dec), milliarcseconds per year."""
    pm_dec: float | None = None
    """Proper motion in declination, milliarcseconds per year."""
    parallax: float | None = None
    """Parallax, milliarcseconds."""
    scheme: str = ""
    """Orbital element scheme: MPC_MINOR_PLANET, MPC_COMET or JPL_MAJOR_PLANET."""
    epoch_of_elements: float | None = None
    """Epoch of the elements, MJD."""
    mean_anomaly: float | None = None
    """Mean anomaly, degrees."""
    arg_of_perihelion: float | None = None
    """Argument of perihelion, degrees, J2000."""
    eccentricity: float | None = None
    """Eccentricity, dimensionless."""
    lng_asc_node: float | None = None
    """Longitude of the ascending node, degrees, J2000."""
    inclination: float | None = None
    """Inclination to the ecliptic, degrees, J2000."""
    mean_daily_motion: float | None = None
    """Mean daily motion, degrees per day."""
    semimajor_axis: float | None = None
    """Semimajor axis, au."""
    epoch_of_perihelion: float | None = None
    """Time of perihelion, MJD."""
    perihdist: float | None = None
    """Perihelion distance, au."""

    @property
    def names(self) -> tuple[str, ...]:
        """Primary name and aliases, each once, in that order."""
        return tuple(dict.fromkeys((self.name, *self.aliases)))

    def identity(self) -> "TargetIdentity":
        """Return the identity block alone, as every datum event carries it."""
        return TargetIdentity.model_validate(self.model_dump(include=set(TargetIdentity.model_fields)))


class Target(TargetIdentity):
    """A whole target: its identity and everything else that TOM Toolkit stores with it."""

    galactic_lng: float | None = None
    """Galactic longitude, degrees."""
    galactic_lat: float | None = None
    """Galactic latitude, degrees."""
    distance: float | None = None
    """Distance, parsecs."""
    distance_err: float | None = None
    """Error of the distance, parsecs."""
    ephemeris_period: float | None = None
    """Ephemeris period, days."""
    ephemeris_period_err: float | None = None
    """Error of the ephemeris period, days."""
    ephemeris_epoch: float | None = None
    """Ephemeris epoch, days."""
    ephemeris_epoch_err: float | None = None
    """Error of the ephemeris epoch, days."""
    abs_mag: float | None = None
    """Absolute magnitude of an asteroid or comet (H or m1), mag."""
    slope: float | None = None
    """Slope parameter of an asteroid or comet (G or k1), mag."""
    shared_by: str = ""
    """Who had shared the target to the source TOM, if anyone (TOM Toolkit 3)."""
    shared_from: str = ""
    """Name of the TOM that had shared it to the source TOM, if any (TOM Toolkit 3)."""
    extras: dict[str, str] = Field(default_factory=dict)
    """The target's extra fields, key to value, as text."""


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
    brightness: float | None = None
    """Brightness, in ``unit``."""
    brightness_error: float | None = None
    """Error of the brightness, in ``unit``."""
    limit: float | None = None
    """Limiting brightness of a non-detection, in ``unit``."""
    bandpass: str = ""
    """Filter."""
    unit: str = ""
    """Unit of the three numbers above; empty: as the source TOM does not say."""
    exposure_time: float | None = None
    """Exposure time, seconds."""

    @model_validator(mode="after")
    def _has_a_measurement(self) -> Self:
        if self.brightness is None and self.limit is None:
            raise ValueError("a photometric datum needs a brightness or a limit")
        return self


class SpectroscopyDatum(_Instrumented):
    """A spectrum: flux over wavelength, arrays of one length N."""

    data_type: Literal["spectroscopy"] = "spectroscopy"
    flux: tuple[float, ...]
    """Flux, shape (N,), in ``flux_unit``."""
    wavelength: tuple[float, ...]
    """Wavelength, shape (N,), in ``wavelength_unit``."""
    flux_error: tuple[float, ...] = ()
    """Error of the flux, shape (N,) or empty, in ``flux_unit``."""
    flux_unit: str = ""
    """Unit of the flux, as astropy writes it."""
    wavelength_unit: str = ""
    """Unit of the wavelength, as astropy writes it."""
    setup: str = ""
    """Set-up of the spectrograph."""
    exposure_time: float | None = None
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
    ra: float
    """Right ascension, degrees, ICRS."""
    dec: float
    """Declination, degrees, ICRS."""
    ra_error: float | None = None
    """Error of the right ascension, in ``ra_error_units``."""
    dec_error: float | None = None
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
    parts = [normalise_url(source_url), datum.data_type, utc_text(datum.timestamp), datum_value(datum)]
    return hashlib.sha256(canonical_json(parts)).hexdigest()


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
    datums: tuple[ReducedDatum, ...] = ()
    """Reduced datums that processing the file made at the source; for destinations that refuse the file."""

    @field_validator("name")
    @classmethod
    def _is_a_bare_name(cls, name: str) -> str:
        if "/" in name or "\\" in name or name in {".", ".."} or not name.isprintable():
            raise ValueError("a data product's name is a file name without folders or control characters")
        return name


class ListMember(Words):
    """A target in the summary of a target list."""

    name: str
    primary_key: int | None = None


def _name_or_url(text: str) -> str:
    return normalise_url(text) if "://" in text else text


class ShareBody(Words):
    """What every event's body has."""

    TYPE: ClassVar[str]
    ACCEPTED_AS: ClassVar[str]

    tom: TomIdentity
    hops: tuple[Annotated[str, AfterValidator(normalise_url)], ...] = ()
    """URLs of the TOMs that the data has been through before this one, oldest first; for echo suppression."""
    destinations: tuple[Annotated[str, AfterValidator(_name_or_url)], ...] | None = None
    """If given, only these destinations (consumer names or TOM URLs) act on it. Routing, not secrecy."""
    title: str = ""
    submitter: str = ""
    authors: str = ""
    message: str = ""

    @property
    def partition_key(self) -> str:
        """What keeps one target's events in one partition, in order."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """Name of what the event is about."""
        raise NotImplementedError


class _AboutTarget(ShareBody):
    target: TargetIdentity

    @property
    def partition_key(self) -> str:
        if self.target.primary_key is not None:
            return f"{self.tom.url}targets/{self.target.primary_key}/"
        return f"{self.tom.url}targets/?name={simplify_name(self.target.name)}"

    @property
    def subject(self) -> str:
        return self.target.name

    def datums_of(self) -> tuple[ReducedDatum, ...]:
        """Return the datums the body carries, wherever they stand."""
        return ()

    @model_validator(mode="after")
    def _identities_are_true(self) -> Self:
        for number, datum in enumerate(self.datums_of()):
            if datum.id is not None and datum.id != datum_identity(self.tom.url, datum):
                raise ValueError(f"datum {number} carries an identity that is not its own")
        return self


class TargetShared(_AboutTarget):
    """A target, with the lists it is in."""

    TYPE: ClassVar[str] = "tom.target.shared.v1"
    ACCEPTED_AS: ClassVar[str] = "targets"
    target: Target
    target_lists: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of the target lists that the target is to be in."""


class TargetListShared(ShareBody):
    """Summary of a shared target list. Nothing has to act on it: each member has a target event with the list's name."""

    TYPE: ClassVar[str] = "tom.target_list.shared.v1"
    ACCEPTED_AS: ClassVar[str] = "target_lists"
    name: Annotated[str, Field(min_length=1)]
    """Name of the list."""
    members: tuple[ListMember, ...] = ()

    @property
    def partition_key(self) -> str:
        return f"{self.tom.url}targetlists/?name={self.name}"

    @property
    def subject(self) -> str:
        return self.name


class ReducedDatumsShared(_AboutTarget):
    """A batch of reduced datums of one target."""

    TYPE: ClassVar[str] = "tom.reduced_datums.shared.v1"
    ACCEPTED_AS: ClassVar[str] = "reduced_datums"
    datums: Annotated[tuple[ReducedDatum, ...], Field(min_length=1)]

    def datums_of(self) -> tuple[ReducedDatum, ...]:
        return self.datums


class DataProductShared(_AboutTarget):
    """A data product of one target."""

    TYPE: ClassVar[str] = "tom.data_product.shared.v1"
    ACCEPTED_AS: ClassVar[str] = "data_products"
    product: DataProduct

    def datums_of(self) -> tuple[ReducedDatum, ...]:
        return self.product.datums


EVENT_TYPES: dict[str, type[ShareBody]] = {
    body.TYPE: body for body in (TargetShared, TargetListShared, ReducedDatumsShared, DataProductShared)
}
"""Every event type of this version, with its model."""

RESERVED_TYPES = frozenset(
    f"tom.{thing}.{verb}.v1"
    for thing in ("target", "target_list", "reduced_datums", "data_product")
    for verb in ("corrected", "withdrawn", "outcome")
)
"""Types that a later version will give a meaning; today they are skipped, politely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareEvent:
    """A share event: CloudEvents attributes and body.

    Parameters
    ----------
    id
        Unique identifier; also hop's ``_id``.
    time
        When the event was made, timezone-aware.
    body
        What is shared.
    """

    id: UUID
    time: datetime
    body: ShareBody

    @property
    def type(self) -> str:
        """CloudEvents ``type``."""
        return self.body.TYPE

    @property
    def source(self) -> str:
        """CloudEvents ``source``: the source TOM's URL."""
        return self.body.tom.url
