"""What a record says, in whichever language: the share events in it, and what could not be read."""

from dataclasses import dataclass

from bridge.events import ShareEvent

__all__ = ["Reading", "RefusedItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedItem:
    """A row or a table of a message of which nothing could be made.

    Parameters
    ----------
    item
        Which, such as ``photometry[3]``.
    reason
        Stable code in snake_case.
    detail
        One sentence for a person.
    target
        Name of the target it is about, if it says so.
    """

    item: str
    reason: str
    detail: str
    target: str = ""

    @property
    def accepted_as(self) -> str:
        """What it would have been part of, as a consumer's ``accept`` calls it."""
        return "targets" if self.item.partition("[")[0] in {"targets", "data"} else "reduced_datums"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a record says.

    Parameters
    ----------
    events
        Its share events, in the order in which they are to be written; all have the record's uuid as id.
    refused
        The items of a Hermes message of which nothing could be made.
    hops, destinations
        Of a Hermes message, where its data has been and for whom it is: its events say the same, and there may be none.
    """

    events: tuple[ShareEvent, ...]
    refused: tuple[RefusedItem, ...] = ()
    hops: tuple[str, ...] = ()
    destinations: tuple[str, ...] | None = None
