"""Files by reference, from a real HTTP server on this machine, and from a file system."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bridge.blobs import fetch, sha256
from bridge.errors import Rejected, Retryable
from bridge.events import DataProduct, ReferencedContent

CONTENT = b"time,magnitude\n60310.5,18.25\n" * 1_000


class Files(BaseHTTPRequestHandler):
    """Answers by what the path asks for."""

    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        what = self.path.strip("/").split("/")[-1]
        status = int(what) if what.isdigit() else 302 if what == "moved" else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/data/fine")
        body = {"longer": CONTENT * 50, "other": CONTENT.upper()}.get(what, CONTENT) if status == 200 else b"no"
        self.send_header("Content-Length", str(len(body) + (1 if what == "broken" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def fetched(url: str, allowed: list[str], **changed: Any) -> bytes:
    about = {"name": "a.csv", "data_product_type": "photometry", "size": len(CONTENT), "sha256": sha256(CONTENT)}
    product = DataProduct.model_validate(about | {"content": ReferencedContent(url=url)} | changed)
    return fetch(product, allowed=allowed, most_bytes=10**6)


def test_a_file_is_fetched_and_verified(server: str) -> None:
    assert fetched(f"{server}/data/fine", [f"{server}/data/"]) == CONTENT


def test_no_credentials_and_no_cookies_are_sent(server: str) -> None:
    fetched(f"{server}/data/headers", [server])
    _path, headers = next(asked for asked in Files.asked if asked[0].endswith("headers"))

    assert not {"authorization", "cookie"} & {name.lower() for name in headers}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("moved", "fetch_failed"),
        ("404", "fetch_failed"),
        ("403", "fetch_failed"),
        ("other", "product_damaged"),
        ("longer", "product_damaged"),
    ],
)
def test_what_is_not_the_file_is_refused_for_good(server: str, what: str, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        fetched(f"{server}/data/{what}", [server])

    assert refused.value.reason == reason


def test_a_redirect_is_not_followed(server: str) -> None:
    with pytest.raises(Rejected, match="HTTP 302"):
        fetched(f"{server}/redirect/moved", [server])

    assert [path for path, _headers in Files.asked if path.startswith("/redirect")] == ["/redirect/moved"]


@pytest.mark.parametrize("what", ["500", "502", "503", "504", "429", "408"])
def test_a_server_that_is_busy_is_asked_again_later(server: str, what: str) -> None:
    with pytest.raises(Retryable, match=f"HTTP {what}"):
        fetched(f"{server}/data/{what}", [server])


def test_an_answer_that_breaks_off_is_asked_again_later(server: str) -> None:
    with pytest.raises(Retryable):
        fetched(f"{server}/data/broken", [server])


def test_a_closed_port_is_asked_again_later_and_the_address_stays_out_of_the_message() -> None:
    with pytest.raises(Retryable) as away:
        fetched("http://127.0.0.1:1/data/secret-name", ["http://127.0.0.1:1/"])

    assert "secret-name" not in str(away.value)


def test_an_address_that_is_not_allowed_is_never_asked(server: str) -> None:
    with pytest.raises(Rejected, match="fetch_not_allowed"):
        fetched(f"{server}/forbidden/fine", [f"{server}/data/"])

    assert not any(path.startswith("/forbidden") for path, _headers in Files.asked)


def test_a_file_that_is_announced_too_large_is_never_asked_for(server: str) -> None:
    with pytest.raises(Rejected, match="product_too_large"):
        fetched(f"{server}/large/fine", [server], size=10**7)

    assert not any(path.startswith("/large") for path, _headers in Files.asked)


def test_files_of_a_file_system_go_through_fsspec(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="tom-bridge[storage] is not installed here")
    (tmp_path / "a.csv").write_bytes(CONTENT)

    assert fetched(f"file://{tmp_path}/a.csv", [f"file://{tmp_path}"]) == CONTENT
    with pytest.raises(Rejected, match="fetch_not_allowed"):
        fetched(f"file://{tmp_path}/../etc/passwd", [f"file://{tmp_path}"])
    with pytest.raises(Rejected, match="FileNotFoundError"):
        fetched(f"file://{tmp_path}/gone.csv", [f"file://{tmp_path}"])
