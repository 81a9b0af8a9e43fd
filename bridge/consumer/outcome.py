"""What became of a record: one of a closed list of ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bridge.tom.written import Failure, Written

__all__ = ["End", "Outcome", "refused", "skipped"]

End = Literal["written", "present", "partial", "skipped", "refused", "would_write"]
"""``written``: something was written; ``present``: all was there; ``partial``: some items were refused; ``skipped``: by
policy; ``refused``: a dead letter; ``would_write``: a dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a record.

    Parameters
    ----------
    end
        Which.
    reason, detail
        Why, where it is not simply written.
    candidates
        Targets in question.
    written
        What was written, where something was.
    failures
        Items that were refused; they make a dead letter.
    """

    end: End
    reason: str = ""
    detail: str = ""
    candidates: tuple[Mapping[str, Any], ...] = ()
    written: Written | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def is_dead_letter(self) -> bool:
        """Whether the record goes to the dead-letter topic."""
        return self.end in {"refused", "partial"}

    @classmethod
    def of(cls, written: Written) -> "Outcome":
        """Return the outcome of a write."""
        if written.failures:
            first = written.failures[0]
            detail = f"{len(written.failures)} items refused; first {first.item}: {first.detail}"
            end: End = "partial" if written.written or written.present or written.changed else "refused"
            return cls(end=end, reason=first.reason, detail=detail, written=written, failures=tuple(written.failures))
        return cls(end="written" if written.written or written.changed else "present", written=written)


def skipped(reason: str, detail: str = "") -> Outcome:
    """Return the outcome of a record that policy passes over."""
    return Outcome(end="skipped", reason=reason, detail=detail)


def refused(reason: str, detail: str, candidates: tuple[Mapping[str, Any], ...] = ()) -> Outcome:
    """Return the outcome of a record that becomes a dead letter."""
    return Outcome(end="refused", reason=reason, detail=detail, candidates=candidates)
