"""Everything the bridge raises, split by who must act.

::

    BridgeError
    ├─ Poison          this record can never be read           -> dead letter, commit
    ├─ Rejected        the destination refuses this write      -> dead letter, commit
    ├─ Retryable       it may succeed later                    -> keep the offset, come again
    ├─ Halt            going on would lose or damage data      -> stop this destination
    └─ Misconfigured   a person must change a setting          -> exit code 2

Leaves carry data (a stable ``reason`` and details), so that a dead letter, a log line and a test can name the case
without parsing prose. No message ever carries a secret or a payload.
"""

from collections.abc import Mapping, Sequence

__all__ = ["BridgeError", "Halt", "Misconfigured", "Poison", "Rejected", "Retryable"]


class BridgeError(Exception):
    """Base of everything the bridge raises on purpose."""


class Poison(BridgeError):
    """A record that can never become a share event, whoever reads it.

    Parameters
    ----------
    reason
        Stable code in snake_case, for instance ``bad_json``.
    detail
        One sentence for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Rejected(BridgeError):
    """A write that the destination, or the bridge for its sake, refuses for good.

    Parameters
    ----------
    reason
        Stable code in snake_case, for instance ``ambiguous_target``.
    detail
        One sentence for a person.
    candidates
        The targets in question at the destination, where there are any.
    """

    def __init__(self, reason: str, detail: str, candidates: Sequence[Mapping[str, object]] = ()) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.candidates = tuple(candidates)


class Retryable(BridgeError):
    """Something that may succeed later: a TOM or a broker that is away, slow or busy.

    Parameters
    ----------
    detail
        One sentence for a person: what is away and how that showed.
    retry_after
        Seconds that the other side asked for, if it did.
    """

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class Halt(BridgeError):
    """A state in which going on would lose or damage data: refused login, refused dead letter, expired offset."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Misconfigured(BridgeError):
    """A setting that a person must change; the message names the file, the key and the fix."""
