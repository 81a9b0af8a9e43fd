"""Door to a TOM's HTTP: one exchange at a time and thread, never redirected, bounded in time and size."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, TypeAlias
from urllib.parse import urljoin

import requests
from urllib3.exceptions import NewConnectionError

from bridge.errors import Away, Halt
from bridge.verdict import Answer, retry_after_seconds

__all__ = ["Http", "Response", "Transport", "as_answer"]

Http: TypeAlias = requests.Session
Response: TypeAlias = requests.Response

CONNECT_SECONDS = 5.0
"""How long a TOM may take to accept a connection."""
READ_SECONDS = 60.0
"""How long it may be silent; a data product of 5,000 points takes it 2.5 s, a spectrum's page less."""
MAX_ANSWER_BYTES = 256_000_000
"""No list of a TOM is larger than this."""


class Transport:
    """HTTP to one TOM; each thread has connections of its own.

    Parameters
    ----------
    name
        The TOM, for messages.
    base_url
        Its address.
    observe
        Told the method, the status (None: no answer) and the seconds of each exchange.
    """

    def __init__(self, name: str, base_url: str, *, observe: Callable[[str, int | None, float], None]) -> None:
        self.name = name
        self._base_url = base_url
        self._observe = observe
        self._local = threading.local()
        self._open: list[Http] = []

    def exchange(self, method: str, path: str, *, http: Http | None = None, **arguments: Any) -> Response:
        """Send a request and return the response, whatever it says.

        Parameters
        ----------
        method, path
            What, below the TOM's address.
        http
            A session with cookies of its own, for logging in; else the thread's, which keeps none.
        arguments
            For ``requests.Session.request``.

        Raises
        ------
        Away
            If there is none.
        """
        started, status = time.monotonic(), None
        try:
            response = (http or self._of_this_thread()).request(
                method,
                urljoin(self._base_url, path),
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                **arguments,
            )
            status = response.status_code
        except requests.RequestException as error:
            raise self._away(error) from error
        finally:
            self._observe(method, status, time.monotonic() - started)
        return response

    def answer(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send a request and return the answer, read to its end.

        Raises
        ------
        Away
            If there is none.
        Halt
            If it is larger than any answer of a TOM.
        """
        began = time.monotonic()
        response = self.exchange(method, path, stream=True, **arguments)
        content = self.read(response, MAX_ANSWER_BYTES)
        return as_answer(method, path, response, content, seconds=time.monotonic() - began)

    def read(self, response: Response, most_bytes: int) -> bytes:
        """Return the body of a response.

        Raises
        ------
        Away
            If it breaks off.
        Halt
            If it is larger than ``most_bytes``.
        """
        chunks, total = [], 0
        try:
            for chunk in response.iter_content(1 << 16):
                total += len(chunk)
                if total > most_bytes:
                    raise Halt("answer_too_large", f"{self.name}: an answer of more than {most_bytes:,} bytes")
                chunks.append(chunk)
        except requests.RequestException as error:
            raise self._away(error) from error
        finally:
            response.close()
        return b"".join(chunks)

    def new_http(self) -> Http:
        """Return a session with cookies of its own; whoever asks for it closes it."""
        http = requests.Session()
        http.trust_env = False
        http.headers.update({"Accept": "application/json", "User-Agent": f"tom-bridge/{version('tom-bridge')}"})
        return http

    def close(self) -> None:
        """Close all connections."""
        while self._open:
            self._open.pop().close()

    def _of_this_thread(self) -> Http:
        http: Http | None = getattr(self._local, "http", None)
        if http is None:
            http = self._local.http = self.new_http()
            # Who we are is said with each request; a cookie that a TOM sets in between must not change it.
            http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            self._open.append(http)
        return http

    def _away(self, error: requests.RequestException) -> Away:
        how = "does not answer" if isinstance(error, requests.ReadTimeout) else "cannot be reached"
        return Away(f"{self.name}: {how} ({type(error).__name__})", broke_off=not _never_got_there(error))


def _never_got_there(error: requests.RequestException) -> bool:
    """Whether no connection was made, so that the request cannot be to blame."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)


def as_answer(method: str, path: str, response: Response, content: bytes, *, seconds: float = 0.0) -> Answer:
    """Return a response as a plain value."""
    is_json = response.headers.get("content-type", "").startswith("application/json")
    body = None
    if is_json and content:
        try:
            body = json.loads(content)
        except ValueError:
            is_json = False
    return Answer(
        method=method,
        path="/" + path.partition("?")[0],
        status=response.status_code,
        body=body,
        is_json=is_json,
        location=response.headers.get("location", ""),
        retry_after=retry_after_seconds(response.headers.get("retry-after"), now=datetime.now(UTC)),
        seconds=seconds,
    )
