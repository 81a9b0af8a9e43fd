"""Writing many photometric datums at a TOM by one upload each some thousand; what a file can't carry goes one by one."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from bridge.errors import BridgeError, Rejected
from bridge.events import PhotometryDatum, ReducedDatum, ReducedDatumsShared
from bridge.tom.data import DataWriter
from bridge.tom.rows import Rows
from bridge.tom.session import TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.backfill import FEWEST, BackfillFile, in_files, recognised
from bridge.translate.datums import DatumRequest, datum_request
from bridge.translate.dialect import dialect_of
from bridge.translate.targets import KnownTarget
from bridge.verdict import Answer, judge, says_already_exists, says_invisible_target

__all__ = ["BackfillWriter", "EachFile"]

EachFile = Callable[[Iterable[BackfillFile], Callable[[BackfillFile], None]], None]

MOST_REFUSALS = 3
"""After so many files that the TOM refused, with none taken in between, it is sent no more: each costs time, and disk there."""


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
    """

    def __init__(self, *, session: TomSession, one_by_one: DataWriter, original_source: bool, each: EachFile) -> None:
        self._session = session
        self._one_by_one = one_by_one
        self._original_source = original_source
        self._each = each
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
        rows = Rows(self._session, known.id, dialect)
        there = rows.of_type("photometry")
        if not self._session.prove():
            rows.forget()  # as to a visitor, who may see none
            there = rows.of_type("photometry")
        present = {number for number, request in requests.items() if rows.has(request)}
        written.present += len(present)
        written.done |= present
        missing = {number: request for number, request in requests.items() if number not in present}
        files = in_files(missing, there, dialect=dialect)
        self._each(files, lambda file: self._write_file(file, shared, known, written))

    def _write_file(self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written) -> None:
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
            self._refusals = 0 if refused is None else self._refusals + refused.weight

    def _write(self, file: BackfillFile, shared: ReducedDatumsShared, known: KnownTarget, written: Written) -> set[int]:
        """Upload a file, and return the numbers of those of its datums that the TOM has made of it.

        Raises
        ------
        _Refused
            If it has made none; nothing is left of it but, in the end, the file on the TOM's disk.
        """
        product, is_new = self._upload(file, shared, known)
        stored = self._stored(product, len(file.requests))
        found, others = recognised(file, stored, dialect=dialect_of(self._session.dialect))
        if found and not others:
            return found
        if not is_new and not stored:
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

    def _stored(self, product: int, expected: int) -> list[dict[str, Any]]:
        """Return the rows that the TOM made of a file."""
        query = {"data_product__id": product, "limit": 10_000_000}
        rows: list[dict[str, Any]] = self._session.get_ok("api/reduceddatums/", query)["results"]
        if len(rows) < expected and not self._session.prove():
            rows = self._session.get_ok("api/reduceddatums/", query)["results"]
        return rows
