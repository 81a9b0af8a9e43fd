"""Which events a consumer acts on: a pure decision."""

from bridge.consumer.outcome import Outcome, skipped
from bridge.events import ShareEvent, TargetListShared
from bridge.settings import ConsumerSettings

__all__ = ["admit"]


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
        return skipped("own_event", "the destination itself shared it")
    if url in body.hops:
        return skipped("echo", "the data has been through the destination already")
    if "*" not in settings.accept_sources and body.tom.url not in settings.accept_sources:
        return skipped("source_not_accepted", f"{body.tom.url} is not among accept_sources")
    if body.ACCEPTED_AS not in settings.accept:
        return skipped("kind_not_accepted", f"{body.ACCEPTED_AS} is not among accept")
    if body.destinations is not None and name not in body.destinations and url not in body.destinations:
        return skipped("other_destination", "it is addressed to others")
    if isinstance(body, TargetListShared):
        return skipped("summary", "each member of the list has an event of its own")
    return None
