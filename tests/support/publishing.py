"""Publishing to the brokers of tests."""

from functools import cache

from bridge.kafka.connection import connect_settings
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry

__all__ = ["publisher_to"]


@cache
def publisher_to(url: str) -> Publisher:
    """Return this process's one publisher to a broker that lets everybody in: a new one takes half a second to begin.

    Parameters
    ----------
    url
        ``kafka://`` URL.
    """
    return Publisher(connect_settings("stream", StreamEntry(BASE_URL=url)))
