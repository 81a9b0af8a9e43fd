"""The door to the web server: it says what is wrong with an address, leaves nothing open, and ends when it is told to."""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from bridge.errors import Misconfigured
from bridge.wsgi import WebServer
from tests.support.waiting import wait_for

App = Callable[[dict[str, Any], Any], list[bytes]]


def greet(_environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def make(app: App = greet, *, host: str = "127.0.0.1", port: int = 0, **more: Any) -> WebServer:
    bounds = {"threads": 2, "most_connections": 10, "silence_seconds": 10} | more
    return WebServer(lambda _is_loopback: app, name="web", host=host, port=port, **bounds)


def port_of(server: WebServer) -> int:
    return int(server.url.rsplit(":", 1)[1].strip("/"))


def get(port: int, host: str = "127.0.0.1") -> bytes:
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every socket that is made."""
    made: list[socket.socket] = []
    plain = socket.socket.__init__

    def note(self: socket.socket, *arguments: Any, **more: Any) -> None:
        plain(self, *arguments, **more)
        made.append(self)

    monkeypatch.setattr(socket.socket, "__init__", note)
    return made


def test_it_answers_from_start_to_close() -> None:
    server = make()
    server.start()
    port = port_of(server)
    assert get(port) == b"hello"
    server.close(5)

    with pytest.raises(ConnectionRefusedError):
        get(port)


def test_an_address_that_is_taken_is_said_and_no_socket_stays(sockets: list[socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"--http 127\.0\.0\.1:{port}: cannot listen there"):
            make(port=port)
        assert [one.fileno() for one in sockets if one is not taken] == [-1]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 70 + ".example.org", "192.0.2.1"])
def test_an_address_that_is_none_of_ours_is_said(host: str) -> None:
    with pytest.raises(Misconfigured, match="choose another address"):
        make(host=host)


def test_what_fails_while_it_is_made_leaves_the_address_free(sockets: list[socket.socket]) -> None:
    def fail(_is_loopback: bool) -> App:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        WebServer(fail, name="web", host="127.0.0.1", port=0, threads=1, most_connections=10, silence_seconds=10)
    assert [one.fileno() for one in sockets] == [-1]


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("::1", True)])
def test_whether_others_can_reach_it_is_known(host: str, expected: bool) -> None:
    heard: list[bool] = []

    def app(is_loopback: bool) -> App:
        heard.append(is_loopback)
        return greet

    server = WebServer(app, name="web", host=host, port=0, threads=1, most_connections=10, silence_seconds=10)
    server.start()
    server.close(5)

    assert heard == [expected]


def test_a_name_is_taken_by_its_ipv4_address_and_an_ipv6_address_is_written_in_brackets() -> None:
    for host, begin in (("localhost", "http://127.0.0.1:"), ("::1", "http://[::1]:")):
        server = make(host=host)
        server.start()
        assert server.url.startswith(begin)
        assert get(port_of(server), "127.0.0.1" if host == "localhost" else host) == b"hello"
        server.close(5)


def test_all_addresses_are_those_of_ipv4_too() -> None:
    server = make(host="::")
    server.start()

    assert get(port_of(server)) == b"hello"
    server.close(5)


def test_it_is_busy_while_a_request_is_answered() -> None:
    going_on = threading.Event()

    def slow(environ: dict[str, Any], start: Any) -> list[bytes]:
        going_on.wait(10)
        return greet(environ, start)

    server = make(slow)
    server.start()
    port = port_of(server)
    assert not server.is_busy
    asking = threading.Thread(target=get, args=(port,), daemon=True)
    asking.start()
    wait_for(lambda: server.is_busy, "the request", seconds=5)
    going_on.set()
    asking.join(5)
    wait_for(lambda: not server.is_busy, "its end", seconds=5)
    server.close(5)


def test_a_request_that_does_not_end_holds_it_up_for_the_time_and_no_longer() -> None:
    stuck = threading.Event()

    def never(environ: dict[str, Any], start: Any) -> list[bytes]:
        stuck.wait(30)
        return greet(environ, start)

    server = make(never)
    server.start()
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as asking:
        asking.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.is_busy, "the request", seconds=5)
        began = time.monotonic()
        server.close(0.5)

        assert time.monotonic() - began < 3
    stuck.set()
