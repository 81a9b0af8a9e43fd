"""Writing many photometric datums at a TOM by one upload each some thousand; what a file can't carry goes one by one."""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError, Rejected
from bridge.events import PhotometryDatum, ReducedDatum, ReducedDatumsShared
from bridge.tom.data import DataWriter
from bridge.tom.rows import Rows
from bridge.tom.session import TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.backfill import FEWEST, BackfillFile, in_files, keys_there, recognised
from bridge.translate.datums import DatumRequest, datum_request
from bridge.translate.dialect import Dialect, dialect_of
from bridge.translate.targets import KnownTarget
from bridge.verdict import Answer, judge, says_already_exists, says_invisible_target

__all__ = ["BackfillWriter", "EachFile"]

EachFile = Callable[[Iterable[BackfillFile], Callable[[BackfillFile], None]], None]

MOST_REFUSALS = 3
"""After so many files that the TOM refused, with none taken in between, it is sent no more: each costs time, and disk there."""
SAMPLE = 50
"""Once a TOM has made of one file what was in it, of further ones so many rows are looked at, and how many there are."""
BELIEVED_SECONDS = 30.0
"""For so long what a target had is believed if it still has as many rows; a long curve comes as several events."""
MOST_KEPT = 20_000
"""Rows of the target that was written last that are kept for that; some 20 MB."""


class _Refused(Exception):
    """A file that did not do what it was to do; its datums are written one by one.

    Parameters
    ----------
    note
        Why, for the log.
    weight
        For how many refusals it counts: for none if another file may well be taken.
    """

    def __init__(self, note: str, *, weight: int = 1) -> None:
        super().__init__(note)
        self.note = note
        self.weight = weight


@dataclass(slots=True, kw_only=True)
class _Photometry:
    """The photometry that a target has at the TOM, as far as we have read and written it.

    Parameters
    ----------
    target_id
        Primary key of the target there.
    rows
        Which.
    taken
        What no row of a file may have in common with one of them.
    number
        How many they are.
    asked_at
        When the TOM was asked for them, or how many there are; monotonic seconds.
    """

    target_id: int
    rows: Rows
    taken: set[Hashable]
    number: int
    asked_at: float

    def add(self, requests: Iterable[DatumRequest], dialect: Dialect) -> None:
        """Note datums that a file has brought there."""
        for request in requests:
            self.rows.add(request)
            self.taken |= dialect.keys_beside(request)
            self.number += 1


class BackfillWriter:
    """Writes reduced datums as a `DataWriter` does, but many at once; safe to use from many threads.

    Parameters
    ----------
    session
        The TOM.
    one_by_one
        Writes what is not written by a file.
    original_source
        Whether ``source_name`` is where the source TOM had a datum from, instead of that TOM's name.
    each
        Does something with every item, several at a time if it likes; raises the first error when all have ended.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        session: TomSession,
        one_by_one: DataWriter,
        original_source: bool,
        each: EachFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._one_by_one = one_by_one
        self._original_source = original_source
        self._each = each
        self._clock = clock
        self._proven: Dialect | None = None
        self._last: _Photometry | None = None
        self._lock = threading.Lock()
        self._refusals = 0

    def write_datums(
        self,
        datums: Sequence[ReducedDatum],
        *,
        shared: ReducedDatumsShared,
        known: KnownTarget,
        only: Collection[int] | None = None,
        written: Written | None = None,
    ) -> Written:
        """Write datums of one target, each once, by files as far as that is worth while; see `DataWriter.write_datums`."""
        written = written if written is not None else Written(target_id=known.id)
        if self._refusals < MOST_REFUSALS:
            left = (number for number in range(len(datums)) if only is None or number in only)
            numbers = [number for number in left if number not in written.done]
            self._by_files(self._requests(datums, numbers, shared, known), shared, known, written)
        return self._one_by_one.write_datums(datums, shared=shared, known=known, only=only, written=written)

    def _requests(
        self, datums: Sequence[ReducedDatum], numbers: Iterable[int], shared: ReducedDatumsShared, known: KnownTarget
    ) -> dict[int, DatumRequest]:
        """Return the POST of each datum that may go into a file."""
        dialect = dialect_of(self._session.dialect)
        return {
            number: datum_request(
                datums[number],
                target_id=known.id,
                tom=shared.tom,
                target=shared.target,
                hops=shared.hops,
                original_source=self._original_source,
                reserved=dialect.reserved_keys,
            )
            for number in numbers
            if isinstance(datums[number], PhotometryDatum) and dialect.unstorable(datums[number]) is None
        }

    def _by_files(
        self, requests: dict[int, DatumRequest], shared: ReducedDatumsShared, known: KnownTarget, written: Written
    ) -> None:
        dialect = dialect_of(self._session.dialect)
        if len(requests) < FEWEST:
            return
        there = self._photometry(known, dialect)
        present = {number for number, request in requests.items() if there.rows.has(request)}
        written.present += len(present)
        written.done |= present
        missing = {number: request for number, request in requests.items() if number not in present}
        files = in_files(missing, there.taken, dialect=dialect)
        self._each(files, lambda file: self._write_file(file, shared, known, written, there))
        self._last = there if there.number <= MOST_KEPT else None

    def _photometry(self, known: KnownTarget, dialect: Dialect) -> _Photometry:
        """Return what photometry the target has: what it had a moment ago, if it has as many rows still."""
        with self._lock:
            last, self._last = self._last, None
        now = self._clock()
        is_recent = last is not None and last.target_id == known.id and now - last.asked_at < BELIEVED_SECONDS
        if last is not None and is_recent and last.number > 0 and last.rows.count("photometry") == last.number:
            last.asked_at = now
            return last
        rows = Rows(self._session, known.id, dialect)
        there = rows.of_type("photometry")
        if not self._session.prove():
            rows.forget()  # as to a visitor, who may see none
            there = rows.of_type("photometry")
        return _Photometry(target_id=known.id, rows=rows, taken=keys_there(there, dialect), number=len(there), asked_at=now)

    def _write_file(
        self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written, there: _Photometry
    ) -> None:
        """Write a file, if files are still tried, and say what came of it."""
        part = Written(target_id=known.id)
        refused: _Refused | None = None
        if self._refusals >= MOST_REFUSALS:
            return
        try:
            part.done = self._write(file, shared, known, part)
        except _Refused as error:
            refused = error
            part.notes.append(f"{len(file.requests)} datums were not written by a file: {refused.note}")
        part.written = part.by_file = len(part.done)
        for number in sorted(part.done):
            renamed = file.requests[number].renamed.items()
            part.notes += [f"datum {number}: key {key!r} is stored as {name!r}" for key, name in renamed]
        with self._lock:
            written.add(part)
            there.add((file.requests[number] for number in part.done), dialect_of(self._session.dialect))
            self._refusals = 0 if refused is None else self._refusals + refused.weight

    def _write(self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written) -> set[int]:
        """Upload a file, and return the numbers of those of its datums that the TOM has made of it.

        Raises
        ------
        _Refused
            If it has made none; nothing is left of it but, in the end, the file on the TOM's disk.
        """
        product, is_new = self._upload(file, shared, known)
        found, others = self._found(product, file)
        if found and not others:
            return found
        if not (is_new or found or others):
            raise _Refused("it is there already, but its datums are not", weight=0)
        # Whatever it is that the TOM makes of photometry, it is not this. Its rows go with their product; not with one that is
        # from an earlier attempt, of which it can't be told whether people have changed it since.
        if not (is_new and self._session.delete(f"api/dataproducts/{product}/")):
            detail = f"data product {product} has {others} rows that are not as they were shared; remove it there"
            written.failures.append(Failure(f"file {file.name}", "backfill_not_removed", detail))
        raise _Refused(
            "this TOM makes other datums of photometry than were in it; it gets no more of them until the consumer is "
            "started anew",
            weight=MOST_REFUSALS,
        )

    def _upload(self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget) -> tuple[int, bool]:
        """Upload a file, and return its primary key there, and whether it is new."""
        page = shared.tom.page(shared.target.primary_key)
        fields = {
            "target": known.id,
            "data_product_type": "photometry",
            "product_id": file.product_id,
            "extra_data": f"{len(file.requests)} reduced datums of {page}, written at once by tom-bridge",
        }
        answer = self._session.upload("api/dataproducts/", fields, file.name, file.content)
        if answer.status == 201 and answer.ok:
            return int(answer.body["id"]), True
        if answer.ok or says_already_exists(answer.body, "product_id"):
            product = self._one_by_one.find_product(file.product_id, known)
            if product is not None:
                return product, False
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> BridgeError | _Refused:
        """Return what it means that a file was not taken."""
        if says_invisible_target(answer):
            return _Refused("the account may not change the target", weight=0)
        if answer.ok or says_already_exists(answer.body, "product_id"):
            return _Refused("it is there already, but its datums are not", weight=0)
        if answer.status == 500 and answer.is_json:
            return _Refused("the TOM could not process it")
        if answer.status >= 500:
            self._session.require_writing()
        error = judge(answer)
        return _Refused(error.detail) if isinstance(error, Rejected) else error

    def _found(self, product: int, file: BackfillFile) -> tuple[set[int], int]:
        """Return the numbers of a file's datums that are among the rows the TOM made of it, and how many of those are none."""
        dialect = dialect_of(self._session.dialect)
        number = len(file.requests)
        if self._proven is dialect:
            count, some = self._stored(product, SAMPLE)
            if count == number and recognised(file, some, dialect=dialect)[1] == 0:
                return set(file.requests), 0
        count, rows = self._stored(product)
        if count < number and not self._session.prove():
            count, rows = self._stored(product)
        found, others = recognised(file, rows, dialect=dialect)
        if len(found) == count == number:
            self._proven = dialect
        return found, others

    def _stored(self, product: int, most: int = 10_000_000) -> tuple[int, list[dict[str, Any]]]:
        """Return how many rows the TOM made of a file, and so many of them."""
        answer = self._session.get_ok("api/reduceddatums/", {"data_product__id": product, "limit": most})
        return int(answer["count"]), answer["results"]
