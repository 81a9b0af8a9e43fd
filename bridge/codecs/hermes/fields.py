"""A row that is being read: what is understood is taken out of it, and what stays is kept as it is."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import JsonValue, ValidationError

from bridge.codecs.contents import RefusedItem
from bridge.codecs.hermes import values
from bridge.codecs.hermes.units import zero_again
from bridge.codecs.hermes.values import Unreadable

__all__ = ["Complaints", "Fields", "Refusal", "complaint", "measured"]

Value = TypeVar("Value")

MOST_NAMED = 1_000
"""Of more rows that cannot be read, the rest is counted by table: a megabyte of ``{}`` would make a hundred of complaints."""


class Refusal(Exception):
    """Why nothing can be made of a row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Complaints:
    """The rows of which nothing could be made, each by name up to `MOST_NAMED`."""

    def __init__(self) -> None:
        self._named: list[RefusedItem] = []
        self._more: Counter[str] = Counter()

    def add(self, item: str, reason: str, detail: str, target: str = "") -> None:
        """Note one."""
        if len(self._named) < MOST_NAMED:
            self._named.append(RefusedItem(item=item, reason=reason, detail=detail, target=target))
        else:
            self._more[item.partition("[")[0]] += 1

    def items(self) -> tuple[RefusedItem, ...]:
        """Return all, and how many more there are."""
        more = (
            RefusedItem(item=table, reason="bad_row", detail=f"{count:,} more rows that cannot be read")
            for table, count in self._more.items()
        )
        return (*self._named, *more)


class Fields:
    """The keys of a row that have not been taken yet; those that say nothing (null, empty) are left out from the start."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.rest: dict[str, JsonValue] = {key: value for key, value in row.items() if not _says_nothing(value)}

    def take(self, key: str, read: Callable[[JsonValue], Value]) -> Value | None:
        """Take a value out; None if it is not there, or cannot be read, in which case it stays."""
        if key not in self.rest:
            return None
        try:
            value = read(self.rest[key])
        except Unreadable:
            return None
        del self.rest[key]
        return value

    def need(self, key: str, read: Callable[[JsonValue], Value], reason: str) -> Value:
        """Take a value out.

        Raises
        ------
        Refusal
            If it is not there, or cannot be read.
        """
        if key not in self.rest:
            raise Refusal(reason, f"{key} is missing")
        try:
            return read(self.rest.pop(key))
        except Unreadable as problem:
            raise Refusal(reason, f"{key}: {problem}") from None

    def text(self, key: str) -> str:
        """Take a text out; empty if it is not there."""
        return self.take(key, values.text) or ""

    def number(self, key: str) -> float | None:
        """Take a measured number out."""
        return self.take(key, measured)


def complaint(error: ValidationError) -> str:
    """Return the first thing that is wrong with a row as a whole, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg'].removeprefix('Value error, ')}"[:200]


def measured(value: JsonValue) -> float:
    """Return a number; 0.0 for what goes out for it, since Hermes drops what is 0."""
    return zero_again(values.number(value))


def _says_nothing(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())
