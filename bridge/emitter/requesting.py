"""Noting what somebody asked to share with a stream, after checking that they may."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps

from bridge.emitter.configuration import read_configuration
from bridge.emitter.models import ShareRequest
from bridge.emitter.permissions import data_for_user, targets_for_user
from bridge.emitter.tables import PRODUCT, datum_models
from bridge.errors import Rejected

__all__ = ["Words", "request_shares"]

TARGETS_AT_ONCE = 500
DATUMS_AT_ONCE = 2_000
"""So many datums go by one request; the relay reads about that many at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What people say with a share."""

    submitter: str
    title: str = ""
    message: str = ""
    authors: str = ""


def request_shares(
    destination: str,
    target_pks: Iterable[int],
    *,
    words: Words,
    user: Any = None,
    lists: Sequence[str] = (),
    tell_target: bool = False,
    everything: bool = False,
    datums: Mapping[str, Collection[int]] | None = None,
    product_pk: int | None = None,
) -> list[ShareRequest]:
    """Note that targets and data are to be shared; the relay does it. All or nothing.

    Parameters
    ----------
    destination
        ``<key>:<topic>``.
    target_pks
        The targets.
    words
        Who shares, and what they say.
    user
        Whose permissions count; None: nobody's, the caller is trusted.
    lists
        Names of lists that the targets are to be in, beside those that they are in.
    tell_target
        Whether the targets themselves go, even if the stream has been told already; without it, only if it has not.
    everything
        Whether all datums and data products of the targets go, too.
    datums
        Datums that go: label of the model, in lower case -> primary keys; targets that they belong to are found.
    product_pk
        A data product that goes, with its target.

    Raises
    ------
    Misconfigured
        If this TOM's streams are wrong.
    Rejected
        If the destination is none, or the user may not see what is to be shared.
    """
    if read_configuration().stream_of(destination) is None:
        raise Rejected("no_such_stream", f"{destination} is no stream and topic in this TOM's DATA_SHARING")
    wanted: dict[int, dict[str, list[int]]] = {pk: {} for pk in target_pks}
    for label, pks in (datums or {}).items():
        rows = data_for_user(apps.get_model(label)._default_manager.filter(pk__in=pks), user)  # noqa: SLF001
        found = rows.values_list("pk", "target_id")
        if len(found) < len(set(pks)):
            raise Rejected("not_allowed", "some of the reduced datums do not exist, or you may not see them")
        by_target = defaultdict(list)
        for pk, target_pk in found.order_by("pk"):
            by_target[target_pk].append(pk)
        for target_pk, its_own in by_target.items():
            wanted.setdefault(target_pk, {})[label] = its_own
    if product_pk is not None:
        products = apps.get_model(PRODUCT)._default_manager.filter(pk=product_pk)  # noqa: SLF001
        product = data_for_user(products, user).first()
        if product is None:
            raise Rejected("not_allowed", "the data product does not exist, or you may not see it")
        wanted.setdefault(product.target_id, {})
    if not wanted:
        raise Rejected("nothing_to_share", "nothing is selected")
    allowed = targets_for_user(wanted, user)
    if len(allowed) < len(wanted):
        raise Rejected("not_allowed", "some of the targets do not exist, or you may not see them; log in as who may")
    for what, text, most in (
        ("title", words.title, 1_000),
        ("message", words.message, 20_000),
        ("authors", words.authors, 20_000),
    ):
        if len(text) > most:
            raise Rejected("text_too_long", f"the {what} has {len(text):,} characters; at most {most:,} go with an event")
    common = {
        "destination": destination,
        "lists": list(lists),
        "submitter": words.submitter,
        "title": words.title,
        "message": words.message,
        "authors": words.authors,
    }
    made = list[ShareRequest]()
    pks = list(wanted)
    for number in range(0, len(pks), TARGETS_AT_ONCE):
        some = pks[number : number + TARGETS_AT_ONCE]
        data = _all_data(some, user) if everything else {pk: [_Piece(wanted[pk], product_pk)] for pk in some}
        for pk in some:
            pieces = [part for piece in data[pk] for part in piece.parts()]
            made += [
                ShareRequest(
                    **common,
                    target_pk=pk,
                    tell_target=tell_target and piece is pieces[0],
                    datums=piece.datums,
                    product_pk=piece.product_pk,
                )
                for piece in pieces
            ]
    return ShareRequest.objects.bulk_create(made, batch_size=500)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Data of one target that is asked for together: label of the model -> primary keys, and a data product."""

    datums: Mapping[str, Sequence[int]] = field(default_factory=dict)
    product_pk: int | None = None

    def parts(self) -> list[_Piece]:
        """Return it in parts that are read at once; a product stays whole."""
        if self.product_pk is not None or not any(self.datums.values()):
            return [self]
        return [
            _Piece({label: pks[number : number + DATUMS_AT_ONCE]})
            for label, pks in self.datums.items()
            for number in range(0, len(pks), DATUMS_AT_ONCE)
        ]


def _all_data(target_pks: Sequence[int], user: Any) -> dict[int, list[_Piece]]:
    """Return all data of some targets that a user may view: what stands alone, then each product with what it made."""
    products = data_for_user(apps.get_model(PRODUCT)._default_manager.filter(target__in=target_pks), user)  # noqa: SLF001
    targets_of = dict(products.values_list("pk", "target_id").order_by("pk"))
    loose: dict[int, dict[str, list[int]]] = {pk: {} for pk in target_pks}
    made: dict[int, dict[str, list[int]]] = {pk: {} for pk in targets_of}
    for model in datum_models():
        label = str(model._meta.label_lower)  # noqa: SLF001
        rows = data_for_user(model._default_manager.filter(target__in=target_pks), user)  # noqa: SLF001
        for pk, target_pk, product in rows.order_by("pk").values_list("pk", "target_id", "data_product_id").iterator():
            belongs = made[product] if targets_of.get(product) == target_pk else loose[target_pk]
            belongs.setdefault(label, []).append(pk)
    data = {pk: [_Piece(datums)] for pk, datums in loose.items()}
    for product, target_pk in targets_of.items():
        data[target_pk].append(_Piece(made[product], product))
    return data
