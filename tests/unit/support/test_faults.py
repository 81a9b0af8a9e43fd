"""The door between bridge and TOM: what no fault is for goes through untouched, and a fault does on the wire what it says."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.support.door import FaultyDoor
from tests.support.exchange import Exchange, Fault, Seen
from tests.support.faults import Cut, Delay, Down, Flaky, Hang, Html200, Replace, Reset, Status
from tests.support.journal import Entry, Kind

SECONDS = 10.0
"""More than anything here takes."""
ANSWER = b'{"id": 7, "name": "SN 2024abc"}'
TARGETS, TARGET, DATUMS = "/api/targets/", "/api/targets/7/", "/api/reduceddatums/"
REQUEST = b'POST /api/targets/ HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"name": "x"}'


@dataclass
class Upstream:
    """What stands for the TOM: it keeps what it was asked, and answers once its gate is open."""

    asked: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    status: int = 201
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("Content-Type", "application/json")])
    body: bytes = ANSWER
    chunked: bool = False
    url: str = ""


@pytest.fixture
def tom() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            upstream.asked.append((self.command, self.path, self.headers.items(), body))
            upstream.gate.wait(SECONDS)
            self.send_response(upstream.status)
            for name, value in upstream.headers:
                self.send_header(name, value)
            if upstream.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif upstream.status != 204:
                self.send_header("Content-Length", str(len(upstream.body)))
            self.end_headers()
            if self.command == "HEAD" or upstream.status == 204:
                return
            if upstream.chunked:
                for part in (upstream.body[:3], upstream.body[3:], b""):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            else:
                self.wfile.write(upstream.body)

        do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _answer

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        upstream.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield upstream
        upstream.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def door(tom: Upstream) -> Iterator[FaultyDoor]:
    with FaultyDoor(tom.url) as opened:
        yield opened


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def ask(door: FaultyDoor, method: str = "POST", path: str = TARGETS, **arguments: Any) -> requests.Response:
    """Ask as the bridge does: with requests, over a connection of its own."""
    arguments = {"data": b'{"name": "x"}' if method in {"POST", "PATCH"} else None, "timeout": SECONDS, **arguments}
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, door.url.rstrip("/") + path, allow_redirects=False, **arguments)


def raw(door: FaultyDoor, request: bytes = REQUEST) -> bytes:
    """Return all bytes that come back before the connection is closed; a reset is an error."""
    with socket.create_connection(("127.0.0.1", door.port), SECONDS) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def anything(_seen: Seen) -> bool:
    return True


def of_kind(kind: Kind) -> Callable[[Seen], bool]:
    return lambda seen: seen.kind == kind


# what goes through untouched


def test_a_request_reaches_the_tom_as_it_was_sent(tom: Upstream, door: FaultyDoor) -> None:
    body = b"--x\r\n" + bytes(range(256)) * 40_000 + b"\r\n--x--"
    path = "//api/targets/a%2Fb/?name=SN%202024abc&x=%C3%A9&empty="
    headers = {"Cookie": "sessionid=s; csrftoken=c", "X-CSRFToken": "c", "X-Latin": "caf\xe9", "Content-Type": "multipart/x"}
    client = http.client.HTTPConnection("127.0.0.1", door.port, timeout=SECONDS)
    client.request("PATCH", path, body=body, headers=headers)
    assert client.getresponse().read() == ANSWER
    client.close()

    [(method, asked_path, asked_headers, asked_body)] = tom.asked
    assert (method, asked_path, asked_body) == ("PATCH", path.replace("//", "/", 1), body)  # http.server shows one slash
    sent = {**headers, "Host": f"127.0.0.1:{door.port}", "Accept-Encoding": "identity", "Content-Length": str(len(body))}
    assert dict(asked_headers) == {**sent, "Connection": "close"}


def test_an_answer_comes_back_as_the_tom_gave_it(tom: Upstream, door: FaultyDoor) -> None:
    tom.status = 302
    tom.headers = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; HttpOnly"), ("Location", "/targets/?next=%2F")]
    client = http.client.HTTPConnection("127.0.0.1", door.port, timeout=SECONDS)
    client.request("POST", "/accounts/login/", body=b"login=x")
    answer = client.getresponse()
    client.close()

    assert (answer.status, answer.reason) == (302, "Found")
    assert [(name, value) for name, value in answer.getheaders() if name in {"Set-Cookie", "Location"}] == tom.headers
    assert answer.headers.get_all("Server") != []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_goes_through(tom: Upstream, door: FaultyDoor, method: str) -> None:
    answer = ask(door, method)

    assert (answer.status_code, answer.content) == (201, b"" if method == "HEAD" else ANSWER)
    assert answer.headers["Content-Length"] == str(len(ANSWER))
    assert [asked[0] for asked in tom.asked] == [method]


def test_answers_without_a_body_and_in_chunks_go_through(tom: Upstream, door: FaultyDoor) -> None:
    tom.chunked = True
    assert ask(door, "GET").content == ANSWER
    tom.chunked, tom.status = False, 204
    deleted = ask(door, "DELETE")
    assert (deleted.status_code, deleted.content, "Content-Length" in deleted.headers) == (204, b"", False)


def test_a_client_may_keep_its_connection(door: FaultyDoor) -> None:
    client = http.client.HTTPConnection("127.0.0.1", door.port, timeout=SECONDS)
    client.connect()
    address = client.sock.getsockname()
    began = time.monotonic()
    for _ in range(100):
        client.request("POST", TARGETS, body=b'{"name": "x"}')
        assert client.getresponse().read() == ANSWER
        assert client.sock.getsockname() == address
    client.close()

    assert time.monotonic() - began < 100 * 0.04, "Nagle and delayed ACK cost 0.044 s each"


def test_a_tom_that_is_away_is_away_behind_the_door_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with FaultyDoor(f"http://127.0.0.1:{port}/") as door:
        with pytest.raises(requests.ConnectionError):
            ask(door)
        [entry] = door.journal
    assert (entry.forwarded, entry.tom_status, entry.status) == (False, None, None)


# faults


def test_a_status_is_answered_without_asking_the_tom(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Status(429, {"Retry-After": "3"}, body='{"detail": "slow"}', content_type="application/json"))

    answer = ask(door)

    assert (answer.status_code, answer.reason, answer.json()) == (429, "Too Many Requests", {"detail": "slow"})
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers["Content-Type"] == "application/json"
    assert tom.asked == []


def test_a_gateway_may_give_up_on_what_the_tom_has_done(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Status(504, after_write=True))

    assert ask(door).status_code == 504
    [entry] = door.journal
    assert (len(tom.asked), entry.forwarded, entry.tom_status, entry.status) == (1, True, 201, 504)


@pytest.mark.parametrize("after_write", [False, True])
def test_a_reset_is_one_on_the_wire(tom: Upstream, door: FaultyDoor, after_write: bool) -> None:
    door.on(anything, Reset(after_write))

    with pytest.raises(ConnectionResetError):
        raw(door)
    [entry] = door.journal
    assert len(tom.asked) == after_write
    assert (entry.forwarded, entry.tom_status, entry.status) == (after_write, 201 if after_write else None, None)


def test_a_cut_answer_has_all_headers_and_half_of_the_body(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Cut())

    head, _, body = raw(door).partition(b"\r\n\r\n")

    assert f"Content-Length: {len(ANSWER)}".encode() in head
    assert body == ANSWER[: len(ANSWER) // 2]
    with pytest.raises(requests.RequestException):
        ask(door)
    assert len(tom.asked) == 2


def test_a_cut_answer_without_a_body_is_no_answer(tom: Upstream, door: FaultyDoor) -> None:
    tom.body = b""
    door.on(anything, Cut())

    assert raw(door) == b""
    assert len(tom.asked) == 1


@pytest.mark.parametrize(
    ("fault", "asked", "bytes_come"),
    [(Hang(), 0, False), (Hang(after_write=True), 1, False), (Hang(after_headers=True), 1, True)],
)
def test_a_hang_is_silent_until_it_is_released_and_then_closes(
    tom: Upstream, door: FaultyDoor, pool: ThreadPoolExecutor, fault: Fault, asked: int, bytes_come: bool
) -> None:
    door.on(anything, fault)
    came = pool.submit(raw, door)
    door.journal.wait_for(lambda entries: entries and entries[0].waits, SECONDS)
    assert not came.done()

    door.release()

    assert came.result(SECONDS) == b"" if not bytes_come else came.result().endswith(b"\r\n\r\n")
    assert len(tom.asked) == asked
    [entry] = door.journal
    assert (entry.forwarded, entry.status, entry.ended is not None) == (bool(asked), 201 if bytes_come else None, True)


def test_a_hang_of_some_seconds_closes_after_them(door: FaultyDoor) -> None:
    door.on(anything, Hang(0.2))
    began = time.monotonic()

    assert raw(door) == b""
    assert 0.2 <= time.monotonic() - began < SECONDS / 2


def test_what_hangs_or_waits_ends_when_the_door_closes(tom: Upstream, pool: ThreadPoolExecutor) -> None:
    with FaultyDoor(tom.url) as door:
        door.on(of_kind("target"), Hang())
        door.on(of_kind("datum"), Delay(3600))
        tom.gate.clear()  # and the TOM itself hangs, too
        answers = [pool.submit(ask, door, path=path) for path in (TARGETS, DATUMS, "/elsewhere/")]
        door.journal.wait_for(lambda entries: sum(entry.waits for entry in entries) == 2 and len(entries) == 3, SECONDS)
        began = time.monotonic()
    assert time.monotonic() - began < SECONDS / 2
    for answer in answers:
        assert isinstance(answer.exception(SECONDS), requests.ConnectionError)
    assert all(entry.ended is not None for entry in door.journal)
    assert [asked[1] for asked in tom.asked if asked[1] != "/elsewhere/"] == [], "what was delayed is not sent any more"


def test_a_delayed_request_goes_on_later(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Delay(0.2), times=1)
    door.on(anything, Delay(0, then=Reset(after_write=True)))
    began = time.monotonic()

    assert ask(door).content == ANSWER
    assert 0.2 <= time.monotonic() - began < SECONDS / 2
    with pytest.raises(requests.ConnectionError):
        ask(door)
    assert len(tom.asked) == 2


def test_a_delayed_request_goes_on_for_a_client_that_gave_up(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Delay(3600))

    with pytest.raises(requests.ReadTimeout):
        ask(door, timeout=0.2)
    [entry] = door.journal
    assert entry.ended is None
    door.release()

    [entry] = door.journal.wait_for(lambda entries: entries[0].ended, SECONDS)
    assert (entry.tom_status, len(tom.asked)) == (201, 1)


def test_a_page_and_a_lie_look_like_successes(tom: Upstream, door: FaultyDoor) -> None:
    door.on(of_kind("target"), Html200())
    door.on(of_kind("datum"), Replace('{"already_exists": true}'))

    page, lie = ask(door), ask(door, path=DATUMS)

    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert (lie.status_code, lie.headers["Content-Type"], lie.json()) == (200, "application/json", {"already_exists": True})
    assert tom.asked == []


def test_a_door_that_is_down_refuses_and_comes_back_where_it_was(tom: Upstream, door: FaultyDoor) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", door.port, timeout=SECONDS)
    kept.request("GET", TARGETS)
    assert kept.getresponse().read() == ANSWER
    url = door.url
    for _ in range(3):
        door.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.port), SECONDS)
        door.up()
        assert ask(door).content == ANSWER
    door.down()
    kept.request("GET", TARGETS)
    with pytest.raises(ConnectionError):
        kept.getresponse()
    kept.close()

    assert door.url == url
    assert len(tom.asked) == len(door.journal) == 4


def test_what_is_in_flight_ends_well_when_the_door_goes_down(tom: Upstream, door: FaultyDoor, pool: ThreadPoolExecutor) -> None:
    tom.gate.clear()
    answer = pool.submit(ask, door)
    door.journal.wait_for(lambda entries: entries and entries[0].forwarded, SECONDS)
    door.down()
    tom.gate.set()

    assert answer.result(SECONDS).content == ANSWER


def test_a_request_takes_the_door_down_for_a_while(tom: Upstream, door: FaultyDoor) -> None:
    door.on(anything, Down(0.3), times=1)
    with pytest.raises(ConnectionResetError):
        raw(door)
    with pytest.raises(ConnectionRefusedError):
        raw(door)
    deadline = time.monotonic() + SECONDS
    while not door.is_up:
        assert time.monotonic() < deadline

    assert ask(door).content == ANSWER
    assert len(tom.asked) == 1


def test_a_door_keeps_its_port_when_it_is_closed_and_opened_again(tom: Upstream) -> None:
    door = FaultyDoor(tom.url)
    for _ in range(2):
        with door:
            assert ask(door).content == ANSWER
        with pytest.raises(ConnectionRefusedError):
            raw(door)


def test_flaky_follows_its_seed_alone(tom: Upstream, door: FaultyDoor) -> None:
    statuses = []
    for _ in range(2):
        rule = door.on(anything, Flaky(7, 0.5, [Status(500), Status(503)]))
        statuses.append([ask(door).status_code for _ in range(30)])
        door.clear(rule)

    assert statuses[0] == statuses[1]
    assert set(statuses[0]) == {201, 500, 503}
    assert len(tom.asked) == 2 * statuses[0].count(201)


# rules


def test_a_rule_says_which_and_how_many_of_its_matches_it_is_for(door: FaultyDoor) -> None:
    rule = door.on(lambda seen: b"x" in seen.body and seen.path == TARGETS, Status(503), after=1, every=2, times=2)
    seen: list[int] = []

    def note(exchange: Exchange) -> None:
        seen.append(exchange.seen.number)
        Status(500)(exchange)

    door.on(of_kind("target"), note, after=6)

    ask(door, path=DATUMS)
    assert [ask(door).status_code for _ in range(8)] == [201, 201, 503, 201, 503, 201, 500, 500]
    assert (rule.matched, rule.applied) == (8, 2)
    assert seen == [7, 8], "every rule counts all of its matches"


def test_the_first_rule_that_is_due_has_the_request_until_it_is_cleared(door: FaultyDoor) -> None:
    first = door.on(anything, Status(500), times=3)
    door.on(anything, Status(503))

    assert [ask(door).status_code for _ in range(2)] == [500, 500]
    door.clear(first)
    assert ask(door).status_code == 503
    door.clear()
    assert ask(door).status_code == 201


def test_a_rule_that_is_broken_fails_the_test(tom: Upstream) -> None:
    def broken(_seen: Seen) -> bool:
        raise KeyError("a test's own mistake")

    door = FaultyDoor(tom.url)
    door.__enter__()
    door.on(broken, Status(500))
    with pytest.raises(requests.ConnectionError):
        ask(door)
    with pytest.raises(KeyError, match="own mistake"):
        door.__exit__(None, None, None)


# the journal


def test_the_journal_has_all_requests_in_order(door: FaultyDoor) -> None:
    began = time.monotonic()
    door.on(of_kind("datum"), Status(429))
    asked = [("GET", TARGETS + "?limit=1"), ("POST", TARGETS), ("PATCH", TARGET), ("POST", DATUMS), ("DELETE", TARGET)]
    asked += [("POST", "/api/dataproducts/"), ("POST", "/accounts/login/"), ("POST", "/api/token-auth/"), ("POST", "/x/")]
    for method, path in asked:
        ask(door, method, path)
    ask(door, json={}, data=None)

    entries = door.journal.entries
    assert [(entry.method, entry.path + ("?" + entry.query if entry.query else "")) for entry in entries] == [
        *asked,
        ("POST", TARGETS),
    ]
    kinds = ["read", "target", "target", "datum", "target", "product", "login", "login", "other", "probe"]
    assert [entry.kind for entry in entries] == kinds
    assert [entry.status for entry in entries] == [201, 201, 201, 429, *[201] * 6]
    assert [entry.forwarded for entry in entries] == [entry.status == 201 for entry in entries]
    assert [entry.path for entry in door.journal.writes()] == [TARGETS, TARGET, DATUMS, TARGET, "/api/dataproducts/"]
    times = [moment for entry in entries for moment in (entry.arrived, entry.ended)]
    assert times == sorted(times, key=lambda moment: moment or 0.0)
    assert began <= (times[0] or 0.0)
    assert {entry.beside for entry in entries} == {()}
    assert (door.journal.most_at_once(), door.journal.overlaps()) == (1, [])


def test_who_waits_for_the_journal_is_told_at_once_or_in_the_end_that_it_did_not_happen(
    door: FaultyDoor, pool: ThreadPoolExecutor
) -> None:
    waiting = pool.submit(door.journal.wait_for, lambda entries: len(entries) == 2, SECONDS)
    ask(door)
    assert not waiting.done()
    ask(door)
    assert len(waiting.result(SECONDS)) == 2
    with pytest.raises(TimeoutError, match=r"not within 0\.05 s; .*/api/targets/"):
        door.journal.wait_for(lambda entries: len(entries) == 3, 0.05)


def all_forwarded(count: int) -> Callable[[Sequence[Entry]], bool]:
    return lambda entries: sum(entry.forwarded for entry in entries) == count


def last_waits(count: int) -> Callable[[Sequence[Entry]], bool]:
    return lambda entries: len(entries) == count and entries[-1].waits


def together(
    tom: Upstream, door: FaultyDoor, pool: ThreadPoolExecutor, *asked: tuple[str, str], **arguments: Any
) -> list[requests.Response]:
    """Ask one after the other, before the first is answered."""
    tom.gate.clear()
    answers: list[Future[requests.Response]] = []
    for method, path in asked:
        answers.append(pool.submit(ask, door, method, path, **arguments))
        door.journal.wait_for(all_forwarded(len(answers)), SECONDS)
    tom.gate.set()
    return [answer.result(SECONDS) for answer in answers]


def test_the_journal_tells_what_was_under_way_together(tom: Upstream, door: FaultyDoor, pool: ThreadPoolExecutor) -> None:
    together(tom, door, pool, ("POST", DATUMS), ("POST", DATUMS), ("PATCH", TARGET), ("GET", TARGETS), ("POST", DATUMS))

    entries = door.journal.entries
    assert [entry.beside for entry in entries] == [(), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)]
    assert [entry.beside_targets for entry in entries] == [(), (), (), (2,), (2,)]
    pairs = [(earlier.number, later.number) for earlier, later in door.journal.overlaps()]
    assert pairs == [(0, 2), (1, 2), (2, 3), (2, 4)]
    writes = [(earlier.number, later.number) for earlier, later in door.journal.overlaps(reads=False)]
    assert writes == [(0, 2), (1, 2), (2, 4)]
    assert [door.journal.most_at_once(kind) for kind in (None, "datum", "target", "product")] == [5, 3, 1, 0]


def test_data_together_and_probes_together_are_no_overlap(tom: Upstream, door: FaultyDoor, pool: ThreadPoolExecutor) -> None:
    together(tom, door, pool, ("POST", DATUMS), ("POST", "/api/dataproducts/"), ("POST", DATUMS))
    assert door.journal.overlaps() == []
    with FaultyDoor(tom.url) as other:
        together(tom, other, pool, ("POST", TARGETS), ("POST", TARGETS), json={}, data=None)
        assert other.journal.overlaps() == []
        assert other.journal.most_at_once("probe") == 2


def test_one_after_the_other_is_never_an_overlap(door: FaultyDoor, pool: ThreadPoolExecutor) -> None:
    turn = threading.Lock()
    door.on(anything, Flaky(11, 0.4, [Status(503), Cut(), Reset(after_write=True), Reset(), Hang(0.01)]))

    def write(_number: int) -> None:
        with turn, suppress(requests.RequestException):
            ask(door)

    list(pool.map(write, range(200)))

    assert len(door.journal) == 200
    assert door.journal.overlaps() == []


@pytest.mark.parametrize("fault", [Hang(), Hang(after_write=True), Hang(after_headers=True)])
def test_a_client_that_gave_up_waiting_does_not_overlap_with_itself(door: FaultyDoor, fault: Fault) -> None:
    door.on(of_kind("target"), fault)
    for number in range(50):
        with socket.create_connection(("127.0.0.1", door.port), SECONDS) as client:
            client.sendall(REQUEST)
            door.journal.wait_for(last_waits(number + 1), SECONDS)

    ask(door, "GET", DATUMS)
    assert door.journal.overlaps() == []
    door.journal.wait_for(lambda entries: all(entry.ended for entry in entries), SECONDS)


def test_what_waits_in_vain_is_in_flight_while_it_waits(door: FaultyDoor, pool: ThreadPoolExecutor) -> None:
    door.on(of_kind("datum"), Hang())
    waiting = pool.submit(raw, door, REQUEST.replace(b"targets", b"reduceddatums"))
    door.journal.wait_for(lambda entries: entries and entries[0].waits, SECONDS)

    ask(door)
    door.release()

    assert waiting.result(SECONDS) == b""
    assert [(earlier.number, later.number) for earlier, later in door.journal.overlaps()] == [(0, 1)]


def test_a_client_that_dies_amid_its_request_is_noted_and_the_tom_is_not_asked(tom: Upstream, door: FaultyDoor) -> None:
    with socket.create_connection(("127.0.0.1", door.port), SECONDS) as client:
        client.sendall(b"POST /api/targets/ HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    [entry] = door.journal.wait_for(lambda entries: entries and entries[0].ended, SECONDS)

    assert (entry.kind, entry.forwarded, entry.status) == ("target", False, None)
    assert tom.asked == []
