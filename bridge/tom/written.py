"""What came of writing an event."""

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Failure", "Written"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An item of an event that was not written: which, and why.

    Parameters
    ----------
    item
        For people.
    reason, detail
        A stable code, and a sentence.
    datum
        If it is a datum: its number in the event.
    """

    item: str
    reason: str
    detail: str
    datum: int | None = None


@dataclass(slots=True, kw_only=True)
class Written:
    """What came of writing an event, item by item.

    Parameters
    ----------
    target_id
        Primary key of the target at the destination.
    created, changed
        Whether the target was made, or something was added to it.
    written, present
        Items that were written, and items that were there already.
    by_file
        How many of those that were written were datums in a file.
    failures
        Items that the TOM refused, or cannot store.
    notes
        What was stored otherwise than it was given, each in a sentence.
    done
        Numbers of the datums that need not be written again, should the event be begun anew.
    """

    target_id: int
    created: bool = False
    changed: bool = False
    written: int = 0
    present: int = 0
    by_file: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: set[int] = field(default_factory=set)

    def add(self, part: "Written") -> None:
        """Add what came of some of the items."""
        self.written += part.written
        self.present += part.present
        self.by_file += part.by_file
        self.failures += part.failures
        self.notes += part.notes
        self.done |= part.done

    @classmethod
    def together(cls, parts: "Iterable[Written]") -> "Written | None":
        """Return what came of several events of one record, under the first one's target; None if it is none."""
        several = list(parts)
        if len(several) < 2:
            return several[0] if several else None
        return cls(
            target_id=several[0].target_id,
            created=any(part.created for part in several),
            changed=any(part.changed for part in several),
            written=sum(part.written for part in several),
            present=sum(part.present for part in several),
            by_file=sum(part.by_file for part in several),
            failures=[failure for part in several for failure in part.failures],
            notes=[note for part in several for note in part.notes],
        )
