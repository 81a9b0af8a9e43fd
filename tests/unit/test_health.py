"""The HTTP door: real sockets on loopback. It tells what it is given, and nothing a client does disturbs it."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import structlog

from bridge import health
from bridge.errors import Misconfigured
from bridge.health import Facts, HttpDoor, parse_address
from bridge.metrics import CONTENT_TYPE, Metrics

LOOPBACK = "127.0.0.1:0"


class Watched:
    """What a door shows, as a test sets it."""

    def __init__(self) -> None:
        self.metrics: Callable[[], bytes] = lambda: b"tom_bridge_commits_total 3.0\n"
        self.alive: Callable[[], Facts] = lambda: {"ok": True}
        self.ready: Callable[[], Facts] = lambda: {"ok": True}

    def door(self, address: str = LOOPBACK) -> HttpDoor:
        """Return a door that asks anew what is to be shown."""
        return HttpDoor(
            address=address,
            metrics=lambda: self.metrics(),  # noqa: PLW0108
            alive=lambda: self.alive(),  # noqa: PLW0108
            ready=lambda: self.ready(),  # noqa: PLW0108
        )


@pytest.fixture(autouse=True)
def _quick_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TURN_SECONDS", 0.02)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def door(watched: Watched) -> Iterator[HttpDoor]:
    with watched.door() as opened:
        yield opened


def ask(door: HttpDoor, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    with closing(http.client.HTTPConnection(*door.address, timeout=10)) as connection:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()


def raw(door: HttpDoor, data: bytes) -> bytes:
    """Return all that comes back for some bytes."""
    with socket.create_connection(door.address, timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def unknown(*_args: object, **_more: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def clients(door: HttpDoor) -> int:
    """Return how many clients are being served."""
    assert door._server is not None
    return len(door._server._until)


# addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65_535)),
        ("[::1]:9464", ("::1", 9464)),
        ("[::]:80", ("::", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("bridge-1.example.org:9464", ("bridge-1.example.org", 9464)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "9464", ":9464", "localhost", "localhost:", "localhost:http", "localhost:-1", "localhost:65536", "::1:9464"),
        *("[::1]", "[::1]9464", "[]:9464", "http://localhost:9464", "localhost:9464/metrics", "localhost:９４６４", "a b:1"),
        *(" localhost:9464", "localhost:9464\n", "localhost:123456"),
    ],
)
def test_a_mistake_in_the_address_names_the_option_and_the_fix(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^--http .*HOST:PORT: write for instance --http 127\.0\.0\.1:9464"):
        parse_address(text)


def test_a_mistake_is_told_before_the_door_is_opened(watched: Watched) -> None:
    with pytest.raises(Misconfigured, match="--http"):
        watched.door("9464")


def test_a_port_in_use_is_named(watched: Watched, door: HttpDoor) -> None:
    taken = f"127.0.0.1:{door.address[1]}"

    with pytest.raises(Misconfigured, match=rf"^--http {taken}: .*choose another port"), watched.door(taken):
        pass

    assert ask(door, "/healthz")[0] == 200


def test_an_address_of_another_machine_is_named(watched: Watched) -> None:
    with pytest.raises(Misconfigured, match=r"^--http 192\.0\.2\.1:0: this machine has no such address"):
        watched.door("192.0.2.1:0").__enter__()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70, "a..b"])
def test_a_name_that_is_none_is_named(watched: Watched, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host.endswith(".invalid"):
        monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no test asks the name service
    with pytest.raises(Misconfigured, match=rf"^--http {host}:0: cannot listen there"):
        watched.door(f"{host}:0").__enter__()


def test_port_zero_takes_a_free_one(watched: Watched) -> None:
    closed = watched.door()
    with watched.door() as one, watched.door() as other:
        assert closed.address == ("127.0.0.1", 0)
        assert one.address[0] == "127.0.0.1"
        assert one.address[1] not in {0, other.address[1]}
        assert one.url == f"http://127.0.0.1:{one.address[1]}"


def test_a_name_is_looked_up(watched: Watched) -> None:
    with watched.door("localhost:0") as door:
        assert door.address[0] == "127.0.0.1"
        assert ask(door, "/healthz")[0] == 200


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_is_served(watched: Watched) -> None:
    with watched.door("[::1]:0") as door:
        assert door.url == f"http://[::1]:{door.address[1]}"
        assert ask(door, "/healthz")[0] == 200


# what it says


def test_metrics_are_given_as_they_are(watched: Watched, door: HttpDoor) -> None:
    watched.metrics = Metrics(destination="not-my-tom").text
    status, headers, body = ask(door, "/metrics")

    assert (status, headers["content-type"]) == (200, CONTENT_TYPE)
    assert body == watched.metrics()
    assert b"tom_bridge_build_info" in body


@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 503)])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_a_status_and_facts(watched: Watched, door: HttpDoor, path: str, *, ok: bool, status: int) -> None:
    facts = {"ok": ok, "destination": "away", "partitions": [0, 2], "target": "ζ Ori", "seconds": 1.5}
    setattr(watched, "alive" if path == "/healthz" else "ready", lambda: facts)
    answered, headers, body = ask(door, path)

    assert (answered, headers["content-type"]) == (status, "application/json")
    assert json.loads(body) == facts
    assert headers["cache-control"] == "no-store"


def test_alive_and_ready_are_two_questions(watched: Watched, door: HttpDoor) -> None:
    watched.ready = lambda: {"ok": False}

    assert (ask(door, "/healthz")[0], ask(door, "/readyz")[0]) == (200, 503)


def test_each_answer_is_fresh(watched: Watched, door: HttpDoor) -> None:
    states = iter([False, True])
    watched.ready = lambda: {"ok": next(states)}

    assert [ask(door, "/readyz")[0], ask(door, "/readyz")[0]] == [503, 200]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_head_says_the_same_without_the_body(door: HttpDoor, path: str) -> None:
    status, headers, body = ask(door, path, "HEAD")
    whole = ask(door, path)

    assert (status, body) == (whole[0], b"")
    assert headers["content-length"] == str(len(whole[2]))
    assert headers["content-type"] == whole[1]["content-type"]


def test_a_query_changes_nothing(door: HttpDoor) -> None:
    assert ask(door, "/healthz?verbose=1")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metric", "/healthz/../metrics", "/<script>"])
def test_there_is_nothing_else(door: HttpDoor, path: str) -> None:
    status, headers, body = ask(door, path)

    assert status == 404
    assert headers["content-type"].startswith("text/plain")
    assert b"/metrics, /healthz, /readyz" in body
    assert b"script" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_not_allowed(door: HttpDoor, method: str) -> None:
    status, headers, body = ask(door, "/metrics", method)

    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert b"BREW" not in body


@pytest.mark.parametrize(
    "nonsense",
    [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"x" * 70_000 + b"\r\n"],
)
def test_nonsense_does_no_harm(door: HttpDoor, nonsense: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as log:
        try:
            answer = raw(door, nonsense)
        except ConnectionError:  # it did not want to read all that
            answer = b""

        assert b"Traceback" not in answer
        assert ask(door, "/healthz")[0] == 200
    assert log == []
    assert capfd.readouterr() == ("", "")


def test_too_long_a_request_is_refused_as_one(door: HttpDoor) -> None:
    assert raw(door, b"GET /" + b"x" * 65_540)[:12] == b"HTTP/1.0 414"


def test_requests_are_not_logged(door: HttpDoor, capfd: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as log:
        for path in ("/metrics", "/nothing"):
            ask(door, path)
        ask(door, "/metrics", "POST", b"x")

    assert log == []
    assert capfd.readouterr() == ("", "")


# what fails


def fail(text: str = "secret detail") -> Any:
    raise RuntimeError(text)


@pytest.mark.parametrize("facts", [fail, dict, lambda: None], ids=["raises", "no-ok", "no-mapping"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_page_that_fails_says_so(watched: Watched, door: HttpDoor, path: str, facts: Callable[[], Any]) -> None:
    watched.alive = watched.ready = facts
    watched.metrics = fail
    with structlog.testing.capture_logs() as log:
        status, _headers, body = ask(door, path)

    assert status == 503
    assert json.loads(body)["ok"] is False
    assert b"secret detail" not in body
    assert [(line["event"], line["page"], line["log_level"]) for line in log] == [("page failed", path, "error")]


def test_a_fact_that_json_does_not_know_makes_nobody_ill(watched: Watched, door: HttpDoor) -> None:
    watched.alive = lambda: {"ok": True, "since": threading}
    status, _headers, body = ask(door, "/healthz")

    assert status == 200
    assert "threading" in json.loads(body)["since"]


# clients that hang


def test_a_silent_client_is_cut_off(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Client, "timeout", 0.2)
    with watched.door() as door, socket.create_connection(door.address, timeout=10) as client:
        assert client.recv(100) == b""
        wait_for(lambda: clients(door) == 0)


def test_a_client_that_drips_is_cut_off(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent for long, so only the limit in all helps."""
    monkeypatch.setattr(health, "CLIENT_SECONDS", 0.5)
    with watched.door() as door, socket.create_connection(door.address, timeout=10) as client:
        began = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() < began + 10:
                client.sendall(b"x")
                time.sleep(0.05)
        wait_for(lambda: clients(door) == 0)


def test_a_client_that_does_not_read_is_cut_off(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Client, "timeout", 0.2)
    watched.metrics = lambda: b"x" * 30_000_000
    with (
        structlog.testing.capture_logs() as log,
        watched.door() as door,
        socket.create_connection(door.address, timeout=10) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: clients(door) == 1)
        wait_for(lambda: clients(door) == 0)
    assert log == []


def test_others_are_served_beside_a_client_that_hangs(door: HttpDoor) -> None:
    with socket.create_connection(door.address, timeout=10):
        wait_for(lambda: clients(door) == 1)

        assert ask(door, "/healthz")[0] == 200


def test_others_are_served_beside_a_page_that_hangs(watched: Watched, door: HttpDoor) -> None:
    entered, go = threading.Event(), threading.Event()

    def hang() -> bytes:
        entered.set()
        go.wait(10)
        return b""

    watched.metrics = hang
    waiting = threading.Thread(target=ask, args=(door, "/metrics"))
    waiting.start()
    try:
        assert entered.wait(10)
        assert ask(door, "/healthz")[0] == 200
    finally:
        go.set()
        waiting.join()


def test_clients_do_not_pile_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MOST_CLIENTS", 2)
    with watched.door() as door:
        first, second = (socket.create_connection(door.address, timeout=10) for _ in range(2))
        with closing(first), closing(second):
            wait_for(lambda: clients(door) == 2)
            with socket.create_connection(door.address, timeout=10) as third:
                assert third.recv(100) == b""
            assert clients(door) == 2
        wait_for(lambda: clients(door) == 0)

        assert ask(door, "/healthz")[0] == 200


# open and closed


def test_it_is_closed_when_it_is_left(watched: Watched) -> None:
    threads = set(threading.enumerate())
    with watched.door() as door:
        address = door.address
        hanging = socket.create_connection(address, timeout=10)
        wait_for(lambda: clients(door) == 1)
    with closing(hanging):
        assert hanging.recv(100) == b""
    with pytest.raises(ConnectionError):
        socket.create_connection(address, timeout=10)
    wait_for(lambda: set(threading.enumerate()) <= threads)


def test_it_is_closed_when_the_consumer_fails(watched: Watched) -> None:
    door = watched.door()
    with pytest.raises(RuntimeError, match="consumer"), door:
        fail("consumer")

    assert door.address == ("127.0.0.1", 0)
    assert "http" not in {thread.name for thread in threading.enumerate()}


def test_its_place_is_free_at_once(watched: Watched) -> None:
    with watched.door() as door:
        ask(door, "/healthz")
        text = f"127.0.0.1:{door.address[1]}"
    with watched.door(text) as again:
        assert ask(again, "/healthz")[0] == 200


def test_its_threads_keep_no_process_alive(door: HttpDoor) -> None:
    with socket.create_connection(door.address, timeout=10):
        wait_for(lambda: clients(door) == 1)

        ours = [thread for thread in threading.enumerate() if thread.name == "http" or "process_request" in thread.name]
        assert len(ours) == 2
        assert all(thread.daemon for thread in ours)
