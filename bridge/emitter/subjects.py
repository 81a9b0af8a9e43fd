"""Reading: all that sealing some targets needs, in one consistent snapshot of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from bridge.emitter.configuration import Configuration
from bridge.emitter.consent import Consent, consents, groups_may_view
from bridge.emitter.models import Change, SealedTarget, ShareRequest
from bridge.emitter.parcels import Going
from bridge.emitter.tables import PRODUCT, datum_models, targets

__all__ = ["CHANGES_AT_ONCE", "Subject", "read_changes", "read_subjects"]

CHANGES_AT_ONCE = 20_000
"""So many changes of one target are sealed at once; the rest follows."""


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
    datums: dict[Going, Any] = field(default_factory=dict)
    products: dict[int, Any] = field(default_factory=dict)
    made: dict[int, list[Any]] = field(default_factory=dict)
    visible: dict[str, set[Going]] = field(default_factory=dict)


def read_subjects(pks: Sequence[int], configuration: Configuration) -> list[Subject]:
    """Return some targets with all that sealing them needs."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        model = targets()
        rows = model._default_manager.filter(pk__in=pks)  # noqa: SLF001  Django's documented model API
        by_pk = {row.pk: row for row in rows.prefetch_related("aliases", "targetextra_set", "targetlist_set")}
        consented = consents(by_pk, configuration)
        subjects = []
        for pk in pks:
            subject = read_changes(pk)
            subject.row = by_pk.get(pk)
            if subject.row is not None:
                subject.consents = consented.get(pk, ())
                subject.sealed = dict(SealedTarget.objects.filter(target_pk=pk).values_list("destination", "digest"))
                if subject.consents or subject.requests:
                    _read_data(subject)
            subjects.append(subject)
    return subjects


def read_changes(pk: int) -> Subject:
    """Return a target with nothing but what is to be sealed."""
    changes = Change.objects.filter(target_pk=pk, problem="").order_by("id")[:CHANGES_AT_ONCE]
    requests = ShareRequest.objects.filter(target_pk=pk, problem="").order_by("id")
    return Subject(pk=pk, changes=list(changes), requests=list(requests))


def _read_data(subject: Subject) -> None:
    wanted: dict[str, set[int]] = defaultdict(set)
    for change in subject.changes:
        wanted[change.model].add(change.row_pk)
        if change.product_pk is not None:
            wanted[PRODUCT].add(change.product_pk)
    everything = any(request.everything for request in subject.requests)
    for request in subject.requests:
        for label, pks in request.datums.items():
            wanted[label] |= set(pks)
        if request.product_pk is not None:
            wanted[PRODUCT].add(request.product_pk)
    products = apps.get_model(PRODUCT)._default_manager.filter(target=subject.pk)  # noqa: SLF001
    for row in products if everything else products.filter(pk__in=wanted[PRODUCT]):
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


def _visible(subject: Subject, groups: Sequence[str]) -> set[Going]:
    visible: set[Going] = set()
    by_label: dict[str, list[Any]] = {PRODUCT: list(subject.products.values())}
    for (label, _pk), row in subject.datums.items():
        by_label.setdefault(label, []).append(row)
    for label, rows in by_label.items():
        visible |= {(label, pk) for pk in groups_may_view(rows, groups)}
    return visible
