"""Packing: what becomes of one target, the bodies of the events that go out and what could not be read."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bridge.codecs.batches import fit_beside_file, split_datums
from bridge.emitter.configuration import Configuration, Stream
from bridge.emitter.models import Change
from bridge.emitter.parcels import Going, Noted, Parcel, Recipient, parcels_of_changes
from bridge.emitter.rows import list_names, read_datum, read_product, read_target
from bridge.emitter.snapshot import Subject
from bridge.emitter.tables import PRODUCT, SHARE
from bridge.errors import Rejected
from bridge.events import (
    DataProduct,
    DataProductShared,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    TargetShared,
    canonical_json,
)
from bridge.translate.datums import datum_mark
from bridge.translate.products import DATUMS_MARK, PRODUCT_MARK

__all__ = ["Packed", "pack"]

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Packed:
    """What becomes of one target.

    Parameters
    ----------
    bodies
        Destinations and events, in order.
    digests
        What destinations are told of the target now.
    problems
        Rows that can't go, and why; requests as ``("request", primary key)``.
    """

    bodies: list[tuple[str, ShareBody]] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[Going, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Address:
    """Where a parcel goes, and in whose words."""

    stream: Stream
    destination: str
    submitter: str
    authors: str
    title: str = ""
    message: str = ""
    lists: tuple[str, ...] = ()
    always: bool = False
    may_go: Collection[Going] | None = None
    """Rows that may go there; all, if it is None."""

    def admits(self, row: Going) -> bool:
        """Whether a row may go there."""
        return self.may_go is None or row in self.may_go


def pack(subject: Subject, configuration: Configuration) -> Packed:
    """Return what goes out of what changed and what was asked for.

    Raises
    ------
    Rejected
        ``unreadable_target`` if no event can be about the target; nothing of it goes then.
    """
    if subject.row is None or not (subject.requests or subject.consents):
        return Packed()  # removals do not travel, and nobody may have the rest
    return _Packer(subject, configuration).pack()


class _Packer:
    def __init__(self, subject: Subject, configuration: Configuration) -> None:
        self._subject = subject
        self._configuration = configuration
        self._target = read_target(subject.row)
        self._lists = list_names(subject.row)
        told = [self._target.model_dump(mode="json"), list(self._lists)]
        self._digest = hashlib.sha256(canonical_json(told)).hexdigest()
        self._packed = Packed()

    def pack(self) -> Packed:
        """Pack what was asked for, and then what changed and does not go by that already."""
        subject = self._subject
        done: dict[str, set[Going]] = defaultdict(set)
        for address, parcel in self._asked_for():
            self._add(address, parcel)
            done[address.destination] |= {*parcel.datums, *((PRODUCT, pk) for pk in parcel.products)}
            done[address.destination] |= {key for key, _product in parcel.of_products}
        noted = [_noted(change) for change in subject.changes]
        for consent in subject.consents:
            since = subject.consented_from.get(consent.destination, -1) if consent.share_pk is not None else -1
            recipient = Recipient(is_hub=consent.stream.entry.HUB, consented_from=since)
            address = _Address(
                stream=consent.stream,
                destination=consent.destination,
                submitter=consent.submitter,
                authors=consent.authors,
                may_go=subject.visible.get(consent.destination),
            )
            for parcel in parcels_of_changes(noted, recipient, done=done[consent.destination]):
                self._add(address, parcel)
        return self._packed

    def _asked_for(self) -> Iterator[tuple[_Address, Parcel]]:
        subject = self._subject
        for request in subject.requests:
            stream = self._configuration.stream_of(request.destination)
            if stream is None:
                problem = f"{request.destination} is no stream and topic of this TOM any more; see DATA_SHARING"
                self._packed.problems["request", request.pk] = problem
                continue
            address = _Address(
                stream=stream,
                destination=request.destination,
                submitter=request.submitter,
                authors=request.authors or stream.entry.DEFAULT_AUTHORS,
                title=request.title,
                message=request.message,
                lists=tuple(request.lists),
                always=request.tell_target,
            )
            keys = [(label, pk) for label, pks in sorted(request.datums.items()) for pk in pks]
            product = request.product_pk
            # Who picks datums means these, wherever they came from; those of a product that is asked for go with it.
            made = [(key, product) for key in keys if product is not None and self._came_from(key) == product]
            yield (
                address,
                Parcel(
                    datums=tuple(key for key in keys if product is None or self._came_from(key) != product),
                    products=(product,) if product is not None else (),
                    of_products=tuple(made),
                ),
            )

    def _came_from(self, key: Going) -> int | None:
        row = self._subject.datums.get(key)
        return row.data_product_id if row is not None else None

    def _add(self, address: _Address, parcel: Parcel) -> None:
        """Pack a parcel: the target first, if the stream has not been told its present state, then products and datums."""
        products, no_file = self._products(address, parcel)
        loose = [*parcel.datums, *(key for key, product in parcel.of_products if product in no_file)]
        routes = self._datums(address, parcel, loose)
        tom, told = address.stream.tom, self._packed.digests.get(address.destination)
        known = told or self._subject.sealed.get(address.destination)
        words = {
            "tom": tom,
            "submitter": address.submitter,
            "authors": address.authors,
            "title": address.title,
            "message": address.message,
        }
        bodies: list[ShareBody] = []
        if address.always or (known != self._digest and (parcel.tells_target or products or routes)):
            lists = tuple(dict.fromkeys((*self._lists, *address.lists)))
            bodies.append(TargetShared(**words, hops=parcel.hops, target=self._target, target_lists=lists))
            self._packed.digests[address.destination] = self._digest
        identity = self._target.identity()
        bodies += [DataProductShared(**words, hops=parcel.hops, target=identity, product=product) for product in products]
        for hops, datums in routes.items():
            for batch in split_datums(datums, too_large=self._note_size):
                bodies.append(ReducedDatumsShared(**words, hops=hops, target=identity, datums=batch))
        self._packed.bodies += [(address.destination, body) for body in bodies]

    def _datums(self, address: _Address, parcel: Parcel, keys: Iterable[Going]) -> dict[tuple[str, ...], list[ReducedDatum]]:
        """Return the datums that go, by the TOMs that they have been through, each measurement once."""
        routes: dict[tuple[str, ...], dict[str, ReducedDatum]] = {}
        for key in keys:
            row = self._subject.datums.get(key)
            if row is None or not address.admits(key):
                continue
            if _has_arrived(row.data_product) and not (address.stream.entry.HUB and parcel.hops):
                continue  # made of a file that came through the bridge, which may be nothing but datums
            hops = _route(row.source_location, parcel.hops, is_hub=address.stream.entry.HUB)
            if hops is None:
                continue
            try:
                datum = read_datum(row, address.stream.tom.url)
            except Rejected as error:
                self._packed.problems[key] = error.detail
                continue
            routes.setdefault(hops, {}).setdefault(str(datum.id), datum)
        return {hops: list(datums.values()) for hops, datums in routes.items()}

    def _products(self, address: _Address, parcel: Parcel) -> tuple[list[DataProduct], set[int]]:
        """Return the products of a parcel, and those that do not go: datums that came from them go by themselves."""
        is_hub, url = address.stream.entry.HUB, address.stream.tom.url
        products, no_file = [], set()
        for pk in dict.fromkeys((*parcel.products, *(product for _key, product in parcel.of_products))):
            row = self._subject.products.get(pk)
            if _has_arrived(row) and not (is_hub and parcel.hops):
                continue  # came through the bridge, and with it what processing it has made
            is_mere_datums = row is not None and (row.product_id or "").startswith(DATUMS_MARK)
            if row is None or not row.data or is_mere_datums or not address.admits((PRODUCT, pk)) or pk not in parcel.products:
                no_file.add(pk)  # or it went before, and what has been added since goes by itself; or it is nothing but these
            else:
                try:
                    product = read_product(row, tom_url=url, datums=self._made(address, pk))
                except Rejected as error:
                    self._packed.problems[PRODUCT, pk] = error.detail
                    no_file.add(pk)
                else:
                    products.append(product)
        return products, no_file

    def _made(self, address: _Address, product_pk: int) -> tuple[ReducedDatum, ...]:
        """Return the datums that a product's processing has made, if they fit into its event."""
        datums: dict[str, ReducedDatum] = {}
        for row in self._subject.made.get(product_pk, ()):
            if not address.admits((row._meta.label_lower, row.pk)):  # noqa: SLF001  Django's documented model API
                continue
            try:
                datum = read_datum(row, address.stream.tom.url)
            except Rejected as error:
                _log.warning("%s; it goes with its file only", error.detail)
            else:
                datums.setdefault(str(datum.id), datum)
        made = tuple(datums.values())
        return made if fit_beside_file(made) else ()

    def _note_size(self, datum: ReducedDatum, size: int) -> None:
        problem = f"a {datum.data_type} datum of {datum.timestamp.isoformat()}: {size:,} bytes do not fit into one event"
        if datum.origin is not None:
            self._packed.problems[datum.origin.model.lower(), datum.origin.primary_key] = problem


def _noted(change: Change) -> Noted:
    kinds = {PRODUCT: "product", SHARE: "share"}
    is_datum = change.model.startswith("tom_dataproducts.") and change.model != PRODUCT
    return Noted(
        number=change.pk,
        kind="datum" if is_datum else kinds.get(change.model, "target"),
        row=(change.model, change.row_pk),
        product=change.product_pk,
        hops=tuple(change.hops.split()) if change.arrived_by else None,
    )


def _has_arrived(product: Any) -> bool:
    """Whether a data product, if it is one, came through the bridge."""
    return product is not None and (product.product_id or "").startswith(PRODUCT_MARK)


def _route(source_location: str, hops: tuple[str, ...], *, is_hub: bool) -> tuple[str, ...] | None:
    """Return the TOMs that a datum has been through, or None if it is not to go out: it came through the bridge."""
    if not datum_mark(source_location):
        return hops
    if not is_hub:
        return None
    if hops:
        return hops
    page = urlsplit(source_location)
    origin, found, _rest = page.path.partition("targets/")
    return (f"{page.scheme}://{page.netloc}{origin}",) if page.netloc and found else None
