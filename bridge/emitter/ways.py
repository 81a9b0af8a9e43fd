"""How events get to a destination: through Kafka, as they are or in Hermes' form, or through the Hermes API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.codecs.hermes.losses import Lost
from bridge.codecs.record import Record
from bridge.emitter.configuration import Stream, read_configuration
from bridge.errors import BridgeError, Misconfigured
from bridge.hermes_api import HermesApi
from bridge.hermes_publisher import HermesPublisher
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings
from bridge.kafka.hermes import WirePublisher
from bridge.kafka.publisher import Publisher
from bridge.settings import HermesEntry

__all__ = ["Way", "login_problems", "open_way", "place_of"]

_log = logging.getLogger(__name__)


class Way(Protocol):
    """What an outlet asks of a publisher; see `Publisher`."""

    def send(self, topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        """Hand a record over without waiting for it; return False if there is no room at present."""

    def serve(self, seconds: float) -> None:
        """Let reports come in, for so long or until there is one."""

    def abandon(self) -> None:
        """Give up everything that is not confirmed."""

    def trouble(self, topic: str) -> BridgeError | None:
        """Return what is known of why nothing gets through, if anything is."""


def open_way(stream: Stream, *, batches: bool) -> Way:
    """Return a publisher for a stream; ``batches`` as for `Publisher`.

    Raises
    ------
    Misconfigured
        If there is no login.
    """
    entry = stream.entry
    told = _Told(stream)
    if isinstance(entry, HermesEntry):
        return HermesPublisher(HermesApi(stream.key, entry), authors=entry.DEFAULT_AUTHORS, told=told)
    connection = connect_settings(stream.key, entry)
    publisher = Publisher(connection, delivery_timeout_seconds=0, batches=batches)
    if entry.FORMAT == "hermes":
        return WirePublisher(
            publisher,
            connection,
            authors=entry.DEFAULT_AUTHORS,
            told=told,
            limit=lambda topic: Admin(connection).most_bytes(topic),
        )
    return publisher


def login_problems() -> list[str]:
    """Return which streams this account has no login for, and whose login others can read on its way.

    Another account, the relay's, may have one.
    """
    problems = list[str]()
    for stream in read_configuration().streams.values():
        try:
            if isinstance(stream.entry, HermesEntry):
                HermesApi(stream.key, stream.entry).close()
                if stream.entry.is_exposed:
                    problems.append(f"[DATA_SHARING.{stream.key}] BASE_URL: the login goes over plain http; use https")
            else:
                connect_settings(stream.key, stream.entry)
        except Misconfigured as error:
            problems += str(error).splitlines()
    return problems


def place_of(stream: Stream) -> str:
    """Return what a stream is, for messages."""
    if isinstance(stream.entry, HermesEntry):
        return f"Hermes {stream.key} ({stream.entry.BASE_URL})"
    return f"stream {stream.key} ({stream.entry.bootstrap})"


class _Told:
    """Logs what Hermes does not carry: each kind of loss once, and whatever does not go at all each time."""

    def __init__(self, stream: Stream) -> None:
        self._key = stream.key
        self._said: set[tuple[str, str]] = set()

    def __call__(self, subject: str, lost: Sequence[Lost]) -> None:
        for found in lost:
            if found.what in {"datum", "product"}:
                _log.warning("%s: %s: %s", self._key, subject, found)
            elif (found.what, found.why) not in self._said:
                self._said.add((found.what, found.why))
                _log.warning("%s: %s: %s; this is said once", self._key, subject, found)
