"""The settings of consumers: what each reads, and what it may do at its destination."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from bridge.events import normalise_url
from bridge.settings.entries import Section, StreamTopic

__all__ = ["ConsumerSettings"]

Kind = Literal["targets", "target_lists", "reduced_datums", "data_products"]
KINDS: tuple[Kind, ...] = ("targets", "target_lists", "reduced_datums", "data_products")
"""Kinds of events that a consumer may accept."""


def _stream_topic(text: str) -> str:
    return str(StreamTopic.parse(text))


def _source(text: str) -> str:
    return text if text == "*" else normalise_url(text)


def _prefix(text: str) -> str:
    parts = urlsplit(text)
    if not parts.scheme or not (parts.netloc or (parts.scheme == "file" and parts.path.strip("/"))):
        raise ValueError("expected the beginning of an address, for instance https://their-tom.org/data/")
    return text


def _start(text: str) -> str:
    if text in {"earliest", "latest"}:
        return text
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        raise ValueError("expected earliest, latest or a time, for instance 2026-11-01T00:00:00Z") from None
    if zone is None:
        raise ValueError("a start time needs a time zone, for instance 2026-11-01T00:00:00Z")
    return text


class ConsumerSettings(Section):
    """One consumer service: what it reads, and what it may do at its destination TOM."""

    subscribe: Annotated[list[Annotated[str, AfterValidator(_stream_topic)]], Field(min_length=1)]
    """Topics, each ``<stream>:<topic>``; all of one stream."""
    accept_sources: Annotated[list[Annotated[str, AfterValidator(_source)]], Field(min_length=1)]
    """URLs of the source TOMs whose events are acted on; ``"*"`` for all."""
    accept: list[Kind] = Field(default_factory=lambda: list(KINDS))
    """Kinds of events that are acted on."""
    start: Annotated[str, AfterValidator(_start)] = "earliest"
    """Where a new consumer begins: earliest, latest or a time with its zone."""
    unmatched: Literal["skip", "hold", "create"] = "skip"
    """Datums and data products whose target is not here: skip them, hold them as dead letters, or create the target."""
    imported_list: str = "Imported from {tom_name}"
    """Name of the list for new targets."""
    imported_list_for: Literal["new", "all"] = "new"
    """Whether only new targets go into that list, or matched ones too."""
    source_name: Literal["tom", "original"] = "tom"
    """``source_name`` of datums here: the source TOM's name, or where that TOM had them from."""
    groups: list[str] = Field(default_factory=list)
    """Groups at the destination that see new targets. The account has to be a member of each."""
    permissions: Literal["PRIVATE", "OPEN", "PUBLIC"] = "PRIVATE"
    """Permissions of new targets."""
    max_new_targets_per_hour: Annotated[int, Field(ge=1)] = 1000
    """New targets per source and hour; beyond it the consumer holds and says so."""
    max_separation_arcsec: Annotated[float, Field(gt=0)] = 60.0
    """Targets of one name that are farther apart on the sky are not the same; arcseconds."""
    fetch_from: list[Annotated[str, AfterValidator(_prefix)]] = Field(default_factory=list)
    """URL prefixes from which the files of data products may be fetched; empty: none are."""
    max_product_bytes: Annotated[int, Field(ge=1)] = 100_000_000
    """Largest data product that is accepted; bytes."""
    dead_letters: Annotated[str, AfterValidator(_stream_topic)] | None = None
    """Where dead letters go; the default is ``<first topic>.<consumer>.dead-letters`` on the same stream."""
    group_id: str = ""
    """Kafka consumer group; the default is ``tom-bridge.<consumer>``."""

    @model_validator(mode="after")
    def _fits_together(self) -> "ConsumerSettings":
        if len({StreamTopic.parse(text).stream for text in self.subscribe}) > 1:
            raise ValueError("subscribe: all topics of one consumer have to be on one stream; use a consumer for each")
        if self.dead_letters in self.subscribe:
            raise ValueError("dead_letters: must not be a topic that is subscribed, or every dead letter comes back")
        try:
            self.imported_list.format(tom_name="x")
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise ValueError("imported_list: only {tom_name} may stand in braces") from error
        return self

    @property
    def topics(self) -> list[str]:
        """The subscribed topics' names, without the stream."""
        return [StreamTopic.parse(text).topic for text in self.subscribe]

    @property
    def stream(self) -> str:
        """Key of the stream."""
        return StreamTopic.parse(self.subscribe[0]).stream

    def dead_letter_topic(self, name: str) -> StreamTopic:
        """Return where the dead letters of the consumer of that name go."""
        return StreamTopic.parse(self.dead_letters or f"{self.subscribe[0]}.{name}.dead-letters")
