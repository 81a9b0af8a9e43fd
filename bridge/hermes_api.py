"""Door to the Hermes API: which topics an account may write to, and sending it messages.

Hermes answers in ways of its own: an account without a SCiMMA credential gets 200 with ``{"error": ...}``, the question
whether a message is valid gets 200 in any case, and whatever goes wrong at its broker is a 400.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import requests

from bridge.errors import Away, BridgeError, Halt, Misconfigured, Rejected, Retryable
from bridge.settings import HermesEntry
from bridge.verdict import retry_after_seconds

__all__ = ["HermesApi", "HermesProfile"]

CONNECT_SECONDS = 5.0
"""How long Hermes may take to accept a connection."""
READ_SECONDS = 60.0
"""How long it may be silent. It answers when its broker has the message, and waits for a broker that is away without end."""
MAX_ANSWER_BYTES = 16_000_000
"""It gives a message back that it has taken, and no message is as large."""
MOST_SAID = 500
"""Characters of its complaints that are repeated."""

_BUSY = {408, 425, 429, 502, 503, 504}
_BROKER = "Error posting message to kafka"
"""How it begins when its broker did not take a message; what the broker said follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HermesProfile:
    """The account behind a key.

    Parameters
    ----------
    credential_name
        Its SCiMMA credential; without one it can publish nothing.
    writable_topics
        The topics that it may write to.
    """

    credential_name: str
    writable_topics: tuple[str, ...]


class HermesApi:
    """An account at Hermes. For one thread at a time; its repr shows no secret.

    Parameters
    ----------
    key
        The entry's key in DATA_SHARING, for messages.
    entry
        The entry.
    read_seconds
        How long Hermes may be silent.

    Raises
    ------
    Misconfigured
        If the entry has no key and no credential.
    """

    def __init__(self, key: str, entry: HermesEntry, *, read_seconds: float = READ_SECONDS) -> None:
        self.where = f"Hermes {key} ({entry.BASE_URL})"
        self._read_seconds = read_seconds
        self._base_url = urljoin(entry.BASE_URL.removesuffix("api/v0/"), "api/v0/")
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._http.headers.update({"Accept": "application/json", "Content-Type": "application/json"})
        self._http.headers.update({"User-Agent": f"tom-bridge/{version('tom-bridge')}"} | _login(key, entry))

    def __repr__(self) -> str:
        return f"<HermesApi {self.where}>"

    def profile(self) -> HermesProfile:
        """Return what Hermes says of the account.

        Raises
        ------
        BridgeError
            As `submit`, but for `Rejected`.
        """
        found = self._ask("GET", "profile/")
        topics = found.get("writable_topics") if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not isinstance(topics, list):
            raise self._not_hermes("profile/")
        return HermesProfile(
            credential_name=str(found.get("credential_name") or ""), writable_topics=tuple(str(topic) for topic in topics)
        )

    def submit(self, message: Mapping[str, Any]) -> UUID | None:
        """Send a message, and return the id under which Hermes has published it, if it says so.

        Raises
        ------
        Rejected
            ``refused_by_hermes`` with what is wrong with which field, or ``too_large_for_topic``.
        Halt
            ``hermes_login``, ``hermes_credential``, ``hermes_permission``, or ``no_hermes_api``: nothing else would go, either.
        Away
            If Hermes cannot be reached, is busy, or does not answer; it may have published the message all the same.
        Retryable
            If Hermes or its broker is in trouble; the same.
        """
        found = self._ask("POST", "submit_message/", message)
        if not isinstance(found, Mapping) or "topic" not in found:
            raise self._not_hermes("submit_message/")
        try:
            return UUID(str(found.get("uuid")))
        except ValueError:
            return None

    def validate(self, message: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what Hermes would refuse of a message; nothing, if it would take it.

        Raises
        ------
        BridgeError
            As `submit`, but for `Rejected`.
        """
        found = self._ask("POST", "submit_message/validate/", message)
        if not isinstance(found, Mapping):
            raise self._not_hermes("submit_message/validate/")
        return tuple(_complaints(found))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _ask(self, method: str, path: str, message: Mapping[str, Any] | None = None) -> Any:
        # What Hermes measures is ASCII with spaces, as its own json.dumps makes it; see `bridge.codecs.hermes.writing`.
        body = None if message is None else json.dumps(message, allow_nan=False).encode()
        try:
            response = self._http.request(
                method,
                urljoin(self._base_url, path),
                data=body,
                timeout=(CONNECT_SECONDS, self._read_seconds),
                allow_redirects=False,
                stream=True,
            )
            content = _content(response)
        except requests.RequestException as error:
            how = "does not answer" if isinstance(error, requests.ReadTimeout) else "cannot be reached"
            raise Away(f"{self.where}: {how} ({type(error).__name__})", broke_off=body is not None) from error
        try:
            found = None if content is None else json.loads(content)
        except (ValueError, RecursionError):
            found = None
        wrong = self._judge(path, response, found)
        if wrong is not None:
            raise wrong
        return found

    def _judge(self, path: str, response: requests.Response, found: Any) -> BridgeError | None:
        """Return what an answer means, if it is no success."""
        status = response.status_code
        retry_after = retry_after_seconds(response.headers.get("retry-after"), now=datetime.now(UTC))
        said = found.get("error") if isinstance(found, Mapping) and path == "submit_message/" else None
        if status in {401, 403}:
            return Halt("hermes_login", f"{self.where}: the account is refused (HTTP {status}): {_text(found)}")
        if status in _BUSY:
            return Away(f"{self.where}: busy or away (HTTP {status})", retry_after)
        if 300 <= status < 400:
            return Halt(
                "no_hermes_api", f"{self.where}: redirects elsewhere; is BASE_URL its address, with https if it wants that?"
            )
        if status >= 500:
            return Retryable(f"{self.where}: in trouble (HTTP {status})", retry_after)
        if status == 404:
            return self._not_hermes(path)
        if status == 413:
            return Rejected("too_large_for_topic", f"{self.where}: larger than Hermes takes")
        if 200 <= status < 300 and said:
            return Halt("hermes_credential", f"{self.where}: nothing can be published: {_text(said)}")
        if 200 <= status < 300:
            return None
        if isinstance(said, str) and said.startswith(_BROKER):
            return self._of_its_broker(said)
        return Rejected("refused_by_hermes", f"{self.where}: HTTP {status}: {_text(found)}")

    def _of_its_broker(self, said: str) -> BridgeError:
        word = "".join(character for character in said.lower() if character.isalnum())
        if "sizetoolarge" in word:
            return Rejected("too_large_for_topic", f"{self.where}: larger than the topic's max.message.bytes")
        if any(sign in word for sign in ("authorizationfailed", "authenticationfailed", "unknowntopic")):
            detail = f"{self.where}: its broker does not let the account write to the topic: {_text(said)}"
            return Halt("hermes_permission", detail)
        return Retryable(f"{self.where}: {_text(said)}")

    def _not_hermes(self, path: str) -> Halt:
        detail = f"{self.where}: what answers at api/v0/{path} is not Hermes; is BASE_URL the address of the Hermes API?"
        return Halt("no_hermes_api", detail)


def _login(key: str, entry: HermesEntry) -> dict[str, str]:
    """Return the headers that say who we are: by key, or as TOM Toolkit did before 2023."""
    token, password = entry.HERMES_API_KEY.get_secret_value(), entry.CREDENTIAL_PASSWORD.get_secret_value()
    if token:
        return {"Authorization": f"Token {token}"}
    if entry.CREDENTIAL_USERNAME and password:
        return {"SCIMMA-API-Auth-Username": entry.CREDENTIAL_USERNAME, "SCIMMA-API-Auth-Password": password}
    raise Misconfigured(
        f"[DATA_SHARING.{key}] HERMES_API_KEY: missing; Hermes shows it on the profile page, after a login in the browser"
    )


def _content(response: requests.Response) -> bytes | None:
    """Return the body of a response, or None if it is larger than any answer of Hermes."""
    chunks, total = list[bytes](), 0
    try:
        for chunk in response.iter_content(1 << 16):
            total += len(chunk)
            if total > MAX_ANSWER_BYTES:
                return None
            chunks.append(chunk)
    finally:
        response.close()
    return b"".join(chunks)


def _complaints(found: Any, place: str = "") -> Iterator[str]:
    """Yield what Hermes says of fields, one by one, such as ``data.photometry[3].bandpass: This field is required.``."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _complaints(value, f"{place}.{key}" if place else str(key))
    elif isinstance(found, list):
        for number, value in enumerate(found):
            yield from _complaints(value, f"{place}[{number}]" if isinstance(value, Mapping) else place)
    elif found is not None and str(found):
        yield f"{place}: {found}" if place else str(found)


def _text(found: Any) -> str:
    """Return what Hermes says as one line, cut where it is long."""
    text = "; ".join(_complaints(found)) or "no reason given"
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= MOST_SAID else f"{printable[:MOST_SAID]}..."
