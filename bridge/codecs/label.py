"""What a record says of itself before it is read: from which TOM it comes, of which type it is, and for whom.

To read an event, and to check all of it, takes many times as long; most of what a consumer comes across may concern others.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.codecs.record import Headers
from bridge.events import Destinations, Hops

__all__ = ["Address", "address_of", "label_of", "label_texts"]

MOST_LABEL_BYTES = 500
"""A source or type that is longer is not looked at here: what is looked at is remembered."""
MOST_ADDRESS_BYTES = 1_000_000
"""Nor is a value that is larger: Kafka's own default limit."""


class Address(BaseModel):
    """Where an event has been, and for whom it is, as its body says."""

    model_config = ConfigDict(frozen=True)

    hops: Hops = ()
    destinations: Destinations | None = None


def label_of(headers: Headers) -> tuple[bytes, bytes] | None:
    """Return the CloudEvents source and type that the headers give, or None if they are not those of CloudEvents 1.x."""
    first = dict(reversed(headers))  # of a name that is there twice, the first counts
    source, event_type = first.get("ce_source", b""), first.get("ce_type", b"")
    if not (source and event_type and first.get("ce_specversion", b"").startswith(b"1.")):
        return None
    return (source, event_type) if len(source) + len(event_type) <= MOST_LABEL_BYTES else None


def label_texts(headers: Headers) -> Mapping[str, str]:
    """Return what the ``ce_`` headers say, by attribute, for people; nothing of it has been checked."""
    return {name.removeprefix("ce_"): value.decode(errors="replace") for name, value in reversed(headers) if name[:3] == "ce_"}


def address_of(value: bytes) -> Address | None:
    """Return where an event has been and for whom it is, or None if it does not say, or if it takes a reader to tell."""
    if b'"destinations"' not in value or len(value) > MOST_ADDRESS_BYTES:
        return None
    try:
        return Address.model_validate_json(value)
    except ValidationError:  # whoever reads it says what is wrong
        return None
