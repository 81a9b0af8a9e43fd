"""Noting what somebody asked to share with a stream, after checking that they may."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from guardian.shortcuts import get_objects_for_user

from bridge.emitter.configuration import read_configuration
from bridge.emitter.models import ShareRequest
from bridge.emitter.tables import datum_models, targets
from bridge.errors import Rejected

__all__ = ["Words", "request_shares", "visible_targets"]

FEW = 1_000


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
        rows = _may_view(apps.get_model(label)._default_manager.filter(pk__in=pks), user)  # noqa: SLF001
        found = rows.values_list("pk", "target_id")
        if len(found) < len(set(pks)):
            raise Rejected("not_allowed", "some of the reduced datums do not exist, or you may not see them")
        by_target = defaultdict(list)
        for pk, target_pk in found.order_by("pk"):
            by_target[target_pk].append(pk)
        for target_pk, its_own in by_target.items():
            wanted.setdefault(target_pk, {})[label] = its_own
    if product_pk is not None:
        products = apps.get_model("tom_dataproducts.DataProduct")._default_manager.filter(pk=product_pk)  # noqa: SLF001
        product = _may_view(products, user).first()
        if product is None:
            raise Rejected("not_allowed", "the data product does not exist, or you may not see it")
        wanted.setdefault(product.target_id, {})
    if not wanted:
        raise Rejected("nothing_to_share", "nothing is selected")
    allowed = visible_targets(wanted, user)
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
    made = []
    for pk, its_datums in wanted.items():
        seen, products = its_datums, list[int]()
        if everything and _is_limited(user):
            seen, products = _visible_data(pk, user)
        its_all = everything and not _is_limited(user)
        made.append(
            ShareRequest(
                **common, target_pk=pk, tell_target=tell_target, everything=its_all, datums=seen, product_pk=product_pk
            )
        )
        made += [ShareRequest(**common, target_pk=pk, product_pk=product) for product in products]
    return ShareRequest.objects.bulk_create(made, batch_size=500)


def visible_targets(pks: Iterable[int], user: Any) -> set[int]:
    """Return those of some targets that exist and that a user may view; None as user: whose permissions do not count."""
    wanted, everybody = set(pks), targets()._default_manager.all()  # noqa: SLF001  Django's documented model API
    if user is not None:
        from tom_targets.permissions import targets_for_user  # noqa: PLC0415  not before Django is set up

        if not user.is_authenticated:
            return set()
        everybody = targets_for_user(user, everybody, "view_target")
    if len(wanted) <= FEW:  # a statement takes only so many values
        everybody = everybody.filter(pk__in=wanted)
    return wanted & set(everybody.values_list("pk", flat=True))


def _is_limited(user: Any) -> bool:
    """Whether datums and products have permissions of their own, which count for this user; targets are checked anyway."""
    return user is not None and not settings.TARGET_PERMISSIONS_ONLY and not user.is_superuser


def _may_view(rows: Any, user: Any) -> Any:
    if not _is_limited(user):
        return rows
    options = rows.model._meta  # noqa: SLF001
    return get_objects_for_user(user, f"{options.app_label}.view_{options.model_name}", rows)


def _visible_data(target_pk: int, user: Any) -> tuple[dict[str, list[int]], list[int]]:
    """Return the datums of a target that a user may view and that come with no product, and the products."""
    products = _may_view(apps.get_model("tom_dataproducts.DataProduct")._default_manager.filter(target=target_pk), user)  # noqa: SLF001
    product_pks = sorted(products.values_list("pk", flat=True))
    datums = {}
    for model in datum_models():
        rows = _may_view(model._default_manager.filter(target=target_pk), user).exclude(data_product__in=product_pks)  # noqa: SLF001
        datums[str(model._meta.label_lower)] = sorted(rows.values_list("pk", flat=True))  # noqa: SLF001
    return datums, product_pks
