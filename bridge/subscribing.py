"""The bridge from Python: ``bridge.subscribe``, ``bridge.publish``, ``bridge.rows``."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.codecs.native import new_event
from bridge.errors import Misconfigured
from bridge.events import ShareBody, ShareEvent
from bridge.kafka.connection import connect_settings
from bridge.kafka.following import Following
from bridge.observe.filters import Where
from bridge.observe.rows import rows_of
from bridge.observe.sightings import Sighting, Unreadable, sightings
from bridge.publishing import Destination
from bridge.settings import Settings
from bridge.settings.files import settings_file
from bridge.telemetry import printable

__all__ = ["Config", "Events", "publish", "rows", "subscribe"]

Config = str | os.PathLike[str] | Mapping[str, Any] | Settings | None
"""A TOML file, a dictionary with its content, or settings that were read; None: the file that the command line would take."""

log = logging.getLogger("bridge")


class Events(Iterator[ShareEvent]):
    """The events of a topic as they come: an iterator, and a context manager that closes the connection.

    An interrupt (Ctrl-C, "interrupt the kernel") ends the loop and not the connection: another loop over the same object
    goes on where the first was, with the next event. Made by `subscribe`.
    """

    def __init__(
        self,
        following: Following,
        *,
        topic_address: str,
        where: Where | None,
        drain: bool,
        on_unreadable: Callable[[Unreadable], None],
    ) -> None:
        self._following = following
        self._address = topic_address
        self._where = where
        self._drain = drain
        self._on_unreadable = on_unreadable
        self._waiting: deque[ShareEvent] = deque()
        self._positions = following.positions
        self._is_settled = True
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __next__(self) -> ShareEvent:
        while not self._waiting:
            if not self._is_open:
                raise StopIteration
            self._read()
        event = self._waiting[0]
        del self._waiting[0]  # not popleft(): an interrupt comes at a call, and would take the event with it
        return event

    def close(self) -> None:
        """Close the connection; the iterator ends."""
        if self._is_open:
            self._is_open = False
            self._following.close()

    def _read(self) -> None:
        """Read a record. Python looks for an interrupt at calls and loops; wherever one comes, the record is read again."""
        if not self._is_settled:
            self._following.go_on(self._positions)
        self._is_settled = False
        # A generator of its own each time: one that was interrupted is spent.
        consumed = next(self._following.records(drain=self._drain), None)
        if consumed is None:
            self.close()
            return
        found = list(sightings(consumed, topic_address=self._address))
        selected = deque(event for seen in found if isinstance(seen, Sighting) and (event := self._select(seen.event)))
        positions = self._following.positions
        # No call and no loop until the last of these: all of them hold, or none.
        self._waiting = selected
        self._positions = positions
        self._is_settled = True
        for seen in found:
            if isinstance(seen, Unreadable):
                self._on_unreadable(seen)

    def _select(self, event: ShareEvent) -> ShareEvent | None:
        return event if self._where is None else self._where.select(event)


def _log_unreadable(seen: Unreadable) -> None:
    log.warning("%s", printable(f"not a share event: {seen.consumed.place}: {seen.reason}: {seen.detail}"))


def subscribe(
    topic: str,
    *,
    where: str | Where | None = None,
    start: str | datetime = "latest",
    drain: bool = False,
    config: Config = None,
    on_unreadable: Callable[[Unreadable], None] = _log_unreadable,
) -> Events:
    """Return the events of a topic, for a ``for`` loop. Nobody else's reading is disturbed by it.

    Parameters
    ----------
    topic
        ``<stream>:<topic>``, the stream being a key of DATA_SHARING.
    where
        Only what this selects, such as ``'target = "SN 2024abc" and brightness < 18.5'``; see `bridge.Where`.
    start
        ``earliest``, ``latest``, or a time: a datetime or ISO 8601, in UTC if it has no zone.
    drain
        Whether to end where the topic ended when this was called; else the loop waits for more, for ever.
    config
        Where DATA_SHARING is: a TOML file, or a dictionary as such a file holds it. By default the file that the environment
        variable ``TOM_BRIDGE_CONFIG`` names, else ``bridge.toml`` or ``config/bridge.toml``.
    on_unreadable
        Called with each record that is neither a share event nor a Hermes message; by default it is logged.

    Returns
    -------
    Events
        An iterator of `bridge.events.ShareEvent`, native ones and those in Hermes messages alike.

    Raises
    ------
    Misconfigured
        If the settings, the topic, `where` or `start` are wrong.
    BridgeError
        If the broker can't be reached or refuses.

    Examples
    --------
    >>> for event in bridge.subscribe("share-stream:tom.shares", where="type = target", start="earliest", drain=True):
    ...     print(event.time, event.body.target.name)
    """
    entry, place = read_config(config).stream_topic(topic, only_user_topics=False)
    parsed = Where.parse(where) if isinstance(where, str) else where
    text = start.isoformat() if isinstance(start, datetime) else start
    return Events(
        Following(connect_settings(place.stream, entry), topics=[place.topic], start=text),
        topic_address=entry.address(place.topic),
        where=parsed,
        drain=drain,
        on_unreadable=on_unreadable,
    )


def publish(topic: str, events: Iterable[ShareEvent | ShareBody], *, config: Config = None) -> int:
    """Publish share events, and return how many: the broker, or Hermes, has confirmed them all.

    Parameters
    ----------
    topic
        ``<stream>:<topic>``, the stream being a key of DATA_SHARING: a broker or the Hermes API.
    events
        Events, or bodies of events, which are made now: `bridge.events.TargetShared`, `ReducedDatumsShared` and so on.
    config
        As for `subscribe`.

    Raises
    ------
    Misconfigured
        If the settings or the topic are wrong.
    BridgeError
        If one of them is too large, when none is published; or if the broker does not take one.
    """
    now = datetime.now(UTC)
    made = [event if isinstance(event, ShareEvent) else new_event(event, now=now) for event in events]
    with closing(Destination(read_config(config), topic, warn=lambda text: log.warning("%s", printable(text)))) as destination:
        return destination.publish(made)


def rows(events: ShareEvent | Iterable[ShareEvent]) -> Iterator[dict[str, Any]]:
    """Yield a dictionary for each datum of events, and one for each event without datums, as ``tail --format csv`` has them.

    Made for ``pandas.DataFrame(bridge.rows(events))``; `bridge.observe.rows.COLUMNS` says what is in them.
    """
    for event in [events] if isinstance(events, ShareEvent) else events:
        yield from rows_of(event)


def read_config(config: Config) -> Settings:
    """Return the settings that `subscribe` and `publish` take from `config`."""
    if isinstance(config, Settings):
        return config
    if isinstance(config, Mapping):
        unknown = sorted(set(config) - {"DATA_SHARING", "consumers", "gateway"})
        sharing = config.get("DATA_SHARING")
        if unknown or not isinstance(sharing, Mapping):
            raise Misconfigured(f"config: expected {{'DATA_SHARING': {{...}}}}{f', not {unknown[0]!r}' if unknown else ''}")
        return Settings(origin="config", sharing=sharing, consumers=config.get("consumers", {}), environment=None)
    named = config if config is not None else os.environ.get("TOM_BRIDGE_CONFIG")
    return Settings.from_toml(settings_file(Path(named) if named else None))
