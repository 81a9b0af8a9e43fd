"""What an observer sees in a record: share events, whichever language they were written in, and what nobody can read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.codecs.native import Ignored
from bridge.codecs.reading import read_record
from bridge.codecs.record import ConsumedRecord
from bridge.errors import Misconfigured, Poison
from bridge.events import ReducedDatum, ShareBody, ShareEvent, datum_identity
from bridge.translate.datums import first_identity

__all__ = ["Sighting", "Unreadable", "identity_of", "sightings"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A share event as it was seen. A Hermes message makes several, all of one id.

    Parameters
    ----------
    event
        The event.
    consumed
        The record it stood in: topic, partition, offset, and when it was written.
    topic_address
        The topic as hop writes it, such as ``kafka://kafka.scimma.org/tomtoolkit.test``.
    """

    event: ShareEvent
    consumed: ConsumedRecord
    topic_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record, or a row of a Hermes message, of which no share event can be made.

    Parameters
    ----------
    consumed
        The record.
    reason
        Stable code, such as ``bad_json``, ``reserved_type``, ``test_message``.
    detail
        One sentence for a person. It may repeat what the sender wrote, control characters included.
    """

    consumed: ConsumedRecord
    reason: str
    detail: str


def sightings(consumed: ConsumedRecord, *, topic_address: str) -> Iterator[Sighting | Unreadable]:
    """Yield what is in a record, in its order; whatever is in it, nothing is raised.

    Parameters
    ----------
    consumed
        The record.
    topic_address
        Where it was read.
    """
    try:
        reading = read_record(
            consumed.record, topic_address=topic_address, name_from="submitter", time=consumed.time or _LONG_AGO
        )
    except (Poison, Ignored) as error:
        detail = error.detail if isinstance(error, Poison) else str(error)
        yield Unreadable(consumed=consumed, reason=error.reason, detail=detail)
    except Misconfigured as error:  # one Hermes message must not end an observer who came for share events
        yield Unreadable(consumed=consumed, reason="hermes_not_installed", detail=str(error))
    else:
        for event in reading.events:
            yield Sighting(event=event, consumed=consumed, topic_address=topic_address)
        for item in reading.refused:
            yield Unreadable(consumed=consumed, reason=item.reason, detail=f"{item.item}: {item.detail}")


def identity_of(datum: ReducedDatum, body: ShareBody) -> str:
    """Return the identity of a datum that a body carries: the one that it had first, if a hub passes it on."""
    return first_identity(datum, body.hops) or datum.id or datum_identity(body.tom.url, datum)
