"""One account's conversation with a TOM: logged in once, never redirected, never fooled by HTML.

HTTP Basic would cost the TOM a quarter of a second a request; `bridge.tom.account` logs in otherwise. A session that ended is
the dangerous case: the TOM then answers as to an anonymous visitor, with empty lists and even with 201. `TomSession.prove`
tells, and is asked before a target is created and before an empty list is believed.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bridge.errors import Away, Halt, Rejected
from bridge.events import canonical_json
from bridge.settings import TomEntry
from bridge.tom.account import LOGIN, Account, Dialect, Login
from bridge.tom.transport import Transport, as_answer
from bridge.verdict import Answer, is_from_a_tom, judge

__all__ = ["TomSession"]

PROOF_SECONDS = 60.0
"""How long a proof of who we are is believed before a target is created."""
WRITING_PROOF_SECONDS = 2.0
"""How long a proof that the TOM can write is believed."""

TOO_MANY_REQUESTS = 429
"""The status with which TOM Toolkit 3 puts off a login, after some thirty in a minute."""

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Known:
    """A login, and the dialect that was found with it."""

    login: Login
    dialect: Dialect


class TomSession:
    """A logged-in account at a TOM; safe to use from many threads, which share the login.

    Parameters
    ----------
    key
        The TOM's key in DATA_SHARING, for messages.
    entry
        Its address and credentials.
    marks
        Returns headers that mark every request with the event that is being worked on (`bridge.codecs.echo`).
    guard
        Stands around each request with its method and path; may hold it back, or refuse it by raising.
    observe
        Told the method, the status (None: no answer) and the seconds of each exchange.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        key: str,
        entry: TomEntry,
        *,
        marks: Callable[[], Mapping[str, str]] = dict,
        guard: Callable[[str, str], AbstractContextManager[None]] = lambda _method, _path: nullcontext(),
        observe: Callable[[str, int | None, float], None] = lambda _method, _status, _seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.url = entry.BASE_URL
        self._guard = guard
        self._clock = clock
        self._transport = Transport(self._where, self.url, observe=observe)
        self._account = Account(key, entry, transport=self._transport, marks=marks)
        self._lock = threading.RLock()
        self._asked = threading.local()
        """The login with which a thread has asked since it last looked whether that login holds; the first, if several."""
        self._known: _Known | None = None
        self._was_a_tom = False
        self._proven_at: float | None = None
        self._wrote_at: float | None = None
        self._writes = True

    def __repr__(self) -> str:
        return f"<TomSession {self.key} {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def dialect(self) -> Dialect:
        """The TOM's dialect; logs in if need be."""
        return self._connected().dialect

    @property
    def login_kind(self) -> str:
        """How the account is logged in, for people."""
        return "API token" if self._connected().login.uses_token else "session"

    def connect(self) -> None:
        """Log in and find the dialect, unless that is done.

        Raises
        ------
        Halt
            If the TOM refuses the account, or is no TOM.
        Retryable
            If it is away.
        """
        self._connected()

    def prove(self, *, max_age_seconds: float = 0.0) -> bool:
        """Whether what this thread has asked was answered to us; if not, log in again, so that it can be asked anew.

        Parameters
        ----------
        max_age_seconds
            A proof not older than this is believed.

        Returns
        -------
        bool
            False if the login had ended (it is renewed then, by this thread or another).
        """
        known, asked = self._connected(), getattr(self._asked, "known", None)
        self._asked.known = None
        if asked is not None and asked is not known:
            return False
        proven_at = self._proven_at
        if proven_at is not None and self._clock() - proven_at < max_age_seconds:
            return True
        with self._guard("GET", "api/targets/"):  # it changes nothing, whatever its method
            is_still = self._account.is_still(known.login)
        if is_still:
            self._proven_at = self._clock()
            return True
        self._renew(known)
        return False

    def require_writing(self) -> None:
        """Go on only if the TOM can write at present, so that a write on which it failed was to blame itself.

        A login writes a session. Where that can't be tried, with an API token alone, nothing is said.

        Raises
        ------
        Away
            If it cannot, or if it takes no more logins for the moment and so can't be asked.
        """
        if self._wrote_at is not None and self._clock() - self._wrote_at < WRITING_PROOF_SECONDS:
            return
        with self._guard("POST", LOGIN):
            status = self._account.try_login()
        if status is None:
            return
        if status == TOO_MANY_REQUESTS:
            self._writes = False  # as far as anybody knows; it is asked again before anything goes on
            raise Away(
                f"{self._where}: a write failed; whether the TOM can write at all is asked by a login, "
                "and there were too many logins"
            )
        self._writes = status < 500
        if not self._writes:
            raise Away(f"{self._where}: the TOM answers, but can write nothing at present (HTTP {status} to a login)")
        self._wrote_at = self._clock()

    def probe(self) -> None:
        """Ask the TOM something cheap; if it could not write when that was asked last, ask that, too.

        Raises
        ------
        Retryable
            If it is away, or still cannot write.
        Halt
            If it refuses the login.
        """
        self.get_ok("api/targets/", {"limit": 1})
        if not self._writes:
            self.require_writing()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Ask; returns the answer, whatever it is, except a refused login."""
        return self._request("GET", path, params=params)

    def get_ok(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask, and return the JSON of the answer; anything but a success is raised as `judge` says."""
        return self.get_answer(path, params).body

    def get_answer(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """As `get_ok`, with all that is known of the answer."""
        answer = self.get(path, params)
        if not answer.ok:
            raise judge(answer)
        return answer

    def get_page(self, path: str, params: Mapping[str, Any] | None = None) -> str | None:
        """Ask for the API's own HTML page, where the TOM has it; None if it does not."""
        login = self._connected().login
        with self._guard("GET", path):
            response = self._account.exchange("GET", path, login, params=params, headers={"Accept": "text/html"})
        if response.status_code == 200 and response.headers.get("content-type", "").startswith("text/html"):
            return response.text
        return None

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send JSON; returns the answer, whatever it is, except a refused login."""
        return self._request("POST", path, data=canonical_json(body), headers=_JSON)

    def patch(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Change by JSON; returns the answer, whatever it is, except a refused login."""
        return self._request("PATCH", path, data=canonical_json(body), headers=_JSON)

    def delete(self, path: str) -> bool:
        """Delete something; returns whether it is gone."""
        answer, _known = self._guarded("DELETE", path, self._connected())
        return answer.status in {204, 404}

    def upload(self, path: str, fields: Mapping[str, Any], file_name: str, content: bytes) -> Answer:
        """Send a multipart form with one ``file``; returns the answer, whatever it is, except a refused login."""
        return self._request("POST", path, data=fields, files={"file": (file_name, content)})

    def download(self, url: str, most_bytes: int) -> bytes:
        """Fetch a file of this TOM, with the account's login; never from anywhere else.

        Raises
        ------
        Rejected
            If it is elsewhere, or cannot be had.
        Retryable, Halt
            As `judge` says, or if it is larger than ``most_bytes``.
        """
        own, other = urlsplit(self.url), urlsplit(url)
        # Behind a proxy a TOM may believe that it is spoken to by http, and write its addresses so.
        if own.hostname != other.hostname or (own.scheme == other.scheme and own.port != other.port):
            raise Rejected("foreign_address", f"{self._where}: the file is not on this TOM, and is not fetched from elsewhere")
        login = self._connected().login
        response = self._account.exchange("GET", "/" + other.path.lstrip("/"), login, stream=True)
        if response.status_code != 200:
            response.close()
            if response.status_code >= 500:
                raise judge(as_answer("GET", other.path.lstrip("/"), response, b""))
            raise Rejected("file_not_given", f"{self._where}: the TOM does not give the file (HTTP {response.status_code})")
        if int(response.headers.get("content-length", 0)) > most_bytes:
            response.close()
            raise Rejected("product_too_large", f"{self._where}: the file has more than {most_bytes:,} bytes")
        return self._transport.read(response, most_bytes)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def _where(self) -> str:
        return f"TOM {self.key} ({self.url})"

    def _request(self, method: str, path: str, **arguments: Any) -> Answer:
        answer, known = self._guarded(method, path, self._connected(), **arguments)
        if answer.is_login_refused:
            answer, known = self._guarded(method, path, self._renew(known), **arguments)
        if answer.is_login_refused:
            raise judge(answer)
        if 200 <= answer.status < 400 and not (answer.ok and is_from_a_tom(answer)):
            # It was a TOM when we logged in: a page of its proxy, for instance while it is maintained.
            raise Away(
                f"{self._where}: {method} /{path} is not answered by the TOM, but by something else (HTTP {answer.status})"
            )
        return answer

    def _guarded(self, method: str, path: str, known: _Known, **arguments: Any) -> tuple[Answer, _Known]:
        """Return the answer, and the login with which it was asked for in the end: another may have renewed it meanwhile."""
        try:
            with self._guard(method, path):
                known = self._known or known
                if getattr(self._asked, "known", None) is None:
                    self._asked.known = known
                answer = self._account.ask(method, path, known.login, **arguments)
        except Away:
            self._forget(known)  # a TOM that comes back may be another version: log in and ask again
            raise
        if answer.status in {502, 503, 504}:
            self._forget(known)  # behind the proxy the TOM may be being upgraded
        return answer, known

    def _connected(self) -> _Known:
        known = self._known
        if known is not None:
            return known
        with self._lock:
            if self._known is None:
                self._known = self._log_in(self._account.log_in_by_token)
            if self._known is not None:
                return self._known
        # The guard first: who is inside it may need the lock, and nobody who has the lock waits for the guard.
        with self._guard("POST", LOGIN), self._lock:
            if self._known is None:
                self._known = self._log_in(self._account.log_in_by_page)
            assert self._known is not None  # noqa: S101  the page gives a login, or an error
            return self._known

    def _renew(self, known: _Known) -> _Known:
        self._forget(known)
        return self._connected()

    def _forget(self, known: _Known) -> None:
        """Forget a login that failed, unless another thread has renewed it already."""
        with self._lock:
            if self._known is known:
                self._known = None

    def _log_in(self, way: Callable[[], Login | None]) -> _Known | None:
        """Log in by a way; None if that is none here."""
        try:
            login = way()
            if login is None:
                return None
            known = _Known(login, self._account.dialect(login))
            is_ourselves = self._account.is_still(login)
        except Halt as error:
            if self._was_a_tom and error.reason in {"not_a_tom", "tom_redirects"}:
                raise Away(error.detail) from error  # a page of its proxy, for instance while it is maintained
            raise
        if not is_ourselves:
            raise Halt("tom_login", f"{self._where}: logged in, but the TOM still treats the account as anonymous")
        self._proven_at = self._clock()
        self._was_a_tom = True
        return known
