"""An account at a TOM: how it logs in, and how it proves that it still is who it logged in as.

How to log in is found by asking: 2.32 ignores tokens in silence, and then writes as nobody.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.errors import Away, BridgeError, Halt
from bridge.settings import TomEntry
from bridge.tom.transport import Http, Response, Transport, as_answer
from bridge.verdict import Answer, judge

__all__ = ["LOGIN", "Account", "Dialect", "Login"]

LOGIN = "accounts/login/"
"""A TOM's login page. To log in there writes, at least a session."""
_AS_BROWSER = {"Accept": "text/html"}
"""Asked for JSON, 3.x's login page answers with JSON, in which there is no form."""
_TOKEN_THAT_IS_NONE = {"Authorization": "Token 0"}

Dialect = Literal[2, 3]
"""Major version of TOM Toolkit, as far as its API is concerned."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login: what proves to the TOM who we are. Its repr shows no secret."""

    uses_token: bool
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False, default_factory=dict)


class Account:
    """An account at one TOM.

    Parameters
    ----------
    key
        The TOM's key in DATA_SHARING, for messages.
    entry
        Its address and credentials.
    transport
        The way there.
    marks
        Returns headers for every request.
    """

    def __init__(
        self,
        key: str,
        entry: TomEntry,
        *,
        transport: Transport,
        marks: Callable[[], Mapping[str, str]],
    ) -> None:
        self._key = key
        self._entry = entry
        self._transport = transport
        self._marks = marks
        self._where = transport.name

    def log_in_by_token(self) -> Login | None:
        """Log in by a token; None if the TOM takes none, or gives us none.

        Raises
        ------
        Halt
            If the TOM refuses the account, or is no TOM.
        Retryable
            If it is away.
        """
        tokens_count = self.ask("GET", "api/targets/", None, params={"limit": 1}, headers=_TOKEN_THAT_IS_NONE)
        return self._token_login() if tokens_count.status == 401 else None

    def try_login(self) -> int | None:
        """Log in by the TOM's page, only to see whether that works; a login writes a session.

        Returns
        -------
        int | None
            The HTTP status, or None if it can't be tried: without a password, or where the TOM shows no form for it.
        """
        if not self._entry.PASSWORD.get_secret_value():
            return None
        with closing(self._transport.new_http()) as http:
            page, form = self._login_form(http)
            if form is not None:
                return self._log_in_by_form(http, form).status_code
            return page.status_code if page.status_code >= 400 else None

    def _token_login(self) -> Login | None:
        token = self._entry.API_TOKEN.get_secret_value() if self._entry.API_TOKEN else None
        if token is None:
            answer = self.ask("POST", "api/token-auth/", None, json=self._credentials())
            if answer.status == 403:  # AUTH_STRATEGY = 'LOCKED' lets nobody through to token-auth, only to the login page
                return None
            if answer.status == 400:
                raise self._wrong_password()
            if not answer.ok:
                raise self._login_failed(answer)
            token = str(answer.body["token"])
        login = Login(uses_token=True, headers={"Authorization": f"Token {token.strip()}"})
        answer = self.ask("GET", "api/targets/", login, params={"limit": 1})
        if answer.is_login_refused:
            raise Halt("tom_login", f"{self._where}: the TOM refuses the API token; make a new one, or use the password")
        if not answer.ok:
            raise judge(answer)
        return login

    def log_in_by_page(self) -> Login:
        """Log in by the TOM's page, which writes a session there. Raises as `log_in_by_token`."""
        if not self._entry.PASSWORD.get_secret_value():
            raise Halt(
                "tom_login",
                f"{self._where}: this TOM ignores API tokens (TOM Toolkit 2 does); give USERNAME and PASSWORD",
            )
        with closing(self._transport.new_http()) as http:
            page, form = self._login_form(http)
            if form is None:
                raise judge(as_answer("GET", LOGIN, page, b""))
            answer = self._log_in_by_form(http, form)
            if answer.status_code == 429:
                raise Away(f"{self._where}: too many logins in a short time; the TOM asks to wait", 60.0)
            if answer.status_code >= 500:
                raise self._login_failed(as_answer("POST", LOGIN, answer, b""))
            if answer.status_code != 302:
                raise self._wrong_password()
            # A TOM may name its cookies as it likes; Django's own name has csrf in it, and so have others'.
            token = next((str(cookie.value) for cookie in http.cookies if "csrf" in cookie.name.lower()), None)
            headers = {"X-CSRFToken": token or form, "Referer": self._entry.BASE_URL}
            cookies = {cookie.name: str(cookie.value) for cookie in http.cookies}
        return Login(uses_token=False, headers=headers, cookies=cookies)

    def _login_form(self, http: Http) -> tuple[Response, str | None]:
        """Return the login page, and its CSRF token if it is one."""
        page = self._transport.exchange("GET", LOGIN, http=http, headers=_AS_BROWSER)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        return page, found[1] if found is not None and page.status_code == 200 else None

    def _log_in_by_form(self, http: Http, csrf: str) -> Response:
        # 3.x calls the field 'login', 2.x 'username'; either ignores the other's.
        form = {**self._credentials(), "login": self._entry.USERNAME, "csrfmiddlewaretoken": csrf}
        headers = {**_AS_BROWSER, "Referer": self._entry.BASE_URL}
        return self._transport.exchange("POST", LOGIN, http=http, data=form, headers=headers)

    def _credentials(self) -> dict[str, str]:
        return {"username": self._entry.USERNAME, "password": self._entry.PASSWORD.get_secret_value()}

    def _wrong_password(self) -> Halt:
        return Halt(
            "tom_login",
            f"{self._where}: the TOM refuses the password of {self._entry.USERNAME}; "
            f"correct USERNAME and PASSWORD of [DATA_SHARING.{self._key}]",
        )

    def _login_failed(self, answer: Answer) -> BridgeError:
        """Return what it means that a login went wrong otherwise than by being refused."""
        if answer.status >= 500:
            return Away(f"{self._where}: the TOM fails on a login (HTTP {answer.status})", answer.retry_after)
        return judge(answer)

    def dialect(self, login: Login) -> Dialect:
        """Ask which dialect the TOM speaks."""
        # Only TOM Toolkit 3 records who shared a target; the API's own description of a target says so.
        answer = self.ask("OPTIONS", "api/targets/", login)
        if answer.status >= 500:
            raise self._login_failed(answer)
        try:
            fields = answer.body["actions"]["POST"]
        except (TypeError, KeyError) as error:
            raise Halt("not_a_tom", f"{self._where}: no TOM Toolkit API answers there; check BASE_URL") from error
        return 3 if "shared_from" in fields else 2

    def is_still(self, login: Login) -> bool:
        """Ask whether a login still holds; a TOM whose session ended answers as to a visitor."""
        if login.uses_token:
            # A TOM that checks tokens refuses this one, and so would have refused ours.
            answer = self.ask("GET", "api/targets/", login, params={"limit": 1}, headers=_TOKEN_THAT_IS_NONE)
            return answer.status == 401
        # Without the CSRF header a logged-in session is refused, while an anonymous visitor is told of missing fields.
        answer = self.ask("POST", "api/targets/", login, json={}, headers={"X-CSRFToken": None})
        if answer.status in {403, 302}:
            return True
        if answer.status == 400:
            return False
        raise self._login_failed(answer)

    def ask(self, method: str, path: str, login: Login | None, **arguments: Any) -> Answer:
        """Send a request as somebody, and return the answer, whatever it is."""
        return self._transport.answer(method, path, **self._as(login, arguments))

    def exchange(self, method: str, path: str, login: Login, **arguments: Any) -> Response:
        """Send a request as somebody, and return the response unread."""
        return self._transport.exchange(method, path, **self._as(login, arguments))

    def _as(self, login: Login | None, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request that is made as somebody."""
        own: Mapping[str, str] = login.headers if login is not None else {}
        headers = {**own, **self._marks(), **arguments.pop("headers", {})}
        return {**arguments, "headers": headers, "cookies": dict(login.cookies) if login is not None else {}}
