"""All names and aliases of a TOM's targets, kept small: hashes, since whatever is found is confirmed anyway."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Self

from bridge.events import simplify_name

__all__ = ["AllNames", "NameTable", "names_of"]


def names_of(row: Mapping[str, Any]) -> set[str]:
    """Return the simplified names and aliases of a target, as the API shows it."""
    names = (row.get("name"), *(alias.get("name") for alias in row.get("aliases") or ()))
    return {simple for name in names if name and (simple := simplify_name(name.strip()))}


class NameTable:
    """Which targets have a name: hashes of simplified names, sorted, and beside each the primary key of a target.

    A name takes 16 bytes. Two names of one hash cost a question more.
    """

    __slots__ = ("_hashes", "_owners", "keys")

    def __init__(self, hashes: "array[int]", owners: "array[int]", keys: "array[int]") -> None:
        self._hashes = hashes
        self._owners = owners
        self.keys = keys
        """Primary keys of all targets, sorted."""

    @classmethod
    def of(cls, hashes: "array[int]", owners: "array[int]", keys: Iterable[int]) -> Self:
        """Return the table of these pairs of a hash and its owner, in whichever order they are."""
        order = sorted(range(len(hashes)), key=hashes.__getitem__)
        return cls(array("q", (hashes[at] for at in order)), array("q", (owners[at] for at in order)), array("q", sorted(keys)))

    def has(self, target_id: int) -> bool:
        """Whether a target is in it."""
        at = bisect_left(self.keys, target_id)
        return at < len(self.keys) and self.keys[at] == target_id

    def owners(self, name: str) -> set[int]:
        """Return the primary keys of the targets that have a simplified name, and perhaps of others."""
        wanted, found = hash(name), set()
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            found.add(self._owners[at])
            at += 1
        return found


class AllNames:
    """All names as they were read once, and what is known to have changed since.

    Parameters
    ----------
    table
        What was read.
    """

    def __init__(self, table: NameTable) -> None:
        self._table = table
        self._names: dict[int, set[int]] = {}
        """Names that came since, by their hashes: their owners."""
        self._new: set[int] = set()
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._table.keys) + len(self._new) - len(self._gone)

    def __contains__(self, target_id: int) -> bool:
        return (target_id in self._new or self._table.has(target_id)) and target_id not in self._gone

    @property
    def last_key(self) -> int:
        """The highest primary key."""
        return max(self._table.keys[-1] if self._table.keys else 0, *self._new, 0)

    def owners(self, name: str) -> set[int]:
        """Return the primary keys of the targets that have a simplified name, and perhaps of others."""
        return (self._table.owners(name) | self._names.get(hash(name), set())) - self._gone

    def add(self, target_id: int, names: Iterable[str]) -> None:
        """Add simplified names to a target, which may be new. Those that it had stay."""
        self._gone.discard(target_id)
        if not self._table.has(target_id):
            self._new.add(target_id)
        for name in names:
            self._names.setdefault(hash(name), set()).add(target_id)

    def drop(self, target_id: int) -> None:
        """Remove a target, if it is there."""
        if target_id in self:
            self._gone.add(target_id)
