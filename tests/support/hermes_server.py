"""A server that answers as Hermes does (``hermes/views.py``): its rules, its 200s that are failures, its broker's troubles."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

from tests.support.hermes_rules import complaints, published

__all__ = ["CREDENTIAL", "KEY", "HermesServer", "Scripted", "hermes_server"]

KEY = "hermes-canary-key"
CREDENTIAL = ("alice-1", "hermes-canary-pw")


@dataclass(frozen=True)
class Scripted:
    """What is answered once, in place of what Hermes would say."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0
    published: bool = False
    """Whether the message is published all the same."""


class HermesServer:
    """What tests ask for of Hermes, and see of it."""

    def __init__(self) -> None:
        self.url = ""
        self.script: list[Scripted] = []
        """Answers of the next requests, in order; after them, Hermes' own."""
        self.asked: list[str] = []
        """Method and path of each request."""
        self.published: list[tuple[UUID, dict[str, Any]]] = []
        """What is on its topics: id and message, as they leave Hermes."""
        self.writable_topics = ["hermes.test", "tomtoolkit.test"]
        self.credential_name = "alice-1"
        self.lock = threading.Lock()

    @property
    def submitted(self) -> int:
        """How many messages were sent, whatever became of them."""
        return self.asked.count("POST /api/v0/submit_message/")

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Scripted:
        """Return the answer to a request."""
        with self.lock:
            self.asked.append(f"{method} {path}")
            scripted = self.script.pop(0) if self.script else None
        message = json.loads(body) if body else {}
        if scripted is not None:
            if scripted.published:
                self._publish(message)
            return scripted
        credential = (headers.get("SCIMMA-API-Auth-Username"), headers.get("SCIMMA-API-Auth-Password"))
        known = headers.get("Authorization") == f"Token {KEY}" or credential == CREDENTIAL
        if "Authorization" in headers and not known:
            return Scripted(401, {"detail": "Invalid token."})
        if (method, path) == ("GET", "/api/v0/profile/"):
            if not known:
                return Scripted(403, {"detail": "Authentication credentials were not provided."})
            profile = {
                "email": "a@example.org",
                "credential_name": self.credential_name,
                "writable_topics": self.writable_topics,
            }
            return Scripted(200, profile)
        if (method, path) == ("POST", "/api/v0/submit_message/validate/"):
            return Scripted(200, _errors(message))
        if (method, path) == ("POST", "/api/v0/submit_message/"):
            return self._submit(message, known=known)
        return Scripted(404, {"detail": "Not found."})

    def _submit(self, message: dict[str, Any], *, known: bool) -> Scripted:
        if _errors(message):
            return Scripted(400, _errors(message))
        if not known or not self.credential_name:
            said = "User account does not have an associated SCIMMA auth credential. Please logout and log back in."
            return Scripted(200, {"error": said})
        return Scripted(200, self._publish(message))

    def _publish(self, message: dict[str, Any]) -> dict[str, Any]:
        uuid, leaving = uuid4(), published(message)
        with self.lock:
            self.published.append((uuid, leaving))
        return {**leaving, "uuid": str(uuid)}


def _errors(message: dict[str, Any]) -> dict[str, Any]:
    """Return complaints as Hermes nests them, as far as tests look."""
    found = complaints(message)
    errors: dict[str, Any] = {}
    for text in found:
        place, _, why = text.partition(": ")
        if "[" in place:
            table, number, name = place.replace("]", "").replace("[", ".").split(".")[:3]
            rows = errors.setdefault("data", {}).setdefault(table, [{} for _ in message["data"][table]])
            rows[int(number)][name] = [why]
        else:
            errors[place] = [why]
    return errors


@contextmanager
def hermes_server() -> Iterator[HermesServer]:
    """Run it on a free port of this machine."""
    hermes = HermesServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def _answer(self, body: bytes) -> None:
            found = hermes.answer(self.command, self.path, dict(self.headers), body)
            if found.after_seconds:
                threading.Event().wait(found.after_seconds)
            content = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
            try:
                self.send_response(found.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **found.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base class's word
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hermes.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hermes
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
