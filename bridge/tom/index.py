"""An index of all names that an account sees at a TOM, so that the TOM need not go through its targets for every event.

TOM Toolkit's ``name_fuzzy``, which compares names as TOM Toolkit does, loads every target for every question: 1.2 s at 10,000
targets. To read them all, page by page, takes as long as eight of those questions (twenty on PostgreSQL). So that is done when
the last ten came within ten minutes and took long, and not where they are quick.

An index is good for hits, which are confirmed by primary key. That a name is nowhere is believed only while it is complete.
What can be told cheaply, by one row from the list's end (measured on 2.32.4 and 3.1.0: 10 ms on SQLite, 30 on PostgreSQL):

- targets that are new, or that the account has come to see: there are more than the index has. New ones stand at the list's
  end, or have the next primary keys; they are added. If that does not account for all, the index is given up.
- targets that are gone, or out of sight: there are fewer. It is given up, since nothing tells which.

What can't: a target that is renamed, an alias that is added or removed; one target gone and another come since the last
question, on PostgreSQL, where the list has no order. The API can't be asked for what was changed last (``order`` is in TOM
Toolkit's documentation alone), and for aliases only by number. So an index is believed for ten minutes, or for ten times as
long as reading it took. Before it believes in an absence, `bridge.tom.matching` asks with TOM Toolkit's other filter as well,
and before a target is created with ``name_fuzzy``.
"""

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.errors import Away, Rejected, Retryable
from bridge.tom.names import AllNames, NameTable, names_of
from bridge.tom.session import TomSession

__all__ = ["NameIndex"]

SLOW_SECONDS = 0.1
"""A TOM that answers ``name_fuzzy`` faster than this, as one of fewer than 1,000 targets does, needs no index."""
LOOK_UPS = 10
"""So many look-ups, within the time for which an index is believed, make reading all names worth while."""
LIFE_SECONDS = 600.0
"""How long an index is believed: what it can't tell is missed for as long at the most."""
LIFE_TO_READING = 10.0
"""An index that took more than a tenth of that to read is believed longer, and one that was given up early is not read anew
before: at most a tenth of the time goes into reading."""
REFRESH_AT = 0.8
"""Part of its life after which an index in use is read anew, while other threads still use it."""
PAGE_ROWS = 200
"""At 1 ms a row, a page costs a TOM of 10,000 targets what a datum costs it."""
OVERLAP_ROWS = 20
"""How far pages overlap: a target that goes, or on PostgreSQL one that is changed, moves those behind it forward."""
NEW_ROWS = 100
"""So many new targets are taken from the end of the list; after more, all are read."""
NEW_KEYS, GAPS = 20, 3
"""So many primary keys behind the last one are asked for at most, and so many more than there are new targets: one is lost
with each that is gone at once."""
PROOF_TRIES = 2
"""A target that we make ourselves between question and answer is no sign of trouble."""
MOST_TARGETS = 200_000
"""Of a TOM with more no index is kept."""


class _Index:
    """All names as of one moment.

    Parameters
    ----------
    names
        What was read.
    begun_at, took
        Since when that was true, and how long reading it took.
    """

    def __init__(self, names: AllNames, *, begun_at: float, took: float) -> None:
        self.names = names
        self.begun_at = begun_at
        self._took = took
        self.complete_at = begun_at
        """When it was last known to have all targets."""
        self.is_lost = False
        """Whether it lacks targets, or has too many, and it can't be told which."""

    @property
    def life_seconds(self) -> float:
        """How long it is believed."""
        return max(LIFE_SECONDS, LIFE_TO_READING * self._took)


class NameIndex:
    """Knows which targets have a name, where that is worth the TOM's while; safe to use from many threads.

    Parameters
    ----------
    session
        The TOM.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: TomSession, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        self._asking = threading.Lock()
        self._index: _Index | None = None
        self._late: list[tuple[int, set[str]]] = []
        """What was added while names are being read."""
        self._is_slow = False
        self._look_ups: deque[float] = deque(maxlen=LOOK_UPS)
        self._read_again_at = 0.0

    def consult(self, *, may_read: bool = True) -> bool:
        """Whether there is an index for a look-up; reads all names first, if that pays by now and nobody else is at it.

        Parameters
        ----------
        may_read
            Whether there is time for that: others may wait for who has the right to write targets.

        Raises
        ------
        BridgeError
            As `TomSession.get_ok`, if the TOM is away or refuses the login.
        """
        now = self._clock()
        self._look_ups.append(now)
        index = self._usable()
        is_old = index is None or now - index.begun_at > REFRESH_AT * index.life_seconds
        in_demand = len(self._look_ups) == LOOK_UPS and now - self._look_ups[0] <= LIFE_SECONDS
        is_due = may_read and is_old and in_demand and self._is_slow and now >= self._read_again_at
        if is_due and self._reading.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._reading.release()
        return self._usable() is not None

    def owners(self, names: Iterable[str]) -> set[int]:
        """Return the primary keys of the targets that have one of these simplified names, and perhaps of others."""
        with self._lock:
            index = self._usable()
            return set() if index is None else set().union(*map(index.names.owners, names))

    def is_complete(self, *, within_seconds: float) -> bool:
        """Whether it has all targets that the account sees, or had them at most so many seconds ago.

        Targets that are new are added.
        """
        with self._asking:
            index = self._usable()
            if index is None:
                return False
            return self._clock() - index.complete_at <= within_seconds or self._ask(index)

    def timed(self, seconds: float) -> None:
        """Note how long the TOM took for a look-up of its own."""
        self._is_slow = seconds >= SLOW_SECONDS

    def add(self, target_id: int, names: Iterable[str]) -> None:
        """Note that a target is there, and that it has these simplified names."""
        with self._lock:
            self._add(self._index, target_id, set(names))

    def drop(self, target_id: int) -> None:
        """Note that a target is not there any more."""
        with self._lock:
            if self._index is not None:
                self._index.names.drop(target_id)

    def _add(self, index: _Index | None, target_id: int, names: set[str]) -> None:
        with self._lock:
            for each in (index, self._index):
                if each is not None:
                    each.names.add(target_id, names)
            if self._reading.locked():
                self._late.append((target_id, names))

    def _usable(self) -> _Index | None:
        with self._lock:
            index = self._index
            if index is None or index.is_lost or self._clock() - index.begun_at > index.life_seconds:
                return None
            return index

    def _ask(self, index: _Index) -> bool:
        """Ask how many targets there are, and for those at the end of the list."""
        for _ in range(PROOF_TRIES):
            asked_at = self._clock()
            page = self._page(limit=NEW_ROWS, offset=max(len(index.names) - 1, 0))
            if page is None:
                return False
            self._add_new(index, page["results"], of=page["count"])
            if page["count"] == len(index.names):
                index.complete_at = asked_at
                return True
            self._session.prove()  # it may have been a visitor's view
        index.is_lost = True
        return False

    def _add_new(self, index: _Index, rows: Iterable[Mapping[str, Any]], *, of: int) -> None:
        for row in rows:
            if row["id"] not in index.names:
                self._add(index, row["id"], names_of(row))
        with self._lock:
            last = index.names.last_key
        for key in range(last + 1, last + 1 + min(of - len(index.names) + GAPS, NEW_KEYS)):
            if len(index.names) >= of:
                return
            answer = self._session.get(f"api/targets/{key}/")
            if answer.ok:
                self._add(index, key, names_of(answer.body))

    def _read(self) -> None:
        """Read all names, page by page; what comes of it is the index, if it is complete."""
        begun_at = self._clock()
        with self._lock:
            self._late.clear()
        hashes, owners, keys = array("q"), array("q"), set[int]()
        offset, is_complete = 0, False
        while (page := self._page(limit=PAGE_ROWS, offset=offset)) is not None and page["count"] <= MOST_TARGETS:
            rows = page["results"]
            for row in rows:
                keys.add(row["id"])
                for name in names_of(row):
                    hashes.append(hash(name))
                    owners.append(row["id"])
            if not rows or offset + len(rows) >= page["count"]:
                is_complete = page["count"] == len(keys)
                break
            offset += max(len(rows) - OVERLAP_ROWS, 1)
        else:
            self._read_again_at = begun_at + LIFE_SECONDS
            return
        took = self._clock() - begun_at
        self._read_again_at = begun_at + LIFE_TO_READING * took
        if is_complete:
            names = AllNames(NameTable.of(hashes, owners, keys))
            with self._lock:
                for target_id, late in self._late:
                    names.add(target_id, late)
                self._index = _Index(names, begun_at=begun_at, took=took)

    def _page(self, *, limit: int, offset: int) -> Any:
        """Return a part of the list of targets, or None if the TOM fails on it, for instance on a number that is none."""
        try:
            page = self._session.get_ok("api/targets/", {"limit": limit, "offset": offset})
        except Away:
            raise
        except (Retryable, Rejected):
            return None
        return page if "count" in page else None  # a TOM may have another pagination
