"""What Hermes cannot carry as the TOM has it, so that it can be said."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Losses", "Lost"]


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of an event that readers of Hermes do not get, or not as the TOM has it.

    Parameters
    ----------
    what
        Which field, for instance ``target.parallax`` or ``datum.reduction_version``; ``datum`` alone: the whole of it.
    why
        One clause for a person.
    datums
        Numbers of the datums in the event that it concerns; none: it is about something else.
    """

    what: str
    why: str
    datums: tuple[int, ...] = ()

    def __str__(self) -> str:
        count = len(self.datums)
        of = f" of {count:,} datums" if count > 1 else ""
        return f"{self.what}{of}: {self.why}"


class Losses:
    """Collects what is lost, each thing once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[int]] = {}

    def add(self, what: str, why: str, number: int | None = None) -> None:
        """Note a loss; ``number`` is that of the datum, if it is one's."""
        self._found.setdefault((what, why), []).extend(() if number is None else (number,))

    def __iter__(self) -> Iterator[Lost]:
        return (Lost(what, why, tuple(dict.fromkeys(numbers))) for (what, why), numbers in self._found.items())
