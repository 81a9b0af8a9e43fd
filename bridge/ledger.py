"""Which offsets may be committed: those before the first record of a partition that is not finished. A pure decision."""

from collections import deque
from dataclasses import dataclass, field

__all__ = ["Ledger", "Partition", "Ticket"]

Partition = tuple[str, int]
"""A topic's name and the number of a partition."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A record that was taken: where it stands, and whether it is finished. Made by `Ledger.take`."""

    partition: Partition
    offset: int
    size_bytes: int
    taken_at: float
    is_finished: bool = False
    is_forgotten: bool = False


@dataclass(slots=True)
class _Book:
    """The records of one partition that are not committable yet, in their order."""

    taken: deque[Ticket] = field(default_factory=deque)
    committable: int | None = None
    committed: int | None = None


class Ledger:
    """Follows the records that were taken and not finished yet, in any order, and says what may be committed.

    A partition that is forgotten and taken over again begins a new book: what was taken before no longer counts, however
    late it is finished.
    """

    def __init__(self) -> None:
        self._books: dict[Partition, _Book] = {}
        self._unfinished = 0
        self._bytes = 0
        self._kept = 0

    @property
    def unfinished(self) -> int:
        """How many records were taken and are not finished."""
        return self._unfinished

    @property
    def kept(self) -> int:
        """How many records were taken and are not committable: those, and what is finished behind them."""
        return self._kept

    @property
    def unfinished_bytes(self) -> int:
        """Their size; bytes."""
        return self._bytes

    def take(self, partition: Partition, offset: int, *, size_bytes: int = 0, taken_at: float = 0.0) -> Ticket:
        """Note that a record was taken, and return its ticket.

        Parameters
        ----------
        partition, offset
            Where it stands.
        size_bytes
            How large it is.
        taken_at
            When; monotonic seconds.

        Raises
        ------
        ValueError
            If it does not come after the one that was taken last.
        """
        book = self._book(partition, offset)
        ticket = Ticket(partition, offset, size_bytes, taken_at)
        book.taken.append(ticket)
        self._kept += 1
        self._unfinished += 1
        self._bytes += size_bytes
        return ticket

    def pass_over(self, partition: Partition, offset: int) -> None:
        """Note that a record was taken and is finished at once.

        Raises
        ------
        ValueError
            If it does not come after the one that was taken last.
        """
        book = self._book(partition, offset)
        if not book.taken:
            book.committable = offset + 1
            return
        book.taken.append(Ticket(partition, offset, 0, 0.0, is_finished=True))
        self._kept += 1

    def finish(self, ticket: Ticket) -> bool:
        """Note that a record is finished; returns False if its partition was forgotten meanwhile.

        Raises
        ------
        ValueError
            If it was finished before.
        """
        if ticket.is_finished:
            raise ValueError(f"{ticket.partition}: offset {ticket.offset} was finished twice")
        ticket.is_finished = True
        if ticket.is_forgotten:
            return False
        self._unfinished -= 1
        self._bytes -= ticket.size_bytes
        book = self._books[ticket.partition]
        while book.taken and book.taken[0].is_finished:
            book.committable = book.taken.popleft().offset + 1
            self._kept -= 1
        return True

    def committable(self) -> dict[Partition, int]:
        """Return the next offset of each partition in which more may be committed than was."""
        return {
            partition: book.committable
            for partition, book in self._books.items()
            if book.committable is not None and book.committable != book.committed
        }

    def committed(self, offsets: dict[Partition, int]) -> None:
        """Note what was committed."""
        for partition, offset in offsets.items():
            if partition in self._books:
                self._books[partition].committed = offset

    def first_unfinished(self) -> list[Ticket]:
        """Return the first unfinished record of each partition that has one."""
        return [book.taken[0] for book in self._books.values() if book.taken]

    def forget(self, partition: Partition) -> None:
        """Forget a partition: it is no longer ours."""
        book = self._books.pop(partition, None)
        for ticket in book.taken if book else ():
            self._kept -= 1
            ticket.is_forgotten = True
            if not ticket.is_finished:
                self._unfinished -= 1
                self._bytes -= ticket.size_bytes

    def _book(self, partition: Partition, offset: int) -> _Book:
        """Return the book of a partition in which an offset comes next."""
        book = self._books.get(partition)
        if book is None:
            book = self._books[partition] = _Book()
        last = book.taken[-1].offset if book.taken else (book.committable or 0) - 1
        if offset <= last:
            raise ValueError(f"{partition}: offset {offset} was taken after {last}")
        return book
