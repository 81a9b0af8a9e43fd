"""The settings of consumers: what each reads, and what it may do at its destination."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from bridge.events import normalise_url
from bridge.settings.entries import Section, StreamTopic, topic_address

__all__ = ["ConsumerSettings"]

Kind = Literal["targets", "target_lists", "reduced_datums", "data_products"]
KINDS: tuple[Kind, ...] = ("targets", "target_lists", "reduced_datums", "data_products")
"""Kinds of events that a consumer may accept."""


def _stream_topic(text: str) -> str:
    return str(StreamTopic.parse(text))


def _source(text: str) -> str:
    if text == "*":
        return text
    return topic_address(text) if text.startswith("kafka://") else normalise_url(text)


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
    """URLs of the source TOMs whose events are acted on, and addresses of the topics whose Hermes messages are
    (``kafka://kafka.scimma.org/tomtoolkit.test``); ``"*"`` for all."""
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
    hermes_name: Literal["submitter", "topic"] = "submitter"
    """What a Hermes message's source is called here, for instance in "Imported from ...": its submitter, or its topic."""
    groups: list[str] = Field(default_factory=list)
    """Groups at the destination that see new targets. The account has to be a member of each."""
    permissions: Literal["PRIVATE", "OPEN", "PUBLIC"] = "PRIVATE"
    """Permissions of new targets."""
    max_new_targets_per_hour: Annotated[int, Field(ge=1)] = 1000
    """New targets per source and hour; beyond it the consumer holds and says so."""
    pace: Literal["polite", "full"] = "polite"
    """``polite``: one request at the destination at a time, and pauses when it has much to do, so that those who work there
    wait little for it. ``full``: as many at a time as go fastest, which is found by trying; for a TOM that nobody waits for."""
    max_parallel: Annotated[int, Field(ge=1, le=64)] = 8
    """Events in work at the same time, each of another target; and, at full pace, the most requests at a time."""
    backfill: Literal["datums", "products"] = "datums"
    """How photometry is written of which an event has much: ``datums``, each by a request of its own; ``products``, in files of
    up to 1,000 datums, which is some 20 times as fast and leaves these files at the destination as data products."""
    concurrent_writes: bool = False
    """Whether the destination bears writes of data beside writes of targets, and from several replicas: PostgreSQL does, and
    SQLite with IMMEDIATE transactions. Targets have one writer at a time in any case."""
    max_in_flight: Annotated[int, Field(ge=1)] = 500
    """Events that are taken from the topic and not done with; beyond it none is taken."""
    max_in_flight_bytes: Annotated[int, Field(ge=1)] = 16_000_000
    """Their size; bytes."""
    retry_seconds: Annotated[float, Field(gt=0)] = 900.0
    """How long an event is tried that fails while the destination is otherwise well, before it becomes a dead letter; seconds.
    A destination that is away is waited for as long as it takes."""
    max_refusals_in_a_row: Annotated[int, Field(ge=1)] = 20
    """Events that the destination may refuse one after the other, with none written in between; then the consumer stops.
    Those of them that are held back at that time are not committed, and no dead letters."""
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

    def consumer_group(self, name: str) -> str:
        """Return the Kafka consumer group of the consumer of that name."""
        return self.group_id or f"tom-bridge.{name}"

    def writer_group(self, name: str) -> str:
        """Return the group whose one partition is the right to write; nothing is read in it."""
        return f"{self.consumer_group(name)}.writer"

    def dead_letter_topic(self, name: str) -> StreamTopic:
        """Return where the dead letters of the consumer of that name go."""
        return StreamTopic.parse(self.dead_letters or f"{self.subscribe[0]}.{name}.dead-letters")
