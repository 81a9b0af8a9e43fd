"""What a TOM's answer means: pure functions over what came back.

Source: measured behaviour of TOM Toolkit 2.32.4 and 3.1.0. What an endpoint says in a way of its
own (a duplicate datum, a product that exists) is for `bridge.tom.data` and ``bridge.tom.targets``, which ask here for the rest.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bridge.errors import Away, BridgeError, Halt, Rejected, Retryable

__all__ = [
    "Answer",
    "field_errors",
    "is_from_a_tom",
    "judge",
    "retry_after_seconds",
    "says_already_exists",
    "says_invisible_target",
]

_BUSY = {408, 425, 429, 502, 503, 504}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A TOM's answer. Its repr shows no body.

    Parameters
    ----------
    method, path
        The request, without host and query.
    status
        HTTP status.
    body
        Parsed JSON, or None if the answer is not JSON.
    is_json
        Whether it is.
    location
        Where a redirect points.
    retry_after
        Seconds asked for by ``Retry-After``, if any.
    seconds
        How long the TOM took for it.
    """

    method: str
    path: str
    status: int
    body: Any = None
    is_json: bool = False
    location: str = ""
    retry_after: float | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        return f"<Answer {self.method} {self.path}: {self.status}>"

    @property
    def ok(self) -> bool:
        """Whether it is a success that can be believed: 2xx and JSON."""
        return 200 <= self.status < 300 and self.is_json

    @property
    def is_login_refused(self) -> bool:
        """Whether the TOM does not take who we are: 401, 403, or 2.x's redirect to its login page."""
        return self.status in {401, 403} or (300 <= self.status < 400 and "login" in self.location)


def judge(answer: Answer) -> BridgeError:
    """Return what an answer that is no success means.

    Returns
    -------
    BridgeError
        `Halt` if the login is refused, `Away` if the TOM is busy or away, `Retryable` if it fails on a mere question,
        else `Rejected`. A 500 to a write is `Rejected` as ``tom_error``: whoever wrote has to look whether it is there after
        all, and whether the TOM can write anything at present.
    """
    asked = f"{answer.method} {answer.path}"
    if answer.is_login_refused:
        return Halt("tom_login", f"{asked}: the TOM does not accept the account (HTTP {answer.status})")
    if answer.status in _BUSY:
        return Away(f"{asked}: the TOM is busy or away (HTTP {answer.status})", answer.retry_after)
    if 300 <= answer.status < 400:
        detail = f"{asked}: the TOM redirects elsewhere; is BASE_URL its address, with https if it wants that?"
        return Halt("tom_redirects", detail)
    if 200 <= answer.status < 300:
        return Halt("not_a_tom", f"{asked}: a success that is not JSON; is BASE_URL the address of a TOM?")
    if answer.status >= 500 and answer.method == "GET":
        detail = f"{asked}: the TOM is in trouble (HTTP {answer.status} to a mere question)"
        return Retryable(detail, reason="tom_error")
    if answer.status >= 500:
        return Rejected("tom_error", f"{asked}: the TOM failed on it (HTTP {answer.status})")
    return Rejected("refused_by_tom", f"{asked}: HTTP {answer.status}: {field_errors(answer.body)}")


def is_from_a_tom(answer: Answer) -> bool:
    """Whether a success looks like a TOM's, and not like that of a proxy or of something else that speaks JSON.

    A list of rows has ``results``; what is one row, or was made, is an object: with its ``id``, but for reduced datums, whose
    primary key the API does not tell.
    """
    body = answer.body
    if not isinstance(body, Mapping):
        return False
    if answer.method == "GET" and answer.path.count("/") == 3:
        return isinstance(body.get("results"), list)
    if answer.path.startswith("/api/reduceddatums/"):
        return "data_type" in body or "already_exists" in body
    return isinstance(body.get("id"), int) or "already_exists" in body


def field_errors(body: Any, most: int = 300) -> str:
    """Return a TOM's complaint about fields as one line of text, cut at ``most`` characters."""
    return "; ".join(_flatten(body, ""))[:most] or "no reason given"


def says_already_exists(body: Any, *path: str) -> bool:
    """Whether a 400's complaint about the field at ``path`` is that it exists already."""
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return any("already exists" in text for text in _flatten(body, ""))


def says_invisible_target(answer: Answer) -> bool:
    """Whether a TOM says that the target is gone, or not (any more) ours to see and change."""
    if answer.status == 404:
        return True
    complaint = answer.body.get("target") if answer.status == 400 and isinstance(answer.body, Mapping) else None
    return any(re.search(r"Invalid pk", text) for text in _flatten(complaint, ""))


def _flatten(body: Any, prefix: str) -> list[str]:
    if isinstance(body, Mapping):
        return [text for key, value in body.items() for text in _flatten(value, f"{prefix}{key}: ")]
    if isinstance(body, list):
        return [text for value in body for text in _flatten(value, prefix)]
    return [] if body is None else [f"{prefix}{body}"]


def retry_after_seconds(text: str | None, *, now: datetime) -> float | None:
    """Return how long a server asks to be left alone (RFC 9110, section 10.2.3), or None if it does not say.

    Parameters
    ----------
    text
        The header ``Retry-After``: seconds, or a date.
    now
        The time of day, with its zone.
    """
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
