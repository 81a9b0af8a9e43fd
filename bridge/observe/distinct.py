"""The datums of what was seen, each once, however often it was shared, and however many there are."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from bridge.events import DataProductShared, ReducedDatumsShared, ShareBody, TargetShared
from bridge.observe.filters import Where
from bridge.observe.lightcurves import DatumRow, datum_rows
from bridge.observe.names import TargetNames
from bridge.observe.sightings import Sighting, Unreadable

__all__ = ["Census", "Seen", "distinct"]

CACHE_KIB = 16_000
"""Memory in which SQLite keeps pages; the rest is in a temporary file, some 30 bytes a digest."""
NOTHING_TO_TELL = frozenset({"reserved_type", "test_message", "nothing_to_share"})
"""Why a record can have no datums without anything being wrong with it."""


class Seen:
    """A set of digests on disk, in a temporary file that goes away by itself. A million in memory would take 100 MB."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a database without a name is such a file
        for setting in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, digests: Iterable[bytes]) -> bool:
        """Add digests of one thing, and return whether it is new: none of them was there.

        Raises
        ------
        OSError
            If the temporary file can't be written.
        """
        try:
            added = [self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (each,)).rowcount == 1 for each in digests]
        except sqlite3.Error as error:
            raise OSError(0, f"the temporary file of what was seen: {error}") from error
        return all(added)

    def close(self) -> None:
        """Remove the file."""
        self._database.close()


@dataclass(slots=True)
class Census:
    """What was met on the way.

    Parameters
    ----------
    repeated
        Datums that were seen once more.
    unreadable
        Records, and rows of Hermes messages, of which nothing could be made, by reason.
    examples
        For each of these reasons, which was the first, and what is wrong with it.
    """

    repeated: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, found: Unreadable) -> None:
        """Count what could not be read, unless nothing is wrong with it."""
        if found.reason not in NOTHING_TO_TELL:
            self.unreadable[found.reason] += 1
            self.examples.setdefault(found.reason, f"{found.consumed.place}: {found.detail}")


def distinct(
    found: Iterable[Sighting | Unreadable],
    *,
    where: Where | None,
    census: Census,
    target: TargetNames | None = None,
) -> Iterator[DatumRow]:
    """Yield the datums of events, each as it was seen first. Memory does not grow with their number.

    Parameters
    ----------
    found
        The events, and what could not be read.
    where
        Which events and datums, if not all.
    census
        What else there was; up to date whenever this stops.
    target
        The target that is wanted, if not all. It learns its names on the way; what came under a name before an event told it,
        comes only when this is done once more with the same names.

    Raises
    ------
    OSError
        If what was seen can't be remembered.
    """
    with closing(Seen()) as seen:
        for one in found:
            if isinstance(one, Unreadable):
                census.note(one)
                continue
            body = one.event.body
            if target is not None and not _is_about(target, body):
                continue
            if not isinstance(body, ReducedDatumsShared | DataProductShared):
                continue
            event = where.select(one.event) if where else one.event
            for row in datum_rows(replace(one, event=event)) if event else ():
                if seen.add(row.digests if target is None else [row.digest]):
                    yield row
                else:
                    census.repeated += 1


def _is_about(target: TargetNames, body: ShareBody) -> bool:
    if not isinstance(body, TargetShared | ReducedDatumsShared | DataProductShared):
        return False
    target.meet(body.target)
    return target.is_about(body.target)
