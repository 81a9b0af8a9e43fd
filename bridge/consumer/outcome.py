"""What became of a record: one of a closed list of ends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridge.tom.written import Failure, Written

__all__ = ["End", "Outcome", "refused", "skipped"]

End = Literal["written", "present", "partial", "skipped", "refused", "would_write"]
"""``written``: something was written; ``present``: all was there; ``partial``: some items were refused; ``skipped``: by
policy; ``refused``: a dead letter; ``would_write``: a dry run."""


_BY_THE_TOM = {"tom_error", "refused_by_tom", "target_not_changeable", "invisible_target", "retries_exhausted"}
"""Reasons that may well be the TOM's or the account's state, and not the event's."""


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

    @property
    def is_refused_by_tom(self) -> bool:
        """Whether nothing of it was written because the TOM refused it."""
        return self.end == "refused" and self.reason in _BY_THE_TOM

    @property
    def has_written(self) -> bool:
        """Whether the TOM took something of it, or had it."""
        return self.end in {"written", "present", "partial"}

    @classmethod
    def of(cls, written: Written) -> "Outcome":
        """Return the outcome of a write."""
        if written.failures:
            first = written.failures[0]
            detail = f"{len(written.failures)} items refused; first {first.item}: {first.detail}"
            end: End = "partial" if written.written or written.present or written.changed else "refused"
            return cls(end=end, reason=first.reason, detail=detail, written=written, failures=tuple(written.failures))
        return cls(end="written" if written.written or written.changed else "present", written=written)

    @classmethod
    def of_all(cls, parts: "Sequence[tuple[str, Outcome]]", *, unread: Iterable[Failure] = ()) -> "Outcome":
        """Return the outcome of a record that has several parts, of which each came to an end of its own.

        Parameters
        ----------
        parts
            What each part is about, and its outcome; at least one.
        unread
            Items of the record that belong to no part, because they could not be read.
        """
        if len(parts) == 1 and not unread:
            return parts[0][1]
        failures = [*unread, *(failure for about, outcome in parts for failure in outcome.failures_about(about))]
        ends = {outcome.end for _about, outcome in parts}
        first = next((outcome for _about, outcome in parts if outcome.end not in {"written", "present"}), parts[0][1])
        written = Written.together(outcome.written for _about, outcome in parts if outcome.written is not None)
        candidates = tuple(candidate for _about, outcome in parts for candidate in outcome.candidates)
        if failures:
            end: End = "partial" if ends & {"written", "present", "partial"} else "refused"
            detail = f"{len(failures)} items refused; first {failures[0].item}: {failures[0].detail}"
            return cls(
                end=end,
                reason=failures[0].reason,
                detail=detail,
                candidates=candidates,
                written=written,
                failures=tuple(failures),
            )
        for end in ("would_write", "written", "present"):
            if end in ends:
                detail = "; ".join(outcome.detail for _about, outcome in parts if outcome.detail)
                return cls(end=end, detail=detail, written=written)
        return first

    @classmethod
    def of_unread(cls, unread: "Sequence[Failure]") -> "Outcome":
        """Return the outcome of a record of which no item could be read; at least one has to be there."""
        detail = f"{len(unread)} items refused; first {unread[0].item}: {unread[0].detail}"
        return cls(end="refused", reason=unread[0].reason, detail=detail, failures=tuple(unread))

    def failures_about(self, about: str) -> Iterable[Failure]:
        """Yield what was refused, each item named with what it is about, if this is a dead letter."""
        if not self.is_dead_letter:
            return
        for failure in self.failures or (Failure("all of it", self.reason, self.detail),):
            yield Failure(f"{about}, {failure.item}", failure.reason, failure.detail)


def skipped(reason: str, detail: str = "") -> Outcome:
    """Return the outcome of a record that policy passes over."""
    return Outcome(end="skipped", reason=reason, detail=detail)


def refused(reason: str, detail: str, candidates: tuple[Mapping[str, Any], ...] = ()) -> Outcome:
    """Return the outcome of a record that becomes a dead letter."""
    return Outcome(end="refused", reason=reason, detail=detail, candidates=candidates)
