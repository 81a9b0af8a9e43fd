"""How a TOM's emitter works: ``TOM_BRIDGE`` in the TOM's settings.py."""

from typing import Annotated

from pydantic import Field

from bridge.settings.entries import Section

__all__ = ["EmitterSettings"]


class EmitterSettings(Section):
    """The emitter's ways; every key has a default, and most TOMs need none."""

    QUIET_SECONDS: Annotated[float, Field(ge=0, le=3600)] = 2.0
    """A target is sealed into events when nothing about it has changed for so long: a web form saves the target
    first and its aliases, extras and lists after it."""
    LONGEST_WAIT_SECONDS: Annotated[float, Field(ge=0, le=86400)] = 30.0
    """A target that never comes to rest is sealed after so long all the same."""
    KEEP_PUBLISHED_DAYS: Annotated[float, Field(ge=0)] = 7.0
    """The relay removes published events from the outbox after so many days."""
    RELAY_IN_WEB_PROCESS: bool = False
    """Run the relay as a thread of the web server, for development: it ends with the process, and every worker waits for
    its turn. In production, run ``manage.py bridge_relay`` as a service."""
