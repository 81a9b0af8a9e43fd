"""A record in work: what is known of it between the topic and its end, and which thread is at which."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from bridge.codecs.echo import echo_headers
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.outcome import Outcome
from bridge.errors import Abandoned
from bridge.events import ShareEvent, simplify_name
from bridge.ledger import Ticket
from bridge.tom.written import Failure, Written

__all__ = ["Current", "Work", "lane_keys"]


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """One record on its way into the destination: one share event, or those that a Hermes message makes.

    Parameters
    ----------
    consumed, events
        The record, and what is admitted of what it says, in order.
    ticket
        Its place in the ledger.
    keys
        It never runs beside, or before, an earlier record that has one of these.
    unread
        Items of the record of which no event could be made.
    outcomes
        What became of its events, as far as they have come to their end.
    attempts
        How often writing it was begun.
    trying_seconds
        How long it has been tried in vain since it last got on, without the time in which the destination was away.
    broke_off
        How often in a row the destination took its requests and never answered, though it was well before.
    so_far
        What earlier attempts wrote of the event that is next.
    cancelled
        Whether it is to be given up: its partition went to another member, or the service stops.
    """

    consumed: ConsumedRecord
    events: tuple[ShareEvent, ...]
    ticket: Ticket
    keys: frozenset[str]
    unread: tuple[Failure, ...] = ()
    outcomes: list[Outcome] = field(default_factory=list)
    attempts: int = 0
    trying_seconds: float = 0.0
    broke_off: int = 0
    so_far: Written | None = None
    cancelled: bool = False

    @property
    def next_event(self) -> ShareEvent | None:
        """The first of its events that has not come to its end."""
        return self.events[len(self.outcomes)] if len(self.outcomes) < len(self.events) else None

    def ended(self, outcome: Outcome) -> None:
        """Note what became of the next event."""
        self.outcomes.append(outcome)
        self.so_far = None

    @property
    def outcome(self) -> Outcome:
        """What became of all of it, once all its events have come to their end."""
        subjects = [event.body.subject for event in self.events]
        return Outcome.of_all(list(zip(subjects, self.outcomes, strict=True)), unread=self.unread)


@dataclass(slots=True)
class _Place:
    """What one thread is at."""

    event: ShareEvent | None = None
    work: Work | None = None


class Current(threading.local):
    """What the calling thread is writing at present."""

    def __init__(self) -> None:
        self._place = _Place()

    @contextmanager
    def at(self, event: ShareEvent, work: Work | None = None) -> Iterator[None]:
        """Say that what follows is done for an event."""
        self._place = _Place(event, work)
        try:
            yield
        finally:
            self._place = _Place()

    def here(self) -> Callable[[], AbstractContextManager[None]]:
        """Return what puts another thread, for a block, at what this thread is at: it helps with it."""
        place = self._place

        @contextmanager
        def there() -> Iterator[None]:
            self._place = place
            try:
                yield
            finally:
                self._place = _Place()

        return there

    def headers(self) -> Mapping[str, str]:
        """Return the headers that mark a request with its event; none outside of one."""
        return echo_headers(self._place.event) if self._place.event is not None else {}

    def is_at_work(self) -> bool:
        """Whether the thread is at an event of the consumer's."""
        return self._place.work is not None

    def is_cancelled(self) -> bool:
        """Whether what the thread is at is to be given up."""
        return self._place.work is not None and self._place.work.cancelled

    def require(self) -> None:
        """Go on only if what the thread is at is still to be done.

        Raises
        ------
        Abandoned
            If it is not.
        """
        if self.is_cancelled():
            raise Abandoned("the event is no longer this member's")


def lane_keys(events: Iterable[ShareEvent]) -> frozenset[str]:
    """Return what a record has in common with every other that must not overtake it or run beside it.

    These are its targets at their source, and every name of theirs, since another source may tell of the same one.
    """
    keys = set()
    for event in events:
        target = getattr(event.body, "target", None)
        names = () if target is None else (simplify_name(name) for name in target.names)
        keys |= {f"key {event.body.partition_key}", *(f"name {name}" for name in names if name)}
    return frozenset(keys)
