"""Permissions: what a group or a user of this TOM may view, as TOM Toolkit has it.

Who may view a target sees the names of the lists that it is in, as on the target's own page. With TOM Toolkit's default
``TARGET_PERMISSIONS_ONLY`` they may view its data, too; without it, data products and datums have permissions of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from guardian.shortcuts import get_objects_for_group, get_objects_for_user

from bridge.emitter.tables import targets

__all__ = ["data_for_groups", "data_for_user", "has_limited_data", "targets_for_groups", "targets_for_user"]

PUBLIC_GROUP = "Public"
"""TOM Toolkit's group of all users; targets that are not private are open to it."""
FEW = 1_000
"""A statement takes only so many values."""


def targets_for_groups(pks: Iterable[int], groups: Iterable[str]) -> set[int]:
    """Return the primary keys of those of some targets that any of these groups may view."""
    model, names = targets(), list(groups)
    rows = model._default_manager.filter(pk__in=list(pks))  # noqa: SLF001  Django's documented model API
    visible = _for_groups(rows, f"{model._meta.app_label}.view_target", names)  # noqa: SLF001
    if PUBLIC_GROUP in names:
        visible |= set(rows.exclude(permissions="PRIVATE").values_list("pk", flat=True))
    return visible


def targets_for_user(pks: Iterable[int], user: Any) -> set[int]:
    """Return those of some targets that exist and that a user may view; None as user: whose permissions do not count."""
    wanted, visible = set(pks), targets()._default_manager.all()  # noqa: SLF001
    if user is not None:
        from tom_targets.permissions import targets_for_user as visible_to  # noqa: PLC0415  not before Django is set up

        if not user.is_authenticated:
            return set()
        visible = visible_to(user, visible, "view_target")
    if len(wanted) <= FEW:
        visible = visible.filter(pk__in=wanted)
    return wanted & set(visible.values_list("pk", flat=True))


def data_for_groups(rows: Iterable[Any], groups: Iterable[str]) -> set[int]:
    """Return the primary keys of the data products or datums, all of one model, that any of these groups may view."""
    listed = list(rows)
    pks = {row.pk for row in listed}
    if settings.TARGET_PERMISSIONS_ONLY or not listed:
        return pks
    model = type(listed[0])
    return _for_groups(model._default_manager.filter(pk__in=pks), _view(model), groups)  # noqa: SLF001


def data_for_user(rows: Any, user: Any) -> Any:
    """Return those of a query's data products or datums that a user may view; None as user: as with targets."""
    return get_objects_for_user(user, _view(rows.model), rows) if has_limited_data(user) else rows


def has_limited_data(user: Any) -> bool:
    """Whether datums and products have permissions of their own, which count for this user; targets have anyway."""
    return user is not None and not settings.TARGET_PERMISSIONS_ONLY and not user.is_superuser


def _view(model: Any) -> str:
    return f"{model._meta.app_label}.view_{model._meta.model_name}"  # noqa: SLF001


def _for_groups(rows: Any, permission: str, names: Iterable[str]) -> set[int]:
    visible: set[int] = set()
    for group in apps.get_model("auth", "Group")._default_manager.filter(name__in=list(names)):  # noqa: SLF001
        visible |= set(get_objects_for_group(group, permission, rows).values_list("pk", flat=True))
    return visible
