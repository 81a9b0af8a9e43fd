"""The door over real sockets: it lets requests end when it is to close, and says what is wrong with an address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import requests

from bridge.errors import Halt, Misconfigured, Rejected, Retryable
from bridge.gateway.app import MAX_BODY_BYTES
from bridge.gateway.server import GatewayServer
from bridge.hermes_api import HermesApi, HermesProfile
from bridge.settings import HermesEntry
from tests.support.waiting import wait_for
from tests.unit.gateway.doubles import KEY, OTHER_KEY, Gateway, message

HEADERS = {"Authorization": f"Token {KEY}"}


@contextmanager
def serving(gateway: Gateway, host: str = "127.0.0.1") -> Iterator[str]:
    with GatewayServer(gateway.app, host=host, port=0, threads=4) as server:
        yield server.url


def submit(url: str) -> requests.Response:
    return requests.post(f"{url}api/v0/submit_message/", json=message(), headers=HEADERS, timeout=20)


def test_it_serves_and_tells_no_software(gateway: Gateway) -> None:
    with serving(gateway) as url:
        answer = submit(url)
        refused = requests.get(f"{url}api/v0/profile/", timeout=20)

    assert answer.status_code == 200
    assert "Server" not in answer.headers
    assert refused.headers["WWW-Authenticate"] == "Token"
    assert len(gateway.published) == 1


def test_a_request_in_work_is_answered_before_it_closes(gateway: Gateway) -> None:
    (producer,) = gateway.producers
    producer.silent = True
    answers: list[requests.Response] = []
    with serving(gateway) as url:
        asking = threading.Thread(target=lambda: answers.append(submit(url)), daemon=True)
        asking.start()
        wait_for(lambda: producer._waiting, "the record is with the broker", seconds=10)
        threading.Timer(0.5, lambda: setattr(producer, "silent", False)).start()
    asking.join(10)

    assert [answer.status_code for answer in answers] == [200]
    assert len(gateway.published) == 1
    with pytest.raises(requests.ConnectionError):
        submit(url)


def test_what_comes_while_it_closes_is_told_to_come_again(gateway: Gateway) -> None:
    (producer,) = gateway.producers
    producer.silent = True
    answers: list[requests.Response] = []
    stop = threading.Event()
    serves = GatewayServer(gateway.app, host="127.0.0.1", port=0, threads=4)

    def serve() -> None:
        with serves:
            stop.wait(10)

    threads = [threading.Thread(target=serve), threading.Thread(target=lambda: answers.append(submit(serves.url)))]
    for thread in threads:
        thread.start()
    wait_for(lambda: producer._waiting, "the record is with the broker", seconds=10)
    stop.set()
    wait_for(lambda: serves._closing, "the gateway closes", seconds=10)
    late = submit(serves.url)
    producer.silent = False
    for thread in threads:
        thread.join(10)

    assert (late.status_code, late.headers["Retry-After"]) == (503, "10")
    assert late.json() == {"error": "The gateway is being stopped. Submit it again later."}
    assert [answer.status_code for answer in answers] == [200]
    assert len(gateway.published) == 1


def test_the_bridges_own_door_to_hermes_takes_it_for_hermes(gateway: Gateway) -> None:
    with serving(gateway) as url:
        entry = HermesEntry.model_validate({"BASE_URL": url, "HERMES_API_KEY": KEY})
        with closing(HermesApi("hermes", entry)) as hermes:
            profile = hermes.profile()
            assert profile == HermesProfile(credential_name="My TOM", writable_topics=("tom.shares", "tom.tests"))
            assert hermes.validate(message()) == ()
            assert hermes.submit(message(authors="")) is not None
            with pytest.raises(Rejected, match="title"):
                hermes.submit(message(title=""))
            gateway.errors.append(Retryable("timed out"))
            with pytest.raises(Retryable):
                hermes.submit(message())
        stranger = HermesEntry.model_validate({"BASE_URL": url, "HERMES_API_KEY": OTHER_KEY[:-1]})
        with closing(HermesApi("hermes", stranger)) as hermes, pytest.raises(Halt, match="hermes_login"):
            hermes.profile()

    assert len(gateway.published) == 1


def test_chunks_without_a_length_count_like_any_body(gateway: Gateway) -> None:
    def chunks() -> Iterator[bytes]:
        for _each in range(MAX_BODY_BYTES // 1_000_000 + 1):
            yield b"x" * 1_000_000

    headers = HEADERS | {"Content-Type": "application/json"}
    with serving(gateway) as url:
        answer = requests.post(f"{url}api/v0/submit_message/", data=chunks(), headers=headers, timeout=20)

    assert answer.status_code == 413


def test_far_too_much_is_refused_before_it_is_sent(gateway: Gateway) -> None:
    with serving(gateway) as url, socket.create_connection(url.split("/")[2].split(":"), timeout=10) as raw:
        raw.sendall(b"POST /api/v0/submit_message/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        said = raw.recv(1000)

    assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_names_are_taken_by_their_ipv4_address(gateway: Gateway, host: str) -> None:
    with GatewayServer(gateway.app, host=host, port=0, threads=1) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert not server.beyond_loopback


def test_an_address_that_cannot_be_had_is_said(gateway: Gateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Misconfigured, match=r"--http 127\.0\.0\.1:\d+: cannot listen there"):
            GatewayServer(gateway.app, host="127.0.0.1", port=taken.getsockname()[1], threads=1)
    with pytest.raises(Misconfigured, match="cannot listen there"):
        GatewayServer(gateway.app, host="no.such.host.invalid", port=0, threads=1)
