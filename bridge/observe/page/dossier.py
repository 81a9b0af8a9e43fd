"""Everything that was ever shared about one target: which events are about it, while the topics are read and afterwards."""

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.events import ShareBody, TargetListShared, simplify_name
from bridge.ledger import Partition
from bridge.observe.names import TargetNames
from bridge.observe.page.findings import Findings
from bridge.observe.page.lines import target_of
from bridge.observe.sightings import Sighting

__all__ = ["Dossier", "ReadSoFar"]

MOST_WAITING = 200
"""Events that may come in while older ones are read."""
MOST_PASSED = 200_000
"""Names of other targets that are remembered during a reading, 15 MB of them."""


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """How far the topics were read for a dossier.

    Parameters
    ----------
    state
        ``waiting`` for other targets' turn, ``reading``, ``complete``, ``stopped`` because it took too long, or ``failed``.
    records
        Records that were read.
    of
        Records that there were.
    why
        Of a failure.
    """

    state: str
    records: int = 0
    of: int = 0
    why: str = ""


class Dossier:
    """What was shared about a target. Any thread may call anything.

    An event is about it if it has one of its names (`TargetNames`), which events tell, too: any event, also one that comes
    behind others that were passed over, because nobody knew yet that their name is one of them. Then the topics have to be read
    once more, from their beginning; what was found is shown until that is done.

    Parameters
    ----------
    name
        Name or alias, as it was asked for; compared as TOM Toolkit compares names.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._names = TargetNames(name)
        self._lock = threading.Lock()
        self._version = secrets.randbits(48)  # none that an earlier dossier of this target had
        self._told = (-1, b"")
        self._shown = Findings(self._names.asked)
        self._next: dict[Partition, int]
        self._waiting: list[Sighting] | None
        self._passed: set[int] | None
        self._begin()

    @property
    def version(self) -> int:
        """Another one whenever something has changed."""
        return self._version

    @property
    def progress(self) -> ReadSoFar:
        """How far the topics were read."""
        return self._read

    @property
    def wants_reading(self) -> bool:
        """Whether the topics have to be read once more: it has failed, or events were passed over under one of its names."""
        return self._waiting is None and (self._read.state == "failed" or self._is_lacking)

    def begin_anew(self) -> None:
        """Prepare for the topics to be read once more, from their beginning."""
        with self._lock:
            self._begin()

    def note(self, read: ReadSoFar) -> None:
        """Note how far the topics were read."""
        with self._lock:
            self._read = read
            self._version += 1

    def read(self, found: Sighting) -> None:
        """Take an event from the reading of what the topics have."""
        with self._lock:
            consumed = found.consumed
            self._next[consumed.topic, consumed.partition] = consumed.next_offset
            self._take(found)

    def passed(self, place: Partition, next_offset: int) -> None:
        """Note that the topics were read up to there, whatever stood there."""
        with self._lock:
            self._next[place] = max(self._next.get(place, 0), next_offset)

    def saw(self, found: Sighting) -> None:
        """Take an event that has just come in, unless the reading brings it anyway."""
        with self._lock:
            if self._waiting is None:
                self._take_new(found)
            elif not self._is_about(found.event.body):
                self._pass_over(found.event.body)
            elif len(self._waiting) < MOST_WAITING:
                self._waiting.append(found)
            else:
                self._missed += 1

    def done(self, read: ReadSoFar) -> None:
        """Note the end of the reading; what came in meanwhile is added."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            for found in waiting:
                self._take_new(found)
            self._passed = None  # other events come without end; from now on any other name has the topics read once more
            self._shown = self._found
            self._read = read
            self._version += 1

    def document(self) -> bytes:
        """Return all of it as JSON; it is made once for all who ask, until something changes."""
        with self._lock:
            if self._told[0] != self._version:
                read = self._read
                about = {
                    "name": self.name,
                    "version": self._version,
                    "read": {"state": read.state, "records": read.records, "of": read.of, "why": read.why},
                    "missed": self._missed,
                }
                self._told = (self._version, self._shown.document(about).encode())
            return self._told[1]

    def _begin(self) -> None:
        self._found = Findings(self._names.asked)
        if not self._shown.event_count:
            self._shown = self._found
        self._read = ReadSoFar("waiting")
        self._next = {}
        self._waiting = []
        self._missed = 0
        self._passed = set()
        self._is_lacking = False
        self._version += 1

    def _take_new(self, found: Sighting) -> None:
        consumed = found.consumed
        if consumed.offset >= self._next.get((consumed.topic, consumed.partition), 0):
            self._take(found)

    def _take(self, found: Sighting) -> None:
        if self._is_about(found.event.body):
            self._version += 1
            self._found.take(found)
        else:
            self._pass_over(found.event.body)

    def _is_about(self, body: ShareBody) -> bool:
        target = target_of(body)
        if target is None:
            return any(name in self._names for name in _names(body))
        before = self._names.all
        if self._names.meet(target):
            fresh = self._names.all - before
            self._is_lacking |= self._passed is None or not self._passed.isdisjoint(map(hash, fresh))
        return self._names.is_about(target)

    def _pass_over(self, body: ShareBody) -> None:
        if self._passed is not None:
            self._passed.update(hash(simplify_name(name)) for name in _names(body))
            if len(self._passed) > MOST_PASSED:
                self._passed = None


def _names(body: ShareBody) -> Iterable[str]:
    if isinstance(body, TargetListShared):
        return [member.name for member in body.members]
    target = target_of(body)
    return () if target is None else target.names
