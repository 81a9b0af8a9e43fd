"""Writing reduced datums and data products at a TOM, each once."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.errors import Rejected
from bridge.events import DataProduct, DataProductShared, ReducedDatum, ReducedDatumsShared
from bridge.tom.session import TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.datums import DatumRequest, datum_mark, datum_request
from bridge.translate.dialect import Dialect, dialect_of
from bridge.translate.products import product_id
from bridge.translate.targets import KnownTarget
from bridge.verdict import Answer, judge, says_already_exists, says_invisible_target

__all__ = ["DataWriter"]


class DataWriter:
    """Writes reduced datums and data products at one TOM.

    Parameters
    ----------
    session
        The TOM.
    original_source
        Whether ``source_name`` is where the source TOM had a datum from, instead of that TOM's name.
    """

    def __init__(self, *, session: TomSession, original_source: bool) -> None:
        self._session = session
        self._original_source = original_source

    def write_datums(
        self,
        datums: Iterable[ReducedDatum],
        *,
        shared: ReducedDatumsShared | DataProductShared,
        known: KnownTarget,
        only: Collection[int] | None = None,
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

        Raises
        ------
        Rejected
            ``target_not_changeable`` if the account may see the target but not change it.
        """
        dialect = dialect_of(self._session.dialect)
        written = Written(target_id=known.id)
        rows = _Rows(self._session, known.id, dialect)
        for number, datum in enumerate(datums):
            if only is not None and number not in only:
                continue
            item = f"datum {number} ({datum.data_type}, {datum.timestamp.isoformat()})"
            problem = dialect.unstorable(datum)
            if problem is not None:
                written.failures.append(Failure(item, "unstorable", problem, number))
                continue
            request = self._request(datum, shared, known)
            for key, name in request.renamed.items():
                written.notes.append(f"{item}: key {key!r} is stored as {name!r}")
            try:
                self._write_datum(request, rows, written, item)
            except Rejected as error:
                if error.reason == "target_not_changeable":
                    raise
                hint = dialect.hint(datum) if error.reason == "tom_error" else ""
                written.failures.append(Failure(item, error.reason, error.detail + hint, number))
        return written

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

    def _write_datum(self, request: DatumRequest, rows: "_Rows", written: Written, item: str) -> None:
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
            if product.datums and self._find_product(identifier, known) is None:
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
            written.written += one_by_one.written
            written.present += one_by_one.present
            written.failures += one_by_one.failures
            written.notes += [*one_by_one.notes, f"product {product.name!r}: its datums were written one by one"]
        return written

    def _refuse_if_written_before(self, shared: DataProductShared, known: KnownTarget) -> None:
        """Refuse a file whose datums are here one by one: 2.x would make each of them once more out of the file."""
        rows = _Rows(self._session, known.id, dialect_of(self._session.dialect))
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
            stored = self._find_product(identifier, known)
            if stored is not None:
                written.present += 1
                return stored
        if answer.ok or says_already_exists(answer.body, "product_id"):
            raise Rejected("product_id_taken", f"the product_id {identifier!r} belongs to another target there")
        if answer.status == 500 and answer.is_json:
            raise Rejected("product_not_processed", "the TOM could not process the file into reduced datums")
        raise judge(answer)

    def _find_product(self, identifier: str, known: KnownTarget) -> int | None:
        rows = self._session.get_ok("api/dataproducts/", {"target_name": known.identity.name, "limit": 100_000})
        for row in rows["results"]:
            if row["product_id"] == identifier and row["target"] == known.id:
                return int(row["id"])
        return None

    def _has_datums(self, stored: int) -> bool:
        # A TOM that died between storing the file and processing it has the one without the other.
        rows = self._session.get_ok("api/reduceddatums/", {"data_product__id": stored, "limit": 1})
        return int(rows["count"]) > 0


class _Rows:
    """The datums that a target has at the TOM, asked for once, when in doubt."""

    def __init__(self, session: TomSession, target_id: int, dialect: Dialect) -> None:
        self._session = session
        self._target_id = target_id
        self._dialect = dialect
        self._by_type: dict[str, dict[datetime, list[dict[str, Any]]]] = {}
        self._added: set[str] = set()

    @staticmethod
    def says_duplicate(answer: Answer) -> bool:
        """Whether an answer may mean that the datum is there: 200 of 3.x, 500 of 2.x."""
        return answer.status == 500 or (answer.ok and bool(answer.body.get("already_exists")))

    def add(self, request: DatumRequest) -> None:
        """Note a datum that was just written."""
        self._added.add(str(request.datum.id))

    def forget(self) -> None:
        """Ask the TOM anew next time."""
        self._by_type.clear()

    def has_our_own(self, request: DatumRequest) -> bool:
        """Whether a row is there that carries the datum's own mark, because we wrote it one by one."""
        mark = datum_mark(request.body["source_location"])
        return any(datum_mark(row["source_location"]) == mark for row in self._at(request))

    def has(self, request: DatumRequest) -> bool:
        """Whether the datum is there."""
        if str(request.datum.id) in self._added:
            return True
        return any(self._dialect.is_row(row, request) for row in self._at(request))

    def _at(self, request: DatumRequest) -> Sequence[dict[str, Any]]:
        """Return the rows of the datum's type and time."""
        data_type = str(request.body["data_type"])
        if data_type not in self._by_type:
            self._by_type[data_type] = self._ask(data_type)
        moment = datetime.fromisoformat(request.body["timestamp"]).astimezone(UTC)
        return self._by_type[data_type].get(moment, ())

    def _ask(self, data_type: str) -> dict[datetime, list[dict[str, Any]]]:
        query = {"target__id": self._target_id, "data_type": data_type, "limit": 10_000_000}
        by_moment: dict[datetime, list[dict[str, Any]]] = {}
        rows: Sequence[dict[str, Any]] = self._session.get_ok("api/reduceddatums/", query)["results"]
        for row in rows:
            moment = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
            by_moment.setdefault(moment, []).append(row)
        return by_moment
