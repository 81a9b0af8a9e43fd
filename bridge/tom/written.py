"""What came of writing an event."""

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
    failures
        Items that the TOM refused, or cannot store.
    notes
        What was stored otherwise than it was given, each in a sentence.
    """

    target_id: int
    created: bool = False
    changed: bool = False
    written: int = 0
    present: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
