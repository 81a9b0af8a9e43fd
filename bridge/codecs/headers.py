"""The headers of a record: CloudEvents in binary content mode, and hop's beside them.

Sources: CloudEvents Kafka protocol binding 1.0.2, section 3.2 (``ce_`` headers, UTF-8, ``content-type``); hop-client
0.13 ``hop/io.py`` (``_id``: the 16 bytes of a UUID, ``_format``: the name of the model that reads the value).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from bridge.codecs.record import Headers, header
from bridge.errors import Poison
from bridge.events import ShareEvent, utc_text

__all__ = ["Attributes", "encode_headers", "header_texts", "read_attributes", "schema_name", "shown"]

SPEC_VERSION = "1.0"
MOST_SHOWN = 100
"""Characters of what a sender wrote that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The CloudEvents attributes that a record's headers, or a structured event, carry."""

    id: UUID
    type: str
    source: str
    time: datetime


def schema_name(event_type: str) -> str:
    """Return the ``dataschema`` URI of an event type; the file of that name is in ``schemas/``."""
    return f"urn:tom-bridge:schema:{event_type}"


def encode_headers(event: ShareEvent) -> Headers:
    """Return the headers of an event's record."""
    texts = {
        "content-type": "application/json",
        "ce_specversion": SPEC_VERSION,
        "ce_id": str(event.id),
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_time": utc_text(event.time),
        "ce_subject": event.body.subject,
        "ce_dataschema": schema_name(event.type),
        "_format": "json",
    }
    return (*((name, text.encode()) for name, text in texts.items()), ("_id", event.id.bytes))


def read_attributes(texts: dict[str, str]) -> Attributes:
    """Read CloudEvents attributes from their texts.

    Raises
    ------
    Poison
        If a required one is missing or malformed, or the specification's version is not 1.x.
    """
    missing = [name for name in ("specversion", "id", "source", "type", "time") if not texts.get(name)]
    if missing:
        raise Poison("missing_attributes", f"CloudEvents attributes missing: {', '.join(missing)}")
    if not texts["specversion"].startswith("1."):
        raise Poison("cloudevents_version", "only CloudEvents 1.x is understood")
    return Attributes(id=_read_id(texts["id"]), type=texts["type"], source=texts["source"], time=_read_time(texts["time"]))


def header_texts(headers: Headers) -> dict[str, str] | None:
    """Return the ``ce_`` headers as texts without their prefix, or None if there is no ``ce_specversion``.

    Raises
    ------
    Poison
        If one of them is not UTF-8.
    """
    if header(headers, "ce_specversion") is None:
        return None
    texts: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_"):
            try:
                texts.setdefault(name.removeprefix("ce_"), value.decode())
            except UnicodeDecodeError as error:
                raise Poison("bad_attributes", f"header {shown(name)} is not UTF-8") from error
    return texts


def shown(text: str) -> str:
    """Return a text as a message may repeat it: in quotes, short, without anything that moves a cursor."""
    return repr(text) if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]!r}..."


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Poison("bad_attributes", "the CloudEvents attribute id is not a UUID") from None


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # their words repeat the text
        pass
    raise Poison(
        "bad_attributes",
        "the CloudEvents attribute time is not a time in ISO 8601 with its zone, such as 2026-11-23T04:30:00Z, "
        "in the years 1 to 9999",
    )
