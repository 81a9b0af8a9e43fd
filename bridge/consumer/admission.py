"""Which events a consumer acts on: pure decisions.

Whose an event is, and of which kind, is told by its record's label, before anybody reads it; the rest by the event.
"""

from collections.abc import Collection

from bridge.consumer.outcome import Outcome, skipped
from bridge.events import EVENT_TYPES, RESERVED_TYPES, ShareEvent, TargetListShared, normalise_url
from bridge.settings import ConsumerSettings

__all__ = ["admit", "admit_address", "admit_label", "admit_source"]


def admit(event: ShareEvent, *, name: str, url: str, settings: ConsumerSettings) -> Outcome | None:
    """Return why an event is passed over, or None if it is to be acted on.

    Parameters
    ----------
    event
        A decoded event.
    name, url
        The destination: the consumer's name and the TOM's URL.
    settings
        What the consumer may do.
    """
    body = event.body
    if body.tom.url == url:
        return _own()
    if (why := admit_source(body.tom.address, settings) or _admit_kind(body.ACCEPTED_AS, settings)) is not None:
        return why
    if (why := admit_address(body.hops, body.destinations, name=name, url=url)) is not None:
        return why
    if isinstance(body, TargetListShared):
        return skipped("summary", "each member of the list has an event of its own")
    return None


def admit_label(source: str, event_type: str, *, url: str, settings: ConsumerSettings) -> Outcome | None:
    """Return why all events of a source and type are passed over, or None if that depends on the event.

    Parameters
    ----------
    source, event_type
        The CloudEvents attributes. A source that is not a TOM's URL, spelt as it should be, takes a reader to complain of.
    url
        Of the destination.
    settings
        What the consumer may do.
    """
    if not _is_spelt_well(source):
        return None
    if source == url:
        return _own()
    if (why := admit_source(source, settings)) is not None:
        return why
    if event_type in RESERVED_TYPES:
        return skipped("reserved_type", f"{event_type} is reserved for a later version")
    body = EVENT_TYPES.get(event_type)
    return None if body is None else _admit_kind(body.ACCEPTED_AS, settings)


def admit_source(address: str, settings: ConsumerSettings) -> Outcome | None:
    """Return why everything that comes from an address is passed over, or None if it is not."""
    if "*" in settings.accept_sources or address in settings.accept_sources:
        return None
    return skipped("source_not_accepted", f"{address} is not among accept_sources")


def admit_address(hops: Collection[str], destinations: Collection[str] | None, *, name: str, url: str) -> Outcome | None:
    """Return why an event is passed over for where it has been or for whom it is, or None if it is not.

    Parameters
    ----------
    hops, destinations
        Of its body.
    name, url
        The destination: the consumer's name and the TOM's URL.
    """
    if url in hops:
        return skipped("echo", "the data has been through the destination already")
    if destinations is not None and name not in destinations and url not in destinations:
        return skipped("other_destination", "it is addressed to others")
    return None


def _admit_kind(kind: str, settings: ConsumerSettings) -> Outcome | None:
    return None if kind in settings.accept else skipped("kind_not_accepted", f"{kind} is not among accept")


def _own() -> Outcome:
    return skipped("own_event", "the destination itself shared it")


def _is_spelt_well(source: str) -> bool:
    try:
        return normalise_url(source) == source
    except ValueError:
        return False
