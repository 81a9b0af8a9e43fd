"""Writing many photometric datums at a TOM by one upload each some thousand; what a file can't carry goes one by one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError, Rejected
from bridge.events import PhotometryDatum, ReducedDatum, ReducedDatumsShared
from bridge.tom.data import DataWriter
from bridge.tom.rows import Rows
from bridge.tom.session import TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.backfill import FEWEST, BackfillFile, Columns, in_files, keys_there, recognised
from bridge.translate.datums import DatumRequest, datum_request
from bridge.translate.dialect import Dialect, dialect_of
from bridge.translate.targets import KnownTarget
from bridge.verdict import Answer, judge, says_already_exists, says_invisible_target

__all__ = ["BackfillWriter", "EachFile"]

EachFile = Callable[[Iterable[BackfillFile], Callable[[BackfillFile], None]], None]

MOST_REFUSALS = 3
"""After so many files that the TOM refused, with none taken in between, it is sent no more: each costs time, and disk there."""
SAMPLE = 50
"""Rows that are looked at of a file with such columns as an earlier one had, of which the TOM made what was in it."""
BELIEVED_SECONDS = 30.0
"""For so long what was read of a target is believed if it has as many rows as it should: long curves come as several events."""
MOST_KEPT = 10_000
"""Rows of targets that were written last that are kept for that; with their usual size some 15 MB."""


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
    """The photometry that a target has at the TOM, as far as we have read it, and written it by files.

    Parameters
    ----------
    source
        The source TOM's target: what came from elsewhere meanwhile would not be known again by its id alone.
    dialect
        The TOM's rules when it was read.
    rows
        What was read, and the ids of what was written.
    taken
        What no row of a file may have in common with that.
    number
        How many rows these are.
    read_at
        When the TOM was asked for all of them; monotonic seconds.
    """

    source: str
    dialect: Dialect
    rows: Rows
    taken: set[Hashable]
    number: int
    read_at: float

    def is_of(self, source: str, dialect: Dialect) -> bool:
        """Whether it may be believed for this source; not if it is nothing, as that is what a visitor is shown."""
        return self.number > 0 and self.source == source and self.dialect is dialect

    def add(self, requests: Iterable[DatumRequest]) -> None:
        """Note datums that a file has brought there."""
        for request in requests:
            self.rows.add(request)
            self.taken |= self.dialect.keys_beside(request)
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
        self._proven: set[tuple[Dialect, Columns]] = set()
        self._kept: OrderedDict[int, _Photometry] = OrderedDict()
        """By the target's primary key, the oldest first."""
        self._unseen: dict[int, tuple[int, BackfillFile]] = {}
        """Files of attempts that broke off before it was seen what the TOM made of them: product -> target, file."""
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
        self._look_back(known, written)
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
        there = self._photometry(known, shared.partition_key, dialect)
        present = {number for number, request in requests.items() if there.rows.has(request)}
        written.present += len(present)
        written.done |= present
        missing = {number: request for number, request in requests.items() if number not in present}
        files = in_files(missing, there.taken, dialect=dialect)
        self._each(files, lambda file: self._write_file(file, shared, known, written, there))
        with self._lock:
            self._kept[known.id] = there
            while sum(kept.number for kept in self._kept.values()) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _photometry(self, known: KnownTarget, source: str, dialect: Dialect) -> _Photometry:
        """Return what photometry the target has: what is kept, if it was read a moment ago and is as much as it should be."""
        now = self._clock()
        with self._lock:
            for target_id in [old for old, kept in self._kept.items() if now - kept.read_at >= BELIEVED_SECONDS]:
                del self._kept[target_id]
            kept = self._kept.pop(known.id, None)
        if kept is not None and kept.is_of(source, dialect) and kept.rows.count("photometry") == kept.number:
            return kept
        kept = None  # it need not be in memory beside what is read now
        rows = Rows(self._session, known.id, dialect)
        there = rows.of_type("photometry")
        if not self._session.prove():
            rows.forget()  # as to a visitor, who may see none
            there = rows.of_type("photometry")
        taken = keys_there(there, dialect)
        return _Photometry(source=source, dialect=dialect, rows=rows, taken=taken, number=len(there), read_at=now)

    def _look_back(self, known: KnownTarget, written: Written) -> None:
        """See what the TOM made of this target's files of which that was not seen, and remove what it should not have made."""
        with self._lock:
            unseen = {product: file for product, (target_id, file) in self._unseen.items() if target_id == known.id}
        for product, file in unseen.items():
            try:
                self._look_at(product, file, is_new=True, written=written)
            except _Refused as error:
                self._note(error, file, written)
            self._unseen.pop(product, None)

    def _note(self, refused: _Refused, file: BackfillFile, written: Written) -> None:
        with self._lock:
            written.notes.append(f"{len(file.requests)} datums were not written by a file: {refused.note}")
            self._refusals += refused.weight

    def _write_file(
        self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written, there: _Photometry
    ) -> None:
        """Write a file, if files are still tried, and say what came of it."""
        part = Written(target_id=known.id)
        if self._refusals >= MOST_REFUSALS:
            return
        try:
            part.done = self._write(file, shared, known, part)
        except _Refused as error:
            self._note(error, file, part)
        else:
            self._refusals = 0
        part.written = part.by_file = len(part.done)
        for number in sorted(part.done):
            renamed = file.requests[number].renamed.items()
            part.notes += [f"datum {number}: key {key!r} is stored as {name!r}" for key, name in renamed]
        with self._lock:
            written.add(part)
            there.add(file.requests[number] for number in part.done)

    def _write(self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written) -> set[int]:
        """Upload a file, and return the numbers of those of its datums that the TOM has made of it.

        Raises
        ------
        _Refused
            If it has made none; nothing is left of it but, in the end, the file on the TOM's disk.
        """
        product, is_new = self._upload(file, shared, known)
        try:
            return self._look_at(product, file, is_new=is_new, written=written)
        except BridgeError:
            if is_new:
                self._unseen[product] = known.id, file
            raise

    def _look_at(self, product: int, file: BackfillFile, *, is_new: bool, written: Written) -> set[int]:
        """Return the numbers of those of a file's datums that the TOM has made of it; remove it if there are others, or none.

        Raises
        ------
        _Refused
            If it has made something else.
        """
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
        if says_invisible_target(answer) and not self._session.prove():
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
        number, kind = len(file.requests), (dialect, file.columns)
        if kind in self._proven:
            count, some = self._stored(product, SAMPLE)
            if count == number and recognised(file, some, dialect=dialect)[1] == 0:
                return set(file.requests), 0
        count, rows = self._stored(product)
        if count < number and not self._session.prove():
            count, rows = self._stored(product)
        found, others = recognised(file, rows, dialect=dialect)
        if len(found) == count == number:
            self._proven.add(kind)
        else:
            self._proven.clear()
        return found, others

    def _stored(self, product: int, most: int = 10_000_000) -> tuple[int, list[dict[str, Any]]]:
        """Return how many rows the TOM made of a file, and so many of them."""
        answer = self._session.get_ok("api/reduceddatums/", {"data_product__id": product, "limit": most})
        return int(answer["count"]), answer["results"]
