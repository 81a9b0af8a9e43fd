"""Writing reduced datums and data products at a TOM, each once."""

import threading
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from bridge.errors import Rejected
from bridge.events import DataProduct, DataProductShared, ReducedDatum, ReducedDatumsShared
from bridge.tom.rows import Rows
from bridge.tom.session import TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.datums import DatumRequest, datum_request
from bridge.translate.dialect import dialect_of
from bridge.translate.products import product_id
from bridge.translate.targets import KnownTarget
from bridge.verdict import Answer, judge, says_already_exists, says_invisible_target

__all__ = ["DataWriter", "Each"]

Moment = list[tuple[int, ReducedDatum]]
"""Datums of one type and time, with their numbers in the event."""
Each = Callable[[Iterable[Moment], Callable[[Moment], None]], None]


class DataWriter:
    """Writes reduced datums and data products at one TOM.

    Parameters
    ----------
    session
        The TOM.
    original_source
        Whether ``source_name`` is where the source TOM had a datum from, instead of that TOM's name.
    each
        Does something with every item, several at a time if it likes; raises the first error when all have ended.
    """

    def __init__(self, *, session: TomSession, original_source: bool, each: Each) -> None:
        self._session = session
        self._original_source = original_source
        self._each = each

    def write_datums(
        self,
        datums: Iterable[ReducedDatum],
        *,
        shared: ReducedDatumsShared | DataProductShared,
        known: KnownTarget,
        only: Collection[int] | None = None,
        written: Written | None = None,
    ) -> Written:
        """Write datums of one target, each once; what is there already counts as present.

        Parameters
        ----------
        datums
            From the event.
        shared
            The event's body: it says which TOM, and which target there.
        known
            The target here.
        only
            Numbers of those to write; all, if it is None.
        written
            What an earlier attempt wrote, which is not written again; gets what is written now, at once.

        Raises
        ------
        Rejected
            ``target_not_changeable`` if the account may see the target but not change it.
        Away
            If the TOM can write nothing at present.
        """
        written = written if written is not None else Written(target_id=known.id)
        rows = Rows(self._session, known.id, dialect_of(self._session.dialect))
        lock = threading.Lock()
        # Only datums of one moment can be taken for each other by a TOM: those go one after the other.
        moments: dict[tuple[str, datetime], Moment] = {}
        for number, datum in enumerate(datums):
            if number not in written.done and (only is None or number in only):
                moments.setdefault((datum.data_type, datum.timestamp), []).append((number, datum))

        def write(moment: Moment) -> None:
            for number, datum in moment:
                part = self._write_one(number, datum, shared=shared, known=known, rows=rows)
                with lock:
                    written.add(part)

        self._each(moments.values(), write)
        written.failures.sort(key=lambda failure: -1 if failure.datum is None else failure.datum)
        return written

    def _write_one(
        self,
        number: int,
        datum: ReducedDatum,
        *,
        shared: ReducedDatumsShared | DataProductShared,
        known: KnownTarget,
        rows: Rows,
    ) -> Written:
        """Write one datum of an event, unless it is there, and return what came of it."""
        dialect = dialect_of(self._session.dialect)
        item = f"datum {number} ({datum.data_type}, {datum.timestamp.isoformat()})"
        part = Written(target_id=known.id)
        problem = dialect.unstorable(datum)
        if problem is not None:
            part.failures.append(Failure(item, "unstorable", problem, number))
            return part
        request = self._request(datum, shared, known)
        part.notes += [f"{item}: key {key!r} is stored as {name!r}" for key, name in request.renamed.items()]
        try:
            self._write_surely(request, rows, part, item)
        except Rejected as error:
            if error.reason == "target_not_changeable":
                raise
            hint = dialect.hint(datum) if error.reason == "tom_error" else ""
            part.failures.append(Failure(item, error.reason, error.detail + hint, number))
        else:
            part.done.add(number)
        return part

    def _request(
        self, datum: ReducedDatum, shared: ReducedDatumsShared | DataProductShared, known: KnownTarget
    ) -> DatumRequest:
        return datum_request(
            datum,
            target_id=known.id,
            tom=shared.tom,
            target=shared.target,
            hops=shared.hops,
            original_source=self._original_source,
            reserved=dialect_of(self._session.dialect).reserved_keys,
        )

    def _write_surely(self, request: DatumRequest, rows: Rows, written: Written, item: str) -> None:
        try:
            self._write_datum(request, rows, written, item)
        except Rejected as error:
            if error.reason != "tom_error":
                raise
            # A TOM that can write nothing is away, and no datum is to blame; one that could not a moment ago may take it now.
            self._session.require_writing()
            self._write_datum(request, rows, written, item)

    def _write_datum(self, request: DatumRequest, rows: Rows, written: Written, item: str) -> None:
        answer = self._post_datum(request)
        if answer.status == 500 and not rows.has(request):
            # Some TOMs save the row and then fail: what they have is asked anew before anything is sent again.
            rows.forget()
            if not rows.has(request):
                answer = self._post_datum(request)
                rows.forget()
        if answer.status == 201 and answer.ok:
            rows.add(request)
            written.written += 1
        elif rows.says_duplicate(answer) and rows.has(request):
            written.present += 1
        elif answer.ok and answer.body.get("already_exists"):
            # 3.x takes it for another measurement that it has; a version of its own keeps the two apart.
            answer = self._post_datum(request.kept_apart())
            if not answer.ok:
                raise judge(answer)
            is_new = answer.status == 201
            written.written += is_new
            written.present += not is_new
            rows.add(request)
            if is_new:
                written.notes.append(f"{item}: stored with a reduction_version of its own, beside a similar one")
        else:
            raise judge(answer)

    def _post_datum(self, request: DatumRequest) -> Answer:
        answer = self._session.post("api/reduceddatums/", request.body)
        if says_invisible_target(answer) and not self._session.prove():
            answer = self._session.post("api/reduceddatums/", request.body)
        if says_invisible_target(answer):
            raise Rejected(
                "target_not_changeable",
                f"the account may not change target {request.body['target']} there, or it is gone; "
                "the TOM's administrator has to give it 'Can view target' and 'Can change target'",
            )
        return answer

    def write_product(self, shared: DataProductShared, fetch: Callable[[], bytes], *, known: KnownTarget) -> Written:
        """Upload a data product once, and so have it processed; if it can't be had or is refused, write its datums instead.

        Parameters
        ----------
        shared
            The event's body.
        fetch
            Returns the file's bytes, verified; raises `Rejected` if they can't be had for good.
        known
            The target here.
        """
        product = shared.product
        identifier = product_id(product, tom=shared.tom, target=shared.target, hops=shared.hops)
        written = Written(target_id=known.id)
        problem: Rejected | None = None
        stored: int | None = None
        try:
            if product.datums and self.find_product(identifier, known) is None:
                self._refuse_if_written_before(shared, known)
            stored = self._upload(product, fetch(), identifier, known, written)
        except Rejected as error:
            if error.reason == "target_not_changeable":
                raise
            problem = error
        if problem is not None:
            written.failures.append(Failure(f"product {product.name!r}", problem.reason, problem.detail))
        written_before = problem is not None and problem.reason == "datums_written_before"
        if product.datums and not written_before and (stored is None or not self._has_datums(stored)):
            one_by_one = self.write_datums(product.datums, shared=shared, known=known)
            written.add(one_by_one)
            written.notes.append(f"product {product.name!r}: its datums were written one by one")
        return written

    def _refuse_if_written_before(self, shared: DataProductShared, known: KnownTarget) -> None:
        """Refuse a file whose datums are here one by one: 2.x would make each of them once more out of the file."""
        rows = Rows(self._session, known.id, dialect_of(self._session.dialect))
        if any(rows.has_our_own(self._request(datum, shared, known)) for datum in shared.product.datums):
            raise Rejected(
                "datums_written_before",
                "the file was refused before, and its datums were written one by one; remove those to have the file",
            )

    def _upload(self, product: DataProduct, content: bytes, identifier: str, known: KnownTarget, written: Written) -> int:
        """Upload a product, unless it is there, and return its primary key."""
        fields = {
            "target": known.id,
            "data_product_type": product.data_product_type,
            "product_id": identifier,
            "extra_data": product.extra_data,
        }
        answer = self._session.upload("api/dataproducts/", fields, product.name, content)
        if says_invisible_target(answer) and not self._session.prove():
            answer = self._session.upload("api/dataproducts/", fields, product.name, content)
        if answer.status == 201 and answer.ok:
            written.written += 1
            return int(answer.body["id"])
        if says_invisible_target(answer):
            raise Rejected("target_not_changeable", f"the account may not change target {known.id} there")
        exists = answer.ok and answer.body.get("already_exists")
        if exists or answer.status == 500 or says_already_exists(answer.body, "product_id"):
            stored = self.find_product(identifier, known)
            if stored is not None:
                written.present += 1
                return stored
        if answer.ok or says_already_exists(answer.body, "product_id"):
            raise Rejected("product_id_taken", f"the product_id {identifier!r} belongs to another target there")
        if answer.status == 500 and answer.is_json:
            raise Rejected("product_not_processed", "the TOM could not process the file into reduced datums")
        if answer.status >= 500:
            self._session.require_writing()
        raise judge(answer)

    def find_product(self, identifier: str, known: KnownTarget) -> int | None:
        """Return the primary key of a target's data product by its ``product_id``, or None."""
        rows = self._session.get_ok("api/dataproducts/", {"target_name": known.identity.name, "limit": 100_000})
        for row in rows["results"]:
            if row["product_id"] == identifier and row["target"] == known.id:
                return int(row["id"])
        return None

    def _has_datums(self, stored: int) -> bool:
        # A TOM that died between storing the file and processing it has the one without the other.
        rows = self._session.get_ok("api/reduceddatums/", {"data_product__id": stored, "limit": 1})
        return int(rows["count"]) > 0
