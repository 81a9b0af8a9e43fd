"""The targets that are watched, and those asked for last: read from the topics when a page asks, kept up to date afterwards."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol, Self

import structlog

from bridge.codecs.record import ConsumedRecord
from bridge.errors import BridgeError
from bridge.ledger import Partition
from bridge.observe.page.dossier import Dossier, ReadSoFar
from bridge.observe.sightings import Sighting, sightings

__all__ = ["MOST_DOSSIERS", "READ_SECONDS", "Dossiers", "Reading"]

MOST_DOSSIERS = 32
"""Targets that are remembered: more than may be watched, so that each watcher's stays."""
READ_SECONDS = 30.0
"""How long the topics are read for one target."""
READERS = 2
"""Targets that are read for at the same time."""
RETRY_SECONDS = 10.0
"""After a failure, a target's page has the topics read again after so long; and not sooner when a new name comes up."""
NOTE_SECONDS = 0.5
"""How often it is said how far it has come."""
TURN_SECONDS = 0.2
CLOSING_SECONDS = 0.5
"""How long threads are waited for at the end; one may be in a question to a broker that is away."""


class Reading(Protocol):
    """Topics that are read from their beginning to the end that they have now."""

    @property
    def total(self) -> int:
        """Records that there are."""

    @property
    def drained(self) -> bool:
        """Whether all is read."""

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        """Return the next record, or None if there is none within the time."""

    def close(self) -> None:
        """Close the connection."""


class Dossiers:
    """Dossiers by name; as a context manager it reads for them. Any thread may call anything.

    Parameters
    ----------
    begin
        Begins to read the topics; raises `BridgeError` if they can't be read.
    address
        Returns a topic's address, as hop writes it.
    on_change
        Called when a dossier has changed.
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(
        self,
        *,
        begin: Callable[[], Reading],
        address: Callable[[str], str],
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._address = address
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Dossier] = OrderedDict()
        self._held: Counter[str] = Counter()
        self._retry_at: dict[str, float] = {}
        self._asked: SimpleQueue[Dossier] = SimpleQueue()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"dossiers-{n}", daemon=True) for n in range(READERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        until = time.monotonic() + CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def of(self, name: str) -> Dossier:
        """Return the dossier of a target; the topics are read for it if it is not remembered, or wants them read once more."""
        with self._lock:
            dossier = self._found.get(name)
            if dossier is None:
                dossier = self._found[name] = Dossier(name)
                self._asked.put(dossier)
            elif dossier.wants_reading and self._clock() >= self._retry_at.get(name, 0.0):
                dossier.begin_anew()
                self._asked.put(dossier)
            self._found.move_to_end(name)
            self._forget()
            return dossier

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Let no other target take the place of this one, which is watched."""
        with self._lock:
            self._held[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[name] -= 1
                if not self._held[name]:
                    del self._held[name]

    def saw(self, found: Sighting) -> None:
        """Take an event that has just come in."""
        with self._lock:
            dossiers = list(self._found.values())
        for dossier in dossiers:
            before = dossier.version
            dossier.saw(found)
            if dossier.version != before:
                self._on_change()

    def _forget(self) -> None:
        """Forget the targets that were asked for longest ago, but for those that are watched."""
        excess = max(0, len(self._found) - MOST_DOSSIERS)
        for name in [name for name in self._found if name not in self._held][:excess]:
            del self._found[name]
            self._retry_at.pop(name, None)

    def _is_wanted(self, dossier: Dossier) -> bool:
        with self._lock:
            return self._found.get(dossier.name) is dossier and not self._stop.is_set()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                dossier = self._asked.get(timeout=TURN_SECONDS)
            except Empty:
                continue
            if self._is_wanted(dossier):
                self._read(dossier)

    def _read(self, dossier: Dossier) -> None:
        records = total = 0
        try:
            with closing(self._begin()) as reading:
                total = reading.total
                until, note_at = self._clock() + READ_SECONDS, 0.0
                for consumed in self._records(reading, until):
                    if not self._is_wanted(dossier):
                        return
                    records += consumed is not None
                    if consumed is not None:
                        self._take(dossier, consumed)
                    if self._clock() >= note_at:
                        note_at = self._clock() + NOTE_SECONDS
                        self._note(dossier.note, "reading", records, total)
                self._end(dossier, "complete" if reading.drained else "stopped", records, total)
        except BridgeError as error:
            self._end(dossier, "failed", records, total, str(error))
        except Exception:  # noqa: BLE001  whatever it is, the target's page says so
            structlog.get_logger().exception("reading for a target failed")
            self._end(dossier, "failed", records, total, "the page itself failed; its log has the reason")

    def _records(self, reading: Reading, until: float) -> Iterator[ConsumedRecord | None]:
        while not reading.drained and self._clock() < until:
            yield reading.poll(TURN_SECONDS)

    def _take(self, dossier: Dossier, consumed: ConsumedRecord) -> None:
        for found in sightings(consumed, topic_address=self._address(consumed.topic)):
            if isinstance(found, Sighting):
                dossier.read(found)
        place: Partition = (consumed.topic, consumed.partition)
        dossier.passed(place, consumed.next_offset)

    def _end(self, dossier: Dossier, state: str, records: int, total: int, why: str = "") -> None:
        self._note(dossier.done, state, records, total, why)
        with self._lock:
            if dossier.name in self._found and (state == "failed" or not dossier.wants_reading):
                self._retry_at[dossier.name] = self._clock() + RETRY_SECONDS

    def _note(self, take: Callable[[ReadSoFar], None], state: str, records: int, total: int, why: str = "") -> None:
        take(ReadSoFar(state, records, max(total, records), why))
        self._on_change()
