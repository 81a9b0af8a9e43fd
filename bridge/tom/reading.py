"""Reading what a TOM has through its API, as bodies of share events."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from bridge import blobs
from bridge.codecs.batches import fit_beside_file, split_datums
from bridge.errors import Rejected
from bridge.events import (
    DataProduct,
    DataProductShared,
    InlineContent,
    Origin,
    ReducedDatum,
    ReducedDatumsShared,
    ReferencedContent,
    ShareBody,
    Target,
    TargetShared,
    TomIdentity,
    canonical_json,
    simplify_name,
)
from bridge.tom.session import TomSession
from bridge.translate.datums import datum_mark, read_datum
from bridge.translate.products import PRODUCT_MARK
from bridge.translate.targets import read_target

__all__ = ["TomReader"]

MOST_FILE_BYTES = 100_000_000
"""Larger files of a TOM are not read."""

Row = Mapping[str, Any]


class TomReader:
    """Reads targets, datums and data products of one TOM.

    Parameters
    ----------
    session
        The TOM.
    tom
        Its name and URL, for the events.
    submitter
        Who shares.
    warn
        Told, in a sentence, of everything that the API does not give.
    """

    def __init__(self, *, session: TomSession, tom: TomIdentity, submitter: str, warn: Callable[[str], None]) -> None:
        self._session = session
        self._tom = tom
        self._submitter = submitter
        self._warn = warn
        self._said_once: set[str] = set()

    def find(self, name: str) -> Row:
        """Return the one target of a name, an alias or ``#<primary key>``.

        Raises
        ------
        Rejected
            If there is none that the account can see, or several.
        """
        if name.startswith("#") and name[1:].isdigit():
            answer = self._session.get(f"api/targets/{name[1:]}/")
            rows = [answer.body] if answer.ok else []
        else:
            rows = self._session.get_ok("api/targets/", {"name_fuzzy": name, "limit": 1_000})["results"]
            rows = [row for row in rows if simplify_name(name.strip()) in _simple_names(row) and self._may_see(row)]
        if not rows:
            raise Rejected("no_such_target", f"{self._tom.name}: no target {name!r} that this account can see")
        if len(rows) > 1:
            found = ", ".join(f"#{row['id']} {row['name']!r}" for row in rows)
            raise Rejected("ambiguous_target", f"{self._tom.name}: {name!r} is several: {found}; name one by its #number")
        row: Row = rows[0]
        return row

    def read(self, row: Row, *, lists: tuple[str, ...], with_data: bool) -> Iterator[ShareBody]:
        """Yield the events' bodies for a target: the target first, then its products and its datums.

        Parameters
        ----------
        row
            From `find`.
        lists
            Names of lists that the target is to be in.
        with_data
            Whether datums and data products are read.
        """
        try:
            target = read_target(row)
        except ValidationError as error:
            raise Rejected(
                "unreadable_target", f"{self._tom.name}: target #{row['id']} has no name or no known type"
            ) from error
        yield TargetShared(tom=self._tom, submitter=self._submitter, target=target, target_lists=lists)
        if not with_data:
            return
        datums = Counter[bytes]()
        rows: dict[bytes, Row] = {}
        echoes = 0
        for datum_row in self._datum_rows({"target__id": row["id"]}):
            if datum_mark(datum_row["source_location"] or ""):
                echoes += 1
                continue
            key = canonical_json(datum_row)
            datums[key] += 1
            rows[key] = datum_row
        for product_row in self._product_rows(row):
            made = self._datum_rows({"data_product__id": product_row["id"]})
            of_product = Counter(canonical_json(datum_row) for datum_row in made)
            if (product_row["product_id"] or "").startswith(PRODUCT_MARK):
                echoes += (datums & of_product).total()
                datums -= of_product
                continue
            body = self._product(product_row, target, made)
            if body is not None:
                # What processing the file made comes with the file, and not once more by itself.
                datums -= of_product
                yield body
        if echoes:
            self._warn(f"{target.name}: {echoes} datums that came through the bridge are not shared on")
        loose = self._read_datums([rows[key] for key in datums.elements()], target)
        yield from self._batches(loose, target)

    def _may_see(self, row: Row) -> bool:
        # To an account that sees no target at all the fuzzy search shows everybody's.
        return self._session.get(f"api/targets/{row['id']}/").ok

    def _datum_rows(self, query: Mapping[str, Any]) -> list[Row]:
        rows: list[Row] = self._session.get_ok("api/reduceddatums/", {**query, "limit": 10_000_000})["results"]
        return rows

    def _product_rows(self, row: Row) -> list[Row]:
        query = {"target_name": row["name"], "limit": 1_000_000}
        found = self._session.get_ok("api/dataproducts/", query)["results"]
        own = {product["id"]: product for product in found if product["target"] == row["id"]}
        return [own[key] for key in sorted(own)]

    def _read_datums(self, rows: list[Row], target: Target, *, of_product: bool = False) -> list[ReducedDatum]:
        if self._session.dialect == 3 and rows and not of_product:
            self._warn_once(
                "the API of TOM Toolkit 3 does not show extras, exposure times and reduction versions of datums; "
                "they are not shared, unless they come with a data product"
            )
        datums: dict[str, ReducedDatum] = {}
        hidden = alike = 0
        for row in rows:
            try:
                datum = read_datum(row, self._tom.url)
            except ValidationError:
                self._warn(f"{target.name}: a datum of {row['timestamp']} without data type or value is not shared")
                continue
            if datum is None:
                hidden += 1
            elif datum.id in datums:
                alike += 1
            else:
                datums[str(datum.id)] = datum
        if hidden and not of_product:
            self._warn(
                f"{target.name}: {hidden} upper limits are not shared: the API of TOM Toolkit 3 does not show their values"
            )
        if alike and not of_product:
            self._warn(f"{target.name}: {alike} datums are shared once with others from which the API shows no difference")
        return sorted(datums.values(), key=lambda datum: (datum.timestamp, str(datum.id)))

    def _batches(self, datums: list[ReducedDatum], target: Target) -> Iterator[ShareBody]:
        def too_large(datum: ReducedDatum, size: int) -> None:
            self._warn(
                f"{target.name}: a {datum.data_type} datum of {datum.timestamp.isoformat()} is not shared: "
                f"{size:,} bytes do not fit into one event"
            )

        for batch in split_datums(datums, too_large=too_large):
            yield ReducedDatumsShared(tom=self._tom, submitter=self._submitter, target=target.identity(), datums=batch)

    def _product(self, row: Row, target: Target, made: list[Row]) -> DataProductShared | None:
        """Return a product's event, or None, with a warning, if its file can't be had."""
        name = unquote(urlsplit(row["data"] or "").path).rpartition("/")[2]
        if not name:
            self._warn(f"{target.name}: data product {row['id']} has no file; not shared")
            return None
        try:
            content = self._session.download(row["data"], MOST_FILE_BYTES)
        except Rejected as error:
            self._warn(f"{target.name}: data product {name!r} is not shared, its datums are: {error.detail}")
            return None
        packed: InlineContent | ReferencedContent | None = blobs.pack(content)
        if packed is None:
            packed = ReferencedContent(url=row["data"])
            self._warn(
                f"{target.name}: data product {name!r} is too large to go inside an event; consumers fetch it from this "
                f"TOM if their fetch_from allows {self._tom.url}"
            )
        datums = self._read_datums(made, target, of_product=True)
        if not fit_beside_file(datums):
            self._warn(
                f"{target.name}: the {len(datums):,} datums of data product {name!r} do not fit beside it; a TOM that "
                "can't process the file will not have them"
            )
            datums = []
        return DataProductShared(
            tom=self._tom,
            submitter=self._submitter,
            target=target.identity(),
            product=DataProduct(
                name=name,
                data_product_type=row["data_product_type"] or "",
                size=len(content),
                sha256=blobs.sha256(content),
                content=packed,
                product_id=row["product_id"] or "",
                extra_data=row["extra_data"] or "",
                origin=Origin(model="tom_dataproducts.DataProduct", primary_key=row["id"]),
                datums=tuple(datums),
            ),
        )

    def _warn_once(self, text: str) -> None:
        if text not in self._said_once:
            self._said_once.add(text)
            self._warn(text)


def _simple_names(row: Row) -> set[str]:
    return {simplify_name(name) for name in (row["name"], *(alias["name"] for alias in row.get("aliases", [])))}
