"""A door before a real TOM, for faults that a real TOM can't be brought to: 429, silence, half an answer, a reset.

The bridge is given the door's address for the TOM's. What no rule is for goes to the TOM and back untouched, and the
journal tells what came, what the TOM was asked, what was answered, and what was under way at the same time.

    with FaultyDoor(tom.url) as door:
        door.on(lambda seen: seen.kind == "target", Reset(after_write=True), times=1)
        ...
        assert door.journal.overlaps() == []
"""

import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bridge.demo.ports import free_port
from tests.support.exchange import Exchange, Fault, Match, Seen, forward
from tests.support.journal import Journal

__all__ = ["FaultyDoor", "Rule"]

CLOSE_SECONDS = 10.0
"""How long a door that closes waits for its threads, which it has cut off."""


@dataclass(slots=True)
class Rule:
    """A fault for requests that match: for ``times`` of them, every ``every``-th, ``after`` so many that are let through."""

    match: Match
    fault: Fault
    times: int | None = None
    every: int = 1
    after: int = 0
    matched: int = 0
    applied: int = 0

    def is_due(self, number: int) -> bool:
        """Whether the fault is for the match of this number."""
        left = self.times is None or self.applied < self.times
        return left and number > self.after and (number - self.after) % self.every == 0


class FaultyDoor:
    """A door on 127.0.0.1 to the TOM at ``upstream_url``. Leaving it raises what a rule's own code raised, if it did."""

    def __init__(self, upstream_url: str) -> None:
        address = urlsplit(upstream_url)
        self.upstream = (address.hostname or "", address.port or 80)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.journal = Journal()
        self.broken: list[BaseException] = []
        self._lock = self.journal.lock
        self._switch = threading.RLock()
        self._rules: list[Rule] = []
        self._server: _Server | None = None
        self._closed = True
        self._held: dict[socket.socket, bool] = {}

    def __enter__(self) -> Self:
        self._closed = False
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
        if kind is None and self.broken:
            raise self.broken[0]

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def on(self, match: Match, fault: Fault, *, times: int | None = None, every: int = 1, after: int = 0) -> Rule:
        """Add a rule. Every rule counts all its matches; the first that is due has the request."""
        rule = Rule(match, fault, times, every, after)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self, *rules: Rule) -> None:
        """Remove these rules, or all."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rules and not any(rule is gone for gone in rules)]

    def release(self) -> None:
        """End every wait there is: what hangs closes, what is delayed goes on."""
        with self._lock:
            _cut(held for held, until_released in self._held.items() if until_released)

    def down(self) -> None:
        """Refuse connections, and what comes on kept ones; what is in flight goes on."""
        with self._switch:
            server, self._server = self._server, None
            if server is not None:
                server.shutdown()
                server.server_close()

    def up(self) -> None:
        """Listen again, on the same port."""
        with self._switch:
            if self._server is None and not self._closed:
                self._server = _Server(self)
                threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Cut everything off, and wait until all of it has ended."""
        with self._switch:
            self._closed = True
            self.down()
        with self._lock:
            _cut(self._held)
            if not self._lock.wait_for(lambda: not self._held, CLOSE_SECONDS):
                raise TimeoutError(f"the door does not close: {self._held}")

    # what exchanges ask of their door
    def choose(self, seen: Seen) -> tuple[Seen, Fault]:
        """Return what is to be done with a request, numbered as the rule that says so counts it."""
        chosen: tuple[Seen, Fault] | None = None
        with self._lock:
            for rule in self._rules:
                numbered = replace(seen, number=rule.matched + 1)
                if rule.match(numbered):
                    rule.matched += 1
                    if chosen is None and rule.is_due(numbered.number):
                        rule.applied += 1
                        chosen = (numbered, rule.fault)
        return chosen or (seen, forward)

    @contextmanager
    def holding(self, connection: socket.socket, *, until_released: bool = False) -> Iterator[None]:
        """Have a connection cut off when the door closes, or also when it is released."""
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the door is closed")
            self._held[connection] = until_released
        try:
            yield
        finally:
            with self._lock:
                del self._held[connection]
                self._lock.notify_all()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, door: FaultyDoor) -> None:
        self.door = door
        super().__init__(("127.0.0.1", door.port), Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.door.broken.append(error)


def _cut(connections: Iterable[socket.socket]) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
