"""Drafts: messages that a TOM has stored for a person to look at and publish, in memory, for a quarter of an hour."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from pydantic import JsonValue

from bridge.gateway.clients import Client

__all__ = ["Draft", "Drafts"]

LIFE_SECONDS = 900.0
"""As long as Hermes keeps them."""
MOST_DRAFTS = 50
"""Of each client; the next one takes the place of its oldest."""
MOST_BYTES = 20 * 1024 * 1024
"""Of each client, as they came; parsed, they take several times as much."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A message that waits to be published. Its repr shows neither its secrets nor its content.

    Parameters
    ----------
    client
        Who stored it.
    document
        What was stored, unchecked; None once it is published.
    size
        Of the request that brought it, in bytes.
    until
        When it is forgotten.
    key
        Whoever has it may see and publish the draft.
    token
        What the page's form carries.
    uuid
        Of the message, the same however often its publishing is tried: a reader that has it twice sees that.
    lock
        Held while it is being published.
    """

    client: Client
    document: JsonValue = field(repr=False)
    size: int
    until: float
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    uuid: UUID = field(default_factory=uuid4)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def published(self) -> bool:
        """Whether it is done with."""
        return self.document is None


class Drafts:
    """All drafts.

    Parameters
    ----------
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._drafts: dict[str, Draft] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    def add(self, client: Client, document: JsonValue, *, size: int) -> Draft:
        """Keep a draft; the oldest of the same client make room for it."""
        now = self._clock()
        draft = Draft(client=client, document=document, size=size, until=now + LIFE_SECONDS)
        with self._lock:
            self._forget(now)
            mine = [other for other in self._drafts.values() if other.client.name == client.name]
            while mine and (len(mine) >= MOST_DRAFTS or sum(other.size for other in mine) + size > MOST_BYTES):
                del self._drafts[mine.pop(0).key]
            self._drafts[draft.key] = draft
        return draft

    def get(self, key: str) -> Draft | None:
        """Return the draft of a key, if there still is one. Keys are too long for guessing, whatever time a look-up takes."""
        with self._lock:
            self._forget(self._clock())
            return self._drafts.get(key)

    def done(self, draft: Draft) -> None:
        """Note that a draft is published; what it held is not kept."""
        with self._lock:
            draft.document, draft.size = None, 0

    def _forget(self, now: float) -> None:
        for key in [key for key, draft in self._drafts.items() if draft.until <= now]:
            del self._drafts[key]
