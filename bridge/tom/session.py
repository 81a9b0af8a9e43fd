"""One account's conversation with a TOM: logged in once, never redirected, never fooled by HTML.

How to log in is found by asking, since 2.32 ignores tokens in silence (and then writes as nobody), and HTTP Basic costs the
TOM a quarter of a second a request. A session that ended is the dangerous case: the TOM then answers as to an anonymous
visitor, with empty lists and even with 201. `prove` tells, and is asked before a target is created and before an empty
list is believed.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urljoin, urlsplit

import requests

from bridge.errors import Halt, Rejected, Retryable
from bridge.events import canonical_json
from bridge.settings import TomEntry
from bridge.verdict import Answer, judge

__all__ = ["Dialect", "TomSession"]

CONNECT_SECONDS = 5.0
"""How long a TOM may take to accept a connection."""
READ_SECONDS = 60.0
"""How long it may be silent; a data product of 5,000 points takes it 2.5 s, a spectrum's page less."""
PROOF_SECONDS = 60.0
"""How long a proof of who we are is believed before a target is created."""
MAX_ANSWER_BYTES = 256_000_000
"""No list of a TOM is larger than this."""

_JSON = {"Content-Type": "application/json"}

Dialect = Literal[2, 3]
"""Major version of TOM Toolkit, as far as its API is concerned."""


class TomSession:
    """A logged-in account at a TOM.

    Parameters
    ----------
    key
        The TOM's key in DATA_SHARING, for messages.
    entry
        Its address and credentials.
    marks
        Returns headers that mark every request with the event that is being worked on (`bridge.codecs.echo`).
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        key: str,
        entry: TomEntry,
        *,
        marks: Callable[[], Mapping[str, str]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.url = entry.BASE_URL
        self._entry = entry
        self._marks = marks
        self._clock = clock
        self._http = self._new_http()
        self._dialect: Dialect | None = None
        self._uses_token = False
        self._proven_at: float | None = None

    def __repr__(self) -> str:
        return f"<TomSession {self.key} {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def dialect(self) -> Dialect:
        """The TOM's dialect; logs in if need be."""
        self.connect()
        if self._dialect is None:
            raise AssertionError("connect() leaves a dialect")
        return self._dialect

    @property
    def login_kind(self) -> str:
        """How the account is logged in, for people."""
        return "API token" if self._uses_token else "session"

    def connect(self) -> None:
        """Log in and find the dialect, unless that is done.

        Raises
        ------
        Halt
            If the TOM refuses the account, or is no TOM.
        Retryable
            If it is away.
        """
        if self._dialect is not None:
            return
        self._http.close()
        self._http = self._new_http()
        tokens_count = self._send("GET", "api/targets/", params={"limit": 1}, headers={"Authorization": "Token 0"})
        if tokens_count.status == 401:
            self._log_in_with_token()
        else:
            self._log_in_with_session()
        self._dialect = self._ask_dialect()
        if not self._still_ourselves():
            raise Halt("tom_login", f"{self._where}: logged in, but the TOM still treats the account as anonymous")
        self._proven_at = self._clock()

    def prove(self, *, max_age_seconds: float = 0.0) -> bool:
        """Whether we are still who we logged in as; if not, log in again, so that what was asked can be asked anew.

        Parameters
        ----------
        max_age_seconds
            A proof not older than this is believed.

        Returns
        -------
        bool
            False if the login had ended (it is renewed then).
        """
        self.connect()
        age = self._clock() - self._proven_at if self._proven_at is not None else None
        if age is not None and age < max_age_seconds:
            return True
        if self._still_ourselves():
            self._proven_at = self._clock()
            return True
        self._renew()
        return False

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Ask; returns the answer, whatever it is, except a refused login."""
        return self._request("GET", path, params=params)

    def get_ok(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask, and return the JSON of the answer; anything but a success is raised as `judge` says."""
        answer = self.get(path, params)
        if not answer.ok:
            raise judge(answer)
        return answer.body

    def get_page(self, path: str, params: Mapping[str, Any] | None = None) -> str | None:
        """Ask for the API's own HTML page, where the TOM has it; None if it does not."""
        self.connect()
        response = self._raw("GET", path, params=params, headers={"Accept": "text/html"})
        if response.status_code == 200 and response.headers.get("content-type", "").startswith("text/html"):
            return response.text
        return None

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send JSON; returns the answer, whatever it is, except a refused login."""
        return self._request("POST", path, data=canonical_json(body), headers=_JSON)

    def patch(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Change by JSON; returns the answer, whatever it is, except a refused login."""
        return self._request("PATCH", path, data=canonical_json(body), headers=_JSON)

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
        self.connect()
        response = self._raw("GET", "/" + other.path.lstrip("/"), stream=True)
        if response.status_code != 200:
            response.close()
            if response.status_code >= 500:
                raise judge(_answer("GET", other.path.lstrip("/"), response, b""))
            raise Rejected("file_not_given", f"{self._where}: the TOM does not give the file (HTTP {response.status_code})")
        if int(response.headers.get("content-length", 0)) > most_bytes:
            response.close()
            raise Rejected("product_too_large", f"{self._where}: the file has more than {most_bytes:,} bytes")
        return self._read(response, most_bytes)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def _where(self) -> str:
        return f"TOM {self.key} ({self.url})"

    def _request(self, method: str, path: str, **arguments: Any) -> Answer:
        self.connect()
        answer = self._send(method, path, **arguments)
        if answer.is_login_refused:
            self._renew()
            answer = self._send(method, path, **arguments)
        if answer.is_login_refused:
            raise judge(answer)
        return answer

    def _renew(self) -> None:
        self._dialect = None
        self.connect()

    def _log_in_with_token(self) -> None:
        token = self._entry.API_TOKEN.get_secret_value() if self._entry.API_TOKEN else None
        if token is None:
            answer = self._send("POST", "api/token-auth/", json=self._credentials())
            if answer.status == 403:  # AUTH_STRATEGY = 'LOCKED' lets nobody through to token-auth, only to the login page
                self._log_in_with_session()
                return
            if answer.status == 400:
                raise self._wrong_password()
            if not answer.ok:
                raise judge(answer)
            token = str(answer.body["token"])
        self._http.headers["Authorization"] = f"Token {token.strip()}"
        answer = self._send("GET", "api/targets/", params={"limit": 1})
        if answer.is_login_refused:
            raise Halt("tom_login", f"{self._where}: the TOM refuses the API token; make a new one, or use the password")
        if not answer.ok:
            raise judge(answer)
        self._uses_token = True

    def _log_in_with_session(self) -> None:
        if not self._entry.PASSWORD.get_secret_value():
            raise Halt(
                "tom_login",
                f"{self._where}: this TOM ignores API tokens (TOM Toolkit 2 does); give USERNAME and PASSWORD",
            )
        page = self._raw("GET", "accounts/login/")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        if page.status_code != 200 or found is None:
            raise judge(_answer("GET", "accounts/login/", page, b""))
        # 3.x calls the field 'login', 2.x 'username'; either ignores the other's.
        form = {**self._credentials(), "login": self._entry.USERNAME, "csrfmiddlewaretoken": found[1]}
        answer = self._raw("POST", "accounts/login/", data=form, headers={"Referer": self.url})
        if answer.status_code == 429:
            raise Retryable(f"{self._where}: too many logins in a short time; the TOM asks to wait", 60.0)
        if answer.status_code != 302:
            raise self._wrong_password()
        # A TOM may name its cookies as it likes; Django's own name has csrf in it, and so have others'.
        token = next((cookie.value for cookie in self._http.cookies if "csrf" in cookie.name.lower()), None)
        self._http.headers["X-CSRFToken"] = token or found[1]
        self._http.headers["Referer"] = self.url
        self._uses_token = False

    def _credentials(self) -> dict[str, str]:
        return {"username": self._entry.USERNAME, "password": self._entry.PASSWORD.get_secret_value()}

    def _wrong_password(self) -> Halt:
        return Halt(
            "tom_login",
            f"{self._where}: the TOM refuses the password of {self._entry.USERNAME}; "
            f"correct USERNAME and PASSWORD of [DATA_SHARING.{self.key}]",
        )

    def _ask_dialect(self) -> Dialect:
        # Only TOM Toolkit 3 records who shared a target; the API's own description of a target says so.
        answer = self._send("OPTIONS", "api/targets/")
        try:
            fields = answer.body["actions"]["POST"]
        except (TypeError, KeyError) as error:
            raise Halt("not_a_tom", f"{self._where}: no TOM Toolkit API answers there; check BASE_URL") from error
        return 3 if "shared_from" in fields else 2

    def _still_ourselves(self) -> bool:
        if self._uses_token:
            # A TOM that checks tokens refuses this one, and so would have refused ours.
            answer = self._send("GET", "api/targets/", params={"limit": 1}, headers={"Authorization": "Token 0"})
            return answer.status == 401
        # Without the CSRF header a logged-in session is refused, while an anonymous visitor is told of missing fields.
        answer = self._send("POST", "api/targets/", json={}, headers={"X-CSRFToken": None})
        if answer.status in {403, 302}:
            return True
        if answer.status == 400:
            return False
        raise judge(answer)

    def _send(self, method: str, path: str, **arguments: Any) -> Answer:
        response = self._raw(method, path, stream=True, **arguments)
        if response.status_code in {502, 503, 504}:
            self._dialect = None  # behind the proxy the TOM may be being upgraded: log in and ask again
        return _answer(method, path, response, self._read(response, MAX_ANSWER_BYTES))

    def _raw(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {**self._marks(), **arguments.pop("headers", {})}
        try:
            return self._http.request(
                method,
                urljoin(self.url, path),
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                **arguments,
            )
        except requests.RequestException as error:
            raise self._away(error) from error

    def _read(self, response: requests.Response, most_bytes: int) -> bytes:
        chunks, total = [], 0
        try:
            for chunk in response.iter_content(1 << 16):
                total += len(chunk)
                if total > most_bytes:
                    raise Halt("answer_too_large", f"{self._where}: an answer of more than {most_bytes:,} bytes")
                chunks.append(chunk)
        except requests.RequestException as error:
            raise self._away(error) from error
        finally:
            response.close()
        return b"".join(chunks)

    def _away(self, error: requests.RequestException) -> Retryable:
        # A TOM that comes back may be another version: log in and ask again.
        self._dialect = None
        how = "does not answer" if isinstance(error, requests.ReadTimeout) else "cannot be reached"
        return Retryable(f"{self._where}: {how} ({type(error).__name__})")

    def _new_http(self) -> requests.Session:
        http = requests.Session()
        http.trust_env = False
        http.headers.update({"Accept": "application/json", "User-Agent": f"tom-bridge/{version('tom-bridge')}"})
        return http


def _answer(method: str, path: str, response: requests.Response, content: bytes) -> Answer:
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
        retry_after=_retry_after(response.headers.get("retry-after")),
    )


def _retry_after(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
