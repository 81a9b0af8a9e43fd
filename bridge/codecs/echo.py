"""The headers of a request that say for which share event it writes, so that its data is not taken for the TOM's own.

A consumer sends them with everything it writes; the emitter at the destination reads them.
"""

from urllib.parse import quote

from bridge.events import ShareEvent

__all__ = ["EVENT_HEADER", "HOPS_HEADER", "echo_headers"]

EVENT_HEADER = "X-Tom-Bridge-Event"
"""Id of the share event that a request writes for."""
HOPS_HEADER = "X-Tom-Bridge-Hops"
"""URLs of the TOMs that this event has been through, its source last; separated by spaces."""


def echo_headers(event: ShareEvent) -> dict[str, str]:
    """Return the headers of the requests that write an event."""
    hops = (*event.body.hops, event.source)
    return {EVENT_HEADER: str(event.id), HOPS_HEADER: " ".join(quote(url, safe=":/?&=%~[]@!$'()*+,;") for url in hops)}
