"""The four share events: a body each, and the CloudEvents attributes around it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from bridge.events.canonical import normalise_url, simplify_name
from bridge.events.datums import ReducedDatum, datum_identity
from bridge.events.products import DataProduct
from bridge.events.targets import Target, TargetIdentity
from bridge.events.words import Several, TomIdentity, Words

__all__ = [
    "EVENT_TYPES",
    "RESERVED_TYPES",
    "DataProductShared",
    "Destinations",
    "Hops",
    "ListMember",
    "ReducedDatumsShared",
    "ShareBody",
    "ShareEvent",
    "TargetListShared",
    "TargetShared",
]


class ListMember(Words):
    """A target in the summary of a target list."""

    name: str
    primary_key: int | None = None


def _name_or_url(text: str) -> str:
    return normalise_url(text) if "://" in text else text


Hops = Several[Annotated[str, AfterValidator(normalise_url)]]
"""URLs of TOMs."""
Destinations = Several[Annotated[str, AfterValidator(_name_or_url)]]
"""Names of consumers, and URLs of TOMs."""


class ShareBody(Words):
    """What every event's body has."""

    TYPE: ClassVar[str]
    ACCEPTED_AS: ClassVar[str]

    tom: TomIdentity
    hops: Hops = ()
    """URLs of the TOMs that the data has been through before this one, oldest first; for echo suppression."""
    destinations: Destinations | None = None
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

    def datums_of(self) -> tuple[ReducedDatum, ...]:
        """Return the datums the body carries, wherever they stand."""
        return ()


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
    target_lists: Several[Annotated[str, Field(min_length=1)]] = ()
    """Names of the target lists that the target is to be in."""


class TargetListShared(ShareBody):
    """Summary of a shared target list. Nothing has to act on it: each member has a target event with the list's name."""

    TYPE: ClassVar[str] = "tom.target_list.shared.v1"
    ACCEPTED_AS: ClassVar[str] = "target_lists"
    name: Annotated[str, Field(min_length=1)]
    """Name of the list."""
    members: Several[ListMember] = ()

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
    datums: Annotated[Several[ReducedDatum], Field(min_length=1)]

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
        return self.body.tom.address
