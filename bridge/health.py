"""The door for those who watch a consumer: /metrics, /healthz and /readyz over plain HTTP.

It answers from a thread of its own, and nothing that a client does, or fails to do, reaches the consumer: a client that is slow
is cut off, what fails in an answer is an answer too. There is no login, and no page carries a secret or what an event says.
"""

import errno
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

import structlog

from bridge.errors import Misconfigured
from bridge.metrics import CONTENT_TYPE

__all__ = ["Facts", "HttpDoor", "parse_address"]

Facts = Mapping[str, object]
"""What a health page says: ``ok``, a bool, and further facts that JSON can carry."""

SILENCE_SECONDS = 5.0
"""How long a client may say nothing, or take to receive an answer."""
CLIENT_SECONDS = 15.0
"""How long a client may take in all: one that sends a byte now and then is never silent."""
MOST_CLIENTS = 32
"""How many clients are served at a time; a watcher needs one or two. Those beyond are sent away."""
TURN_SECONDS = 0.2
"""How often the door looks for clients that take too long, and whether it is to close."""

_FAILURES = {
    errno.EADDRINUSE: "something else listens there already; choose another port, or stop that",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all of them",
    errno.EACCES: "this account may not listen there; choose a port of 1024 or more",
}


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, or of ``[HOST]:PORT`` for IPv6.

    Parameters
    ----------
    text
        As given to ``--http``. Port 0 stands for any that is free.

    Raises
    ------
    Misconfigured
        If it is no such address.
    """
    found = re.fullmatch(r"(?:\[(?P<inner>[^\[\]\s]+)\]|(?P<plain>[^\[\]:\s/]+)):(?P<port>[0-9]{1,5})", text)
    port = int(found["port"]) if found else -1
    if found is None or not 0 <= port <= 65_535:
        raise Misconfigured(
            f"--http {text!r} is not HOST:PORT: write for instance --http 127.0.0.1:9464, --http 0.0.0.0:9464 for all "
            "addresses of this machine, or --http [::1]:9464 for IPv6; the port is at most 65535"
        )
    return found["inner"] or found["plain"], port


class HttpDoor:
    """Serves the pages while it is open, as a context manager.

    Parameters
    ----------
    address
        Where: ``HOST:PORT``.
    metrics
        The content of /metrics, as `bridge.metrics.Metrics.text` gives it.
    alive
        What /healthz says: whether the consumer's loop turns.
    ready
        What /readyz says: whether it can work now.

    Notes
    -----
    The callables run in the door's threads, at any time while it is open. One that raises makes its page say so, with status
    503, and a log line.

    Raises
    ------
    Misconfigured
        If the address is none, or cannot be had; the latter when the door is opened.
    """

    def __init__(
        self, *, address: str, metrics: Callable[[], bytes], alive: Callable[[], Facts], ready: Callable[[], Facts]
    ) -> None:
        self._wanted = parse_address(address)
        self._text = address
        self._pages: dict[str, Callable[[], _Answer]] = {
            "/metrics": lambda: _Answer(HTTPStatus.OK, CONTENT_TYPE, metrics()),
            "/healthz": lambda: _health(alive()),
            "/readyz": lambda: _health(ready()),
        }
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            host, port = self._wanted
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            # A name that has both is taken by its IPv4 address: that is where a scrape of 127.0.0.1 looks for localhost.
            family, _type, _protocol, _name, place = min(found, key=lambda one: one[0] != socket.AF_INET)
            self._server = _Server(family, place, self._pages)
        except (OSError, UnicodeError) as error:
            why = _FAILURES.get(getattr(error, "errno", None) or 0, f"cannot listen there: {error}")
            raise Misconfigured(f"--http {self._text}: {why}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": TURN_SECONDS}, name="http", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut(time.monotonic() + CLIENT_SECONDS)
        self._server = self._thread = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens; with port 0, the one that was free."""
        if self._server is None:
            return self._wanted
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        """The same, as the beginning of its pages' URLs."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a page says."""

    status: HTTPStatus
    content_type: str
    body: bytes


def _health(facts: Facts) -> _Answer:
    """Return a health page. A fact that JSON has no form for is written as text: it must not make a consumer look ill."""
    status = HTTPStatus.OK if facts["ok"] else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(dict(facts), ensure_ascii=False, default=str) + "\n"
    return _Answer(status, "application/json", body.encode())


class _Server(ThreadingHTTPServer):
    """A thread for each client, of which there are only so many, each for a limited time.

    Parameters
    ----------
    family, place
        Where it listens.
    pages
        By path.
    """

    daemon_threads = True
    request_queue_size = MOST_CLIENTS
    # Two consumers on one port would answer the watchers in turn; the second has to hear that the port is taken.
    allow_reuse_port = False

    def __init__(self, family: int, place: Any, pages: Mapping[str, Callable[[], _Answer]]) -> None:
        self.address_family = family
        self._pages = pages
        self._lock = threading.Lock()
        self._until: dict[Any, float] = {}
        super().__init__(place, _Client)

    def server_bind(self) -> None:
        # http.server's own asks the name service for this machine's full name, which nobody needs and which may take long.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def answer(self, path: str) -> _Answer:
        """Return the answer to a GET. Never raises."""
        page = self._pages.get(path)
        if page is None:
            there = ", ".join(self._pages)
            return _Answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"404; there are {there}\n".encode())
        try:
            return page()
        except Exception as error:  # noqa: BLE001  whatever it is, the watcher has to hear of it and the consumer goes on
            structlog.get_logger().exception("page failed", page=path)
            facts = {"ok": False, "why": f"the page itself failed ({type(error).__name__}); the log has the traceback"}
            return _health(facts)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            welcome = len(self._until) < MOST_CLIENTS
            if welcome:
                self._until[request] = time.monotonic() + CLIENT_SECONDS
        if welcome:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:  # before it is closed: `cut` must not meet a number that is another socket's by then
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self.cut(time.monotonic())

    def cut(self, now: float) -> None:
        """Cut off the clients whose time is over; their threads notice, and end."""
        with self._lock:
            for request in [request for request, until in self._until.items() if until <= now]:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say nothing of a client that went away or was cut off."""
        if not isinstance(sys.exception(), OSError):
            structlog.get_logger().exception("http door failed")


class _Client(BaseHTTPRequestHandler):
    """Answers one request; HTTP/1.0, so the connection ends with it."""

    server: _Server
    timeout = SILENCE_SECONDS

    def do_GET(self) -> None:
        self._say(self.server.answer(self.path.partition("?")[0]))

    do_HEAD = do_GET  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no GET or HEAD, or no HTTP, in one line of text that repeats nothing of the request."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._say(_Answer(status, "text/plain; charset=utf-8", f"{status.value} {status.phrase}\n".encode()))

    def version_string(self) -> str:
        return "tom-bridge"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: a scrape every few seconds is no news."""

    def _say(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
