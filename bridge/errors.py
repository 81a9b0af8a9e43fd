"""Everything the bridge raises, split by who must act.

::

    BridgeError
    ├─ Poison          this record can never be read           -> dead letter, commit
    ├─ Rejected        the destination refuses this write      -> dead letter, commit
    ├─ Retryable       it may succeed later                    -> keep the offset, come again, for a limited time
    │  └─ Away         the whole TOM or broker is away or busy -> everything waits, for as long as it takes
    ├─ Abandoned       what is worked on is no longer ours     -> stop at once; whoever owns it begins anew
    ├─ Halt            going on would lose or damage data      -> stop this destination
    └─ Misconfigured   a person must change a setting          -> exit code 2

Leaves carry data (a stable ``reason`` and details), so that a dead letter, a log line and a test can name the case
without parsing prose. No message ever carries a secret or a payload.
"""

from collections.abc import Mapping, Sequence

__all__ = ["Abandoned", "Away", "BridgeError", "Halt", "Misconfigured", "Poison", "Rejected", "Retryable"]


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
    """Something that may succeed later, and that is not known to concern anything else.

    Parameters
    ----------
    detail
        One sentence for a person: what failed and how that showed.
    retry_after
        Seconds that the other side asked for, if it did.
    reason
        Stable code of the dead letter, if it does not succeed in time.
    """

    def __init__(self, detail: str, retry_after: float | None = None, *, reason: str = "retries_exhausted") -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.reason = reason


class Away(Retryable):
    """A TOM that is away, slow or busy as a whole: nothing else would succeed there either.

    Parameters
    ----------
    detail, retry_after
        As for `Retryable`.
    broke_off
        Whether a request was taken and never answered, which may be that request's own fault.
    """

    def __init__(self, detail: str, retry_after: float | None = None, *, broke_off: bool = False) -> None:
        super().__init__(detail, retry_after)
        self.broke_off = broke_off


class Abandoned(BridgeError):
    """An event in work went to another replica, or the service stops: nothing more is written for it here."""


class Halt(BridgeError):
    """A state in which going on would lose or damage data: refused login, refused dead letter, expired offset."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Misconfigured(BridgeError):
    """A setting that a person must change; the message names the file, the key and the fix."""
