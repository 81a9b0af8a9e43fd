"""Reading: all that sealing a target needs, in one consistent snapshot of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Max

from bridge.emitter.configuration import Configuration
from bridge.emitter.consent import Consent, consents
from bridge.emitter.models import Change, SealedTarget, ShareRequest
from bridge.emitter.parcels import Going
from bridge.emitter.permissions import data_for_groups
from bridge.emitter.tables import PRODUCT, SHARE, datum_models, targets

__all__ = ["CHANGES_AT_ONCE", "Subject", "read_changes", "read_subject"]

CHANGES_AT_ONCE = 2_000
"""So many changes of one target are sealed at once; the rest follows. On SQLite, nobody can write while they are read."""
VALUES_AT_ONCE = 1_000


@dataclass(kw_only=True)
class Subject:
    """One target as the snapshot found it.

    Parameters
    ----------
    pk, row
        The target; no row if it has been deleted.
    changes, requests
        What is to be sealed, in order.
    consents
        Where its changes may go by themselves.
    sealed
        What destinations were told of it last, as digests.
    consented_from
        For destinations with a continuous share: number of the change that made it.
    datums, products
        The rows that changed or are asked for.
    made
        Of these products: all datums that came from them.
    visible
        For destinations that only some groups' data may go to: what they may see.
    """

    pk: int
    changes: list[Change]
    requests: list[ShareRequest]
    row: Any = None
    consents: Sequence[Consent] = ()
    sealed: dict[str, str] = field(default_factory=dict)
    consented_from: dict[str, int] = field(default_factory=dict)
    datums: dict[Going, Any] = field(default_factory=dict)
    products: dict[int, Any] = field(default_factory=dict)
    made: dict[int, list[Any]] = field(default_factory=dict)
    visible: dict[str, set[Going]] = field(default_factory=dict)


def read_subject(pk: int, configuration: Configuration) -> Subject:
    """Return a target with all that sealing it needs."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        subject = read_changes(pk)
        rows = targets()._default_manager.filter(pk=pk)  # noqa: SLF001  Django's documented model API
        subject.row = rows.prefetch_related("aliases", "targetextra_set", "targetlist_set").first()
        if subject.row is not None:
            subject.consents = consents([pk], configuration).get(pk, ())
            for sealed in SealedTarget.objects.filter(target_pk=pk):
                subject.sealed[sealed.destination] = sealed.digest
                subject.consented_from[sealed.destination] = sealed.consented_from
            for consent in subject.consents:
                if consent.share_pk is not None:  # its change may be behind those that are read now
                    made = Change.objects.filter(target_pk=pk, model=SHARE, row_pk=consent.share_pk)
                    newest = made.aggregate(number=Max("id"))["number"]
                    if newest is not None:
                        subject.consented_from[consent.destination] = newest
            if subject.consents or subject.requests:
                _read_data(subject)
    return subject


def read_changes(pk: int) -> Subject:
    """Return a target with nothing but what is to be sealed."""
    waiting = Change.objects.filter(target_pk=pk, problem="").order_by("id")
    changes = list(waiting[:CHANGES_AT_ONCE])
    if len(changes) == CHANGES_AT_ONCE:  # what a product has made goes with it, however much that is
        products = [change.row_pk for change in changes if change.model == PRODUCT]
        changes += waiting.filter(product_pk__in=products, pk__gt=changes[-1].pk)
    return Subject(pk=pk, changes=changes, requests=_some_requests(pk))


def _some_requests(pk: int) -> list[ShareRequest]:
    """Return the first requests, with about as many datums as are read at once."""
    chosen, count = list[ShareRequest](), 0
    for request in ShareRequest.objects.filter(target_pk=pk, problem="").order_by("id").iterator(chunk_size=20):
        chosen.append(request)
        count += 1 + sum(map(len, request.datums.values()))
        if count >= CHANGES_AT_ONCE:
            break
    return chosen


def _read_data(subject: Subject) -> None:
    wanted: dict[str, set[int]] = defaultdict(set)
    for change in subject.changes:
        wanted[change.model].add(change.row_pk)
        if change.product_pk is not None:
            wanted[PRODUCT].add(change.product_pk)
    for request in subject.requests:
        for label, pks in request.datums.items():
            wanted[label] |= set(pks)
        if request.product_pk is not None:
            wanted[PRODUCT].add(request.product_pk)
    products = apps.get_model(PRODUCT)._default_manager.filter(target=subject.pk)  # noqa: SLF001
    for row in products.filter(pk__in=wanted[PRODUCT]):
        subject.products[row.pk] = row
    for model in datum_models():
        label = model._meta.label_lower  # noqa: SLF001
        rows = model._default_manager.filter(target=subject.pk).select_related("data_product")  # noqa: SLF001
        for row in rows.filter(data_product__in=subject.products).order_by("pk"):
            subject.made.setdefault(row.data_product_id, []).append(row)
            subject.datums[label, row.pk] = row
        missing = sorted(pk for pk in wanted[label] if (label, pk) not in subject.datums)
        subject.datums |= {(label, row.pk): row for row in _each(rows, missing)}
    for consent in subject.consents:
        if consent.groups:
            subject.visible[consent.destination] = _visible(subject, consent.groups)


def _each(rows: Any, pks: Sequence[int]) -> Iterator[Any]:
    """Yield the rows with these primary keys; a statement takes only so many values."""
    for number in range(0, len(pks), VALUES_AT_ONCE):
        yield from rows.filter(pk__in=pks[number : number + VALUES_AT_ONCE])


def _visible(subject: Subject, groups: Sequence[str]) -> set[Going]:
    visible: set[Going] = set()
    by_label: dict[str, list[Any]] = {PRODUCT: list(subject.products.values())}
    made = (row for rows in subject.made.values() for row in rows)
    for row in (*subject.datums.values(), *made):
        by_label.setdefault(row._meta.label_lower, []).append(row)  # noqa: SLF001
    for label, rows in by_label.items():
        visible |= {(label, pk) for pk in data_for_groups(rows, groups)}
    return visible
