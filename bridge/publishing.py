"""Publishing share events to a topic, whatever stands behind it: Kafka, Kafka in Hermes' form, or the Hermes API."""

from collections import Counter
from collections.abc import Callable, Sequence

from bridge.codecs import native
from bridge.codecs.hermes.losses import Lost
from bridge.errors import Poison
from bridge.events import ShareEvent
from bridge.hermes_api import HermesApi
from bridge.hermes_publisher import HermesPublisher
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.hermes import WirePublisher
from bridge.kafka.publisher import Publisher
from bridge.settings import HermesEntry, Settings

__all__ = ["Destination"]


class Destination:
    """A topic to publish to; made before anything is read, so that a wrong login is said first.

    Parameters
    ----------
    settings
        All settings.
    to
        ``<stream>:<topic>``.
    warn
        Told, in a sentence, what Hermes does not carry of the events, and if others can read the login on its way.

    Raises
    ------
    BridgeError
        If there is no such stream, or its login cannot be used.
    """

    def __init__(self, settings: Settings, to: str, *, warn: Callable[[str], None]) -> None:
        entry, self._place = settings.stream_or_hermes_topic(to)
        self._warn = warn
        self._lost: Counter[tuple[str, str]] = Counter()
        self._guarded: Connection | None = None
        if isinstance(entry, HermesEntry):
            if entry.is_exposed:
                warn(f"Hermes {self._place.stream}: the login goes over plain http; use https")
            api = HermesApi(self._place.stream, entry)
            self._publisher: Publisher | WirePublisher | HermesPublisher = HermesPublisher(
                api, authors=entry.DEFAULT_AUTHORS, told=self._note
            )
            return
        self._guarded = connect_settings(self._place.stream, entry)
        if entry.FORMAT == "hermes":
            # Each message by itself: a topic's max.message.bytes, up to which they are filled, holds for all that go together.
            publisher, limit = Publisher(self._guarded, batches=False), Admin(self._guarded).most_bytes
            authors = entry.DEFAULT_AUTHORS
            self._publisher = WirePublisher(publisher, self._guarded, authors=authors, told=self._note, limit=limit)
        else:
            self._publisher = Publisher(self._guarded)

    def publish(self, events: Sequence[ShareEvent], *, on_published: Callable[[int], None] = lambda _number: None) -> int:
        """Publish events in order, and return how many, all of them confirmed.

        Parameters
        ----------
        events
            Share events. If one is too large, none is published.
        on_published
            Called with the number confirmed so far, for progress.

        Raises
        ------
        BridgeError
            If one is too large, or is not taken.
        """
        try:
            records = [native.encode(event) for event in events]
        except ValueError as error:
            raise Poison("too_large", f"nothing was published: {error}") from error
        if self._guarded is not None and Admin(self._guarded).is_embedded():
            EmbeddedBroker.guard(sum(record.size for record in records))
        try:
            return self._publisher.publish(self._place.topic, records, on_delivered=on_published)
        finally:
            for (what, why), count in self._lost.items():
                self._warn(f"Hermes: {what}{f' ({count:,} times)' if count > 1 else ''}: {why}")

    def close(self) -> None:
        """Close connections."""
        if isinstance(self._publisher, HermesPublisher):
            self._publisher.abandon()

    def _note(self, subject: str, lost: Sequence[Lost]) -> None:
        for found in lost:
            whole = found.what in {"event", "product"}
            self._lost[f"{found.what} of {subject}" if whole else found.what, found.why] += len(found.datums) or 1
