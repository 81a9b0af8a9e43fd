"""Kafka records as plain values, so that decisions about them need no broker."""

from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["ConsumedRecord", "Headers", "Record", "header"]

Headers = tuple[tuple[str, bytes], ...]
"""Record headers in their order; a name may occur more than once."""


def header(headers: Headers, name: str) -> bytes | None:
    """Return the first header of that name, as hop's readers do, or None."""
    return next((value for key, value in headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is written to a topic. Its repr shows no payload."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    def __repr__(self) -> str:
        return f"<{type(self).__name__} key={self.key!r} {len(self.value or b'')} bytes>"

    @property
    def size(self) -> int:
        """Bytes of key, value and headers together."""
        return len(self.key or b"") + len(self.value or b"") + sum(len(k) + len(v) for k, v in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedRecord:
    """A record and where it stands. Its repr shows no payload."""

    record: Record
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def time(self) -> datetime | None:
        """When it was written, as far as the broker says; None if it says nothing, or a number beyond the year 9999."""
        try:  # whoever publishes may write any number, and the broker takes it
            return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC) if self.timestamp_ms > 0 else None
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def next_offset(self) -> int:
        """The offset to commit once this record is done with."""
        return self.offset + 1

    @property
    def place(self) -> str:
        """Topic, partition and offset, for people."""
        return f"{self.topic}[{self.partition}]@{self.offset}"
