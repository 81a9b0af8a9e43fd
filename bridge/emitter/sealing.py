"""Sealing: a target that has come to rest is read in one consistent snapshot and becomes events in the outbox."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import Now
from django.utils import timezone

from bridge.codecs import native
from bridge.codecs.batches import fit_beside_file, split_datums
from bridge.emitter.configuration import Configuration, Stream
from bridge.emitter.consent import Consent, consents, groups_may_view
from bridge.emitter.models import Change, OutboxEvent, SealedTarget, ShareRequest
from bridge.emitter.parcels import Going, Noted, Parcel, Recipient, parcels_of_changes
from bridge.emitter.snapshot import list_names, read_datum, read_product, read_target
from bridge.emitter.tables import datum_models, targets
from bridge.errors import Rejected
from bridge.events import (
    DataProductShared,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    Target,
    TargetShared,
    canonical_json,
)
from bridge.settings import EmitterSettings
from bridge.translate.datums import datum_mark
from bridge.translate.products import PRODUCT_MARK

__all__ = ["Sealer"]

TARGETS_AT_ONCE = 50
"""So many targets are read in one snapshot."""
CHANGES_AT_ONCE = 20_000
"""So many changes of one target are sealed at once; the rest follows."""
_PRODUCT = "tom_dataproducts.dataproduct"
_SHARE = "tom_targets.persistentshare"

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Subject:
    """One target as the snapshot found it."""

    pk: int
    changes: list[Change]
    requests: list[ShareRequest]
    row: Any = None
    consents: Sequence[Consent] = ()
    sealed: dict[str, str] = field(default_factory=dict)
    datums: dict[Going, Any] = field(default_factory=dict)
    products: dict[int, Any] = field(default_factory=dict)
    made: dict[int, list[Any]] = field(default_factory=dict)
    visible: dict[str, set[Going]] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Sealed:
    """What became of one target: rows for the outbox, and what could not be sealed."""

    events: list[OutboxEvent] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[Going, str] = field(default_factory=dict)
    target_problem: str = ""


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


class Sealer:
    """Seals what has come to rest. Only the holder of the relay's lock may use it.

    Parameters
    ----------
    configuration
        The TOM's streams.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._settings: EmitterSettings = configuration.emitter

    def seal(self) -> int:
        """Seal a number of targets that have come to rest; return how many changes and requests that took care of."""
        pks = self._due()
        return self._seal(pks) if pks else 0

    def waiting(self) -> int:
        """Return how many targets wait, at rest or not."""
        changed = set(Change.objects.filter(problem="").values_list("target_pk", flat=True).distinct())
        return len(changed | set(ShareRequest.objects.filter(problem="").values_list("target_pk", flat=True)))

    def _due(self) -> list[int]:
        quiet = timedelta(seconds=self._settings.QUIET_SECONDS)
        longest = timedelta(seconds=self._settings.LONGEST_WAIT_SECONDS)
        changed = Change.objects.filter(problem="").values("target_pk")
        noted = changed.annotate(first=Min("at"), last=Max("at"), order=Min("id"), now=Now()).order_by("order")
        due, restless = list[int](), self._in_process()
        for found in noted:
            is_quiet = found["now"] - found["last"] >= quiet and found["target_pk"] not in restless
            if is_quiet or found["now"] - found["first"] >= longest:
                due.append(found["target_pk"])
            else:
                restless.add(found["target_pk"])
        asked = ShareRequest.objects.filter(problem="").order_by("id").values_list("target_pk", flat=True)
        wanted = dict.fromkeys([pk for pk in asked if pk not in restless] + due)
        return list(wanted)[:TARGETS_AT_ONCE]

    def _in_process(self) -> set[int]:
        """Return the targets with a new data product whose datums are not there yet.

        TOM Toolkit saves a file first and processes it afterwards, and a file that can't be processed goes again.
        """
        products = apps.get_model(_PRODUCT)._default_manager  # noqa: SLF001  Django's documented model API
        noted = dict(Change.objects.filter(model=_PRODUCT, problem="").values_list("row_pk", "target_pk"))
        processed = list(getattr(settings, "DATA_PROCESSORS", {}))
        waiting = products.filter(pk__in=noted, data_product_type__in=processed).values_list("pk", flat=True)
        done = Change.objects.filter(product_pk__in=noted).values_list("product_pk", flat=True).distinct()
        return {noted[pk] for pk in {*waiting} - {*done}}

    def _seal(self, pks: Sequence[int]) -> int:
        handled = 0
        for subject in self._read(pks):
            sealed = self._sealed(subject)
            with transaction.atomic():  # short: on SQLite, nobody else writes meanwhile
                handled += self._write(subject, sealed)
        return handled

    # What the snapshot reads

    def _read(self, pks: Sequence[int]) -> list[_Subject]:
        """Read all that sealing some targets needs, in one consistent snapshot of the database."""
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            model = targets()
            rows = model._default_manager.filter(pk__in=pks)  # noqa: SLF001  Django's documented model API
            by_pk = {row.pk: row for row in rows.prefetch_related("aliases", "targetextra_set", "targetlist_set")}
            consented = consents(by_pk, self._configuration)
            subjects = []
            for pk in pks:
                changes = Change.objects.filter(target_pk=pk, problem="").order_by("id")[:CHANGES_AT_ONCE]
                requests = ShareRequest.objects.filter(target_pk=pk, problem="").order_by("id")
                subject = _Subject(pk=pk, changes=list(changes), requests=list(requests), row=by_pk.get(pk))
                if subject.row is not None:
                    subject.consents = consented.get(pk, ())
                    subject.sealed = dict(SealedTarget.objects.filter(target_pk=pk).values_list("destination", "digest"))
                    if subject.consents or subject.requests:
                        self._read_data(subject)
                subjects.append(subject)
        return subjects

    def _read_data(self, subject: _Subject) -> None:
        wanted: dict[str, set[int]] = defaultdict(set)
        for change in subject.changes:
            wanted[change.model].add(change.row_pk)
            if change.product_pk is not None:
                wanted[_PRODUCT].add(change.product_pk)
        everything = any(request.everything for request in subject.requests)
        for request in subject.requests:
            for label, pks in request.datums.items():
                wanted[label] |= set(pks)
            if request.product_pk is not None:
                wanted[_PRODUCT].add(request.product_pk)
        products = apps.get_model(_PRODUCT)._default_manager.filter(target=subject.pk)  # noqa: SLF001
        for row in products if everything else products.filter(pk__in=wanted[_PRODUCT]):
            subject.products[row.pk] = row
        for model in datum_models():
            label = model._meta.label_lower  # noqa: SLF001
            rows = model._default_manager.filter(target=subject.pk)  # noqa: SLF001
            for row in rows if everything else rows.filter(pk__in=wanted[label]):
                subject.datums[label, row.pk] = row
            for row in rows.filter(data_product__in=subject.products).order_by("pk"):
                subject.made.setdefault(row.data_product_id, []).append(row)
        for consent in subject.consents:
            if consent.groups:
                subject.visible[consent.destination] = _visible(subject, consent.groups)

    # What becomes of it

    def _sealed(self, subject: _Subject) -> _Sealed:
        sealed = _Sealed()
        if subject.row is None:
            return sealed  # deleted meanwhile: removals do not travel
        if not (subject.requests or subject.consents):
            return sealed
        try:
            target = read_target(subject.row)
        except Rejected as error:
            sealed.target_problem = error.detail
            return sealed
        lists = list_names(subject.row)
        noted = [_noted(change) for change in subject.changes]
        done: dict[str, set[Going]] = defaultdict(set)
        for address, parcel in self._asked_for(subject, sealed):
            self._add(subject, sealed, target, lists, address, parcel)
            done[address.destination] |= {*parcel.datums, *((_PRODUCT, pk) for pk in parcel.products)}
            done[address.destination] |= {key for key, _product in parcel.of_products}
        for consent in subject.consents:
            recipient = Recipient(is_hub=consent.stream.entry.HUB, share_pk=consent.share_pk)
            address = _Address(
                stream=consent.stream,
                destination=consent.destination,
                submitter=consent.submitter,
                authors=consent.authors,
            )
            for parcel in parcels_of_changes(noted, recipient, done=done[consent.destination]):
                self._add(subject, sealed, target, lists, address, parcel)
        return sealed

    def _asked_for(self, subject: _Subject, sealed: _Sealed) -> Iterator[tuple[_Address, Parcel]]:
        for request in subject.requests:
            stream = self._configuration.stream_of(request.destination)
            if stream is None:
                sealed.problems["request", request.pk] = f"{request.destination} is no stream and topic of this TOM any more"
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
            if request.everything:
                products = tuple(sorted(subject.products))
                datums = tuple(key for key in sorted(subject.datums))
            else:
                products = (request.product_pk,) if request.product_pk is not None else ()
                datums = tuple((label, pk) for label, pks in sorted(request.datums.items()) for pk in pks)
            loose = tuple(key for key in datums if key in subject.datums and subject.datums[key].data_product_id is None)
            of_products = tuple(
                (key, subject.datums[key].data_product_id)
                for key in datums
                if key in subject.datums and subject.datums[key].data_product_id is not None
            )
            if not request.everything:  # who picks datums means these, wherever they came from
                loose, of_products = datums, ()
            yield address, Parcel(datums=loose, products=products, of_products=of_products)

    def _add(
        self,
        subject: _Subject,
        sealed: _Sealed,
        target: Target,
        lists: tuple[str, ...],
        address: _Address,
        parcel: Parcel,
    ) -> None:
        """Seal a parcel: the target first, if the destination does not know its present state, then products and datums."""
        is_hub = address.stream.entry.HUB
        may_go = subject.visible.get(address.destination)
        products, unreadable = self._products(subject, sealed, address, parcel, may_go, is_hub=is_hub)
        rows = [key for key in parcel.datums if key in subject.datums]
        rows += [key for key, product in parcel.of_products if product in unreadable and key in subject.datums]
        routes: dict[tuple[str, ...], list[ReducedDatum]] = {}
        for key in rows:
            row = subject.datums[key]
            hops = _route(row.source_location, parcel.hops, is_hub=is_hub)
            if hops is None or (may_go is not None and key not in may_go):
                continue
            try:
                routes.setdefault(hops, []).append(read_datum(row, address.stream.tom.url))
            except Rejected as error:
                sealed.problems[key] = error.detail
        bodies: list[ShareBody] = []
        common = {
            "tom": address.stream.tom,
            "submitter": address.submitter,
            "authors": address.authors,
            "title": address.title,
            "message": address.message,
        }
        known = sealed.digests.get(address.destination, subject.sealed.get(address.destination))
        digest = hashlib.sha256(canonical_json([target.model_dump(mode="json"), list(lists)])).hexdigest()
        if address.always or (known != digest and (parcel.tells_target or products or routes)):
            every_list = tuple(dict.fromkeys((*lists, *address.lists)))
            bodies.append(TargetShared(**common, hops=parcel.hops, target=target, target_lists=every_list))
            sealed.digests[address.destination] = digest
        identity = target.identity()
        bodies += [DataProductShared(**common, hops=parcel.hops, target=identity, product=product) for product in products]
        for hops, datums in routes.items():
            for batch in split_datums(_once(datums), too_large=lambda datum, size: _note_size(sealed, datum, size)):
                bodies.append(ReducedDatumsShared(**common, hops=hops, target=identity, datums=batch))
        now = timezone.now()
        for body in bodies:
            try:
                sealed.events.append(_outbox_event(body, address.destination, subject.pk, now))
            except ValueError as error:
                sealed.target_problem = f"{body.TYPE} of {body.subject!r}: {error}"

    def _products(
        self,
        subject: _Subject,
        sealed: _Sealed,
        address: _Address,
        parcel: Parcel,
        may_go: set[Going] | None,
        *,
        is_hub: bool,
    ) -> tuple[list[Any], set[int]]:
        """Return the products of a parcel, and which of those that its datums came from can't be had as files."""
        products, unreadable = [], set()
        for pk in dict.fromkeys((*parcel.products, *(product for _key, product in parcel.of_products))):
            row = subject.products.get(pk)
            if row is None:
                unreadable.add(pk)
                continue
            arrived = (row.product_id or "").startswith(PRODUCT_MARK)
            if arrived and not (is_hub and parcel.hops):
                continue  # came through the bridge, and with it what processing it has made
            if may_go is not None and (_PRODUCT, pk) not in may_go:
                continue
            if not row.data:
                unreadable.add(pk)
                continue
            if pk not in parcel.products:
                continue  # it went, or goes, by a change of its own
            try:
                made = tuple(_once(_readable(subject.made.get(pk, ()), address.stream.tom.url)))
                beside = made if fit_beside_file(made) else ()
                product = read_product(row, tom_url=address.stream.tom.url, datums=beside)
            except Rejected as error:
                sealed.problems[_PRODUCT, pk] = error.detail
                unreadable.add(pk)
                continue
            if product is not None:
                products.append(product)
        return products, unreadable

    # What is written

    def _write(self, subject: _Subject, sealed: _Sealed) -> int:
        """Write events, digests and problems, and remove what is done with; the caller holds the transaction."""
        # First of all a write: on SQLite, a transaction that begins with a read can't be sure to write later.
        done = [change.pk for change in subject.changes]
        troubled = {
            change.pk: sealed.target_problem or sealed.problems.get((change.model, change.row_pk), "")
            for change in subject.changes
        }
        for number in range(0, len(done), 1_000):
            part = done[number : number + 1_000]
            Change.objects.filter(pk__in=[pk for pk in part if not troubled[pk]]).delete()
        for pk, problem in troubled.items():
            if problem:
                Change.objects.filter(pk=pk).update(problem=problem)
        for request in subject.requests:
            problem = sealed.target_problem or sealed.problems.get(("request", request.pk), "")
            ShareRequest.objects.filter(pk=request.pk).update(problem=problem)
            if not problem:
                request.delete()
        for text in sorted({sealed.target_problem, *sealed.problems.values()} - {""}):
            _log.error("target %s: not shared: %s", subject.pk, text)
        OutboxEvent.objects.bulk_create(sealed.events, batch_size=100)
        for destination, digest in sealed.digests.items():
            SealedTarget.objects.update_or_create(target_pk=subject.pk, destination=destination, defaults={"digest": digest})
        return len(done) + len(subject.requests)


def _noted(change: Change) -> Noted:
    kinds = {_PRODUCT: "product", _SHARE: "share"}
    is_datum = change.model.startswith("tom_dataproducts.") and change.model != _PRODUCT
    return Noted(
        number=change.pk,
        kind="datum" if is_datum else kinds.get(change.model, "target"),
        row=(change.model, change.row_pk),
        product=change.product_pk,
        hops=tuple(change.hops.split()) if change.arrived_by else None,
    )


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


def _readable(rows: Iterable[Any], url: str) -> Iterator[ReducedDatum]:
    for row in rows:
        try:
            yield read_datum(row, url)
        except Rejected as error:
            _log.warning("%s; it goes with its file only", error.detail)


def _once(datums: Iterable[ReducedDatum]) -> list[ReducedDatum]:
    return list({str(datum.id): datum for datum in datums}.values())


def _visible(subject: _Subject, groups: Sequence[str]) -> set[Going]:
    visible: set[Going] = set()
    by_label: dict[str, list[Any]] = {_PRODUCT: list(subject.products.values())}
    for (label, _pk), row in subject.datums.items():
        by_label.setdefault(label, []).append(row)
    for label, rows in by_label.items():
        visible |= {(label, pk) for pk in groups_may_view(rows, groups)}
    return visible


def _note_size(sealed: _Sealed, datum: ReducedDatum, size: int) -> None:
    problem = f"a {datum.data_type} datum of {datum.timestamp.isoformat()}: {size:,} bytes do not fit into one event"
    row = datum.origin
    sealed.problems[(row.model.lower(), row.primary_key) if row else ("", 0)] = problem


def _outbox_event(body: ShareBody, destination: str, target_pk: int, now: datetime) -> OutboxEvent:
    """Return the outbox row of an event; what is in it never changes again.

    Raises
    ------
    ValueError
        If it is larger than an event may be.
    """
    event = native.new_event(body, now=now)
    record = native.encode(event)
    return OutboxEvent(
        event_id=event.id,
        destination=destination,
        type=event.type,
        subject=body.subject,
        target_pk=target_pk,
        key=record.key or b"",
        headers=OutboxEvent.pack_headers(record.headers),
        payload=record.value or b"",
        created=now,
    )
