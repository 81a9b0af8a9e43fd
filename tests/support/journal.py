"""What came through a door before a TOM, what came of it, and what was under way at the same time."""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["Entry", "Journal", "Kind", "readable"]

Kind = Literal["target", "datum", "product", "probe", "login", "read", "other"]
"""What a request is about: a write of a target, datum or product; a session's anonymous probe; a login; a question."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request in the journal: in flight until its answer is about to go out, or a client that waits in vain gives up."""

    number: int
    arrived: float  # monotonic time at which its headers were here
    method: str
    path: str
    query: str
    kind: Kind
    beside: tuple[int, ...]  # numbers of the others in flight when it arrived
    beside_targets: tuple[int, ...]  # those of them that write a target
    forwarded: bool = False  # whether the TOM was asked
    tom_status: int | None = None  # what the TOM answered
    status: int | None = None  # what the client was answered
    waits: bool = False  # whether a fault keeps it waiting just now, and a release would end that
    ended: float | None = None  # monotonic time; None while it is in flight


class Journal:
    """What came through a door, in the order of arrival."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self._entries: list[Entry] = []
        self._in_flight: dict[int, socket.socket | None] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries as they are now."""
        with self.lock:
            return tuple(self._entries)

    def writes(self) -> list[Entry]:
        """Return what writes a target, datum or product; neither probes nor logins."""
        return [entry for entry in self if entry.kind in {"target", "datum", "product"}]

    def wait_for(self, predicate: Callable[[Sequence[Entry]], object], seconds: float) -> tuple[Entry, ...]:
        """Wait until the predicate is true for the entries, and return them; after so many seconds it is a `TimeoutError`."""
        with self.lock:
            if not self.lock.wait_for(lambda: predicate(self._entries), seconds):
                raise TimeoutError(f"not within {seconds} s; the door's last requests: {self._entries[-10:]}")
            return self.entries

    def most_at_once(self, kind: Kind | None = None) -> int:
        """Return how many requests of a kind, or of all, were in flight together at most."""
        entries = self.entries
        of_kind = [kind is None or entry.kind == kind for entry in entries]
        return max((1 + sum(of_kind[n] for n in entry.beside) for entry in entries if of_kind[entry.number]), default=0)

    def overlaps(self, *, reads: bool = True) -> list[tuple[Entry, Entry]]:
        """Return pairs in flight together, one of which (or both) writes a target; mere questions only if wanted."""
        entries = self.entries
        pairs = [
            (entries[number], entry)
            for entry in entries
            for number in (entry.beside if entry.kind == "target" else entry.beside_targets)
        ]
        return [pair for pair in pairs if reads or all(entry.kind != "read" for entry in pair)]

    def arrive(self, method: str, path: str, query: str, kind: Kind) -> int:
        """Note a request, and return its number."""
        with self.lock:
            # A client that gave up waiting may be back before the thread that keeps it waiting has noticed.
            for number in [number for number, client in self._in_flight.items() if client and readable([client], 0)]:
                self.end(number)
            beside = tuple(self._in_flight)
            targets = tuple(number for number in beside if self._entries[number].kind == "target")
            number = len(self._entries)
            self._entries.append(Entry(number, time.monotonic(), method, path, query, kind, beside, targets))
            self._in_flight[number] = None
            self.lock.notify_all()
            return number

    def note(self, number: int, *, in_vain: socket.socket | None = None, **known: Any) -> None:
        """Note what is known of a request by now; from a client that waits in vain, no more comes than that it has gone."""
        with self.lock:
            if number in self._in_flight:
                self._entries[number] = replace(self._entries[number], **known)
                self._in_flight[number] = in_vain or self._in_flight[number]
                self.lock.notify_all()

    def end(self, number: int) -> None:
        """Note that a request is no longer in flight, if it still is."""
        with self.lock:
            if number in self._in_flight:
                self.note(number, waits=False, ended=time.monotonic())
                del self._in_flight[number]


def readable(sockets: Iterable[socket.socket], seconds: float | None) -> bool:
    """Wait so long until one of the sockets can be read, or is closed; returns whether one is."""
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        return bool(selector.select(seconds))
