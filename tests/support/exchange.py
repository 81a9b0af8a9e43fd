"""A request at the door before a TOM, in the hands of a fault: ask the TOM or not, answer or not, and how."""

import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from tests.support.journal import Journal, Kind, readable

__all__ = ["Door", "Exchange", "Fault", "Match", "Reply", "Seen", "forward", "is_datum", "is_write"]

_KINDS: dict[str, Kind] = {
    "/api/targets/": "target",
    "/api/reduceddatums/": "datum",
    "/api/dataproducts/": "product",
    "/api/token-auth/": "login",
    "/accounts/login/": "login",
}
_OF_ONE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
"""Headers that are not passed on: the door has connections of its own with either side, and answers with a length."""
TOM_SECONDS = 300.0
"""How long a TOM may be silent; longer than the bridge waits, so that it is the bridge that gives up."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, as a rule sees it; ``number`` counts from 1 among those that the rule's predicate is true for."""

    method: str
    path: str
    query: str
    body: bytes = field(repr=False)
    kind: Kind
    number: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


class Door(Protocol):
    """What a request asks of the door that it came through: `tests.support.door.FaultyDoor`."""

    upstream: tuple[str, int]
    journal: Journal

    @property
    def is_up(self) -> bool:
        """Whether it listens."""

    def choose(self, seen: Seen, /) -> tuple[Seen, "Fault"]:
        """Return what is to be done with a request, numbered as the rule that says so counts it."""

    def holding(self, connection: socket.socket, /, *, until_released: bool = False) -> AbstractContextManager[None]:
        """Have a connection cut off when the door closes, or also when it is released."""

    def down(self) -> None:
        """Refuse connections."""

    def up(self) -> None:
        """Listen again."""


class HasDoor(Protocol):
    """The server of a door."""

    door: Door


class Exchange(BaseHTTPRequestHandler):
    """A request in the hands of a fault. Where a fault sends nothing, the connection is closed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # and each answer is one write: else Nagle and delayed ACK cost 44 ms each
    server: HasDoor
    seen: Seen
    _number = -1

    @property
    def door(self) -> Door:
        """The door."""
        return self.server.door

    def ask(self) -> Reply:
        """Return the TOM's answer."""
        tom = HTTPConnection(*self.door.upstream, timeout=TOM_SECONDS)
        with closing(tom):
            tom.connect()  # one for each request: a connection that was kept may be closed just when a write needs it
            with self.door.holding(tom.sock):
                self.door.journal.note(self._number, forwarded=True)
                tom.putrequest(self.command, self._address, skip_host=True, skip_accept_encoding=True)
                for name, value in _passed_on(self.headers.items()):
                    tom.putheader(name, value)
                tom.putheader("Connection", "close")
                with suppress(BrokenPipeError):  # a TOM that wants no more of a body has answered
                    tom.endheaders(self.seen.body or None)
                answer = tom.getresponse()
                reply = Reply(answer.status, answer.reason, _passed_on(answer.getheaders()), answer.read())
        self.door.journal.note(self._number, tom_status=reply.status)
        return reply

    def send(self, reply: Reply, *, body_bytes: int | None = None, ends: bool = True) -> None:
        """Answer; with the first bytes of the body alone, if ``body_bytes`` says how many, and then the connection closes."""
        lines = [f"HTTP/1.1 {reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in reply.headers)]
        if reply.status not in {204, 304} and not any(name.lower() == "content-length" for name, _ in reply.headers):
            lines.append(f"Content-Length: {len(reply.body)}")
        self._keep = body_bytes is None
        self.door.journal.note(self._number, status=reply.status)
        if ends:  # before a byte is sent, since what the client does next does not overlap
            self.door.journal.end(self._number)
        body = b"" if self.command == "HEAD" else reply.body[:body_bytes]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def reset(self) -> None:
        """Close the connection with a reset, at once."""
        self._keep = False
        self.door.journal.end(self._number)
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def pause(self, seconds: float | None, *, in_vain: bool = False) -> None:
        """Wait so long, or until the door is released or closes; a wait in vain is over, too, once the client gives up."""
        bell, rope = socket.socketpair()
        with bell, rope, self.door.holding(rope, until_released=True):
            self.door.journal.note(self._number, waits=True, in_vain=self.connection if in_vain else None)
            readable([bell, self.connection] if in_vain else [bell], seconds)
            self.door.journal.note(self._number, waits=False)

    def handle(self) -> None:
        with self.door.holding(self.connection):
            super().handle()

    def log_message(self, *_args: Any) -> None:
        """Tell nobody: the journal does."""

    def _serve(self) -> None:
        self._address, self._keep = self.requestline.split()[1], False
        path, _, query = self._address.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        kind = _kind(self.command, path, length)
        try:
            if not self.door.is_up:
                raise ConnectionAbortedError("a connection from before the door went down")
            self._number = self.door.journal.arrive(self.command, path, query, kind)
            if "Transfer-Encoding" in self.headers:
                raise NotImplementedError("the door takes bodies of a given length alone")
            body = self.rfile.read(length)
            if len(body) == length:
                self.seen, fault = self.door.choose(Seen(self.command, path, query, body, kind))
                fault(self)
        except (OSError, HTTPException):  # the TOM or the client has gone away, which the other side is to notice
            self.reset()
        finally:
            self.door.journal.end(self._number)
            self.close_connection = self.close_connection or not self._keep

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _serve


Fault = Callable[[Exchange], None]
Match = Callable[[Seen], bool]


def forward(exchange: Exchange) -> None:
    """Do nothing wrong."""
    exchange.send(exchange.ask())


def is_write(seen: Seen) -> bool:
    return seen.kind in {"target", "datum", "product"}


def is_datum(seen: Seen) -> bool:
    return seen.kind == "datum"


def _kind(method: str, path: str, length: int) -> Kind:
    if method in {"GET", "HEAD", "OPTIONS"}:
        return "read"
    if method == "POST" and path == "/api/targets/" and length <= len(b"{}"):
        return "probe"  # what a session sends without its CSRF token; no target fits into two bytes
    return next((kind for prefix, kind in _KINDS.items() if path.startswith(prefix)), "other")


def _passed_on(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION)
