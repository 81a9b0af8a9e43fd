"""The door: streams and answers beside each other over real sockets, and clients that misbehave."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from bridge.observe.page import server as module
from bridge.observe.page.app import make_app
from bridge.observe.page.server import PageServer
from bridge.observe.page.state import State
from bridge.observe.page.streams import MOST_WATCHERS, Streams
from tests.support.waiting import wait_for
from tests.unit.observe.page.pages import make_state, make_streams
from tests.unit.observe.page.seen import consumed, record, shared


class Page:
    def __init__(self) -> None:
        self.state: State = make_state(now=time.time)
        self.streams: Streams = make_streams(self.state)
        self.server = PageServer(
            lambda is_loopback: make_app(state=self.state, streams=self.streams, any_host=not is_loopback),
            host="127.0.0.1",
            port=0,
        )
        self.port = int(self.server.url.rsplit(":", 1)[1].strip("/"))

    def get(self, path: str) -> int:
        """Return the status of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                answer.read()
                return answer.status

    def watch(self) -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        opened.sendall(f"GET /events?after={self.streams.mark(0)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return opened


@pytest.fixture
def page() -> Iterator[Page]:
    found = Page()
    with found.server:
        yield found
        found.streams.close()


def read_until(opened: socket.socket, word: bytes) -> bytes:
    found = b""
    while word not in found:
        chunk = opened.recv(65_536)
        assert chunk, f"ended before {word!r}: {found!r}"
        found += chunk
    return found


def test_an_event_reaches_who_watches_at_once(page: Page) -> None:
    with page.watch() as opened:
        read_until(opened, b"event: overview")
        began = time.monotonic()
        page.state.saw(consumed(record(shared("SN 2026abc"))))
        read_until(opened, b"SN 2026abc")

    assert time.monotonic() - began < 0.8


def test_pages_are_answered_while_as_many_watch_as_may(page: Page) -> None:
    watching = [page.watch() for _ in range(MOST_WATCHERS)]
    for opened in watching:
        read_until(opened, b"retry:")

    assert page.get("/events") == 503
    assert [page.get(path) for path in ("/", "/api/overview", "/healthz", "/static/page.css")] == [200] * 4
    for opened in watching:
        opened.close()
    wait_for(lambda: page.streams.count == 0, "free places", seconds=5)


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(module, "TURN_SECONDS", 0)
    monkeypatch.setattr("bridge.observe.page.streams.OVERVIEW_SECONDS", 0.0)
    monkeypatch.setattr("bridge.observe.page.streams.TURN_SECONDS", 0.0)
    page = Page()
    monkeypatch.setattr(page.state, "overview", lambda: f'"{"x" * 500_000}"')
    with page.server:
        with page.watch():
            wait_for(lambda: page.streams.count == 1, "the stream", seconds=5)
            wait_for(lambda: page.streams.count == 0, "its end", seconds=15)

        assert page.get("/healthz") == 200
        page.streams.close()


def test_it_closes_at_once_though_many_watch() -> None:
    page = Page()
    with page.server:
        watching = [page.watch() for _ in range(5)]
        for opened in watching:
            read_until(opened, b"retry:")
        began = time.monotonic()
        page.streams.close()

    assert time.monotonic() - began < 3
    for opened in watching:
        opened.close()
