"""Consent: to which streams a target's changes go by themselves, and on whose word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from guardian.shortcuts import get_objects_for_group

from bridge.emitter.configuration import Configuration, Stream
from bridge.emitter.tables import targets

__all__ = ["Consent", "consents", "groups_may_view"]

PUBLIC_GROUP = "Public"
"""TOM Toolkit's group of all users; targets that are not private are open to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """That a target's changes may go to a destination.

    Parameters
    ----------
    stream, destination
        Where.
    submitter
        Who shares: the user of the ``PersistentShare``, or this TOM's administrator.
    authors
        For the events.
    share_pk
        Primary key of the ``PersistentShare``, if one it is.
    groups
        With ``EMIT = "all"``: the groups whose data it covers.
    """

    stream: Stream
    destination: str
    submitter: str
    authors: str
    share_pk: int | None = None
    groups: tuple[str, ...] = ()


def consents(target_pks: Iterable[int], configuration: Configuration) -> Mapping[int, list[Consent]]:
    """Return every consent there is for some targets, each destination once: a user's word before the administrator's."""
    pks = list(target_pks)
    found: dict[int, dict[str, Consent]] = defaultdict(dict)
    shares = apps.get_model("tom_targets", "PersistentShare")
    for share in shares._default_manager.filter(target__in=pks).select_related("user").order_by("pk"):  # noqa: SLF001
        stream = configuration.stream_of(share.destination)
        if stream is not None and stream.entry.EMIT != "manual":
            found[share.target_id][share.destination] = Consent(
                stream=stream,
                destination=share.destination,
                submitter=share.user.username if share.user else "",
                authors=stream.entry.DEFAULT_AUTHORS,
                share_pk=share.pk,
            )
    for stream in configuration.streams.values():
        if stream.entry.EMIT == "all":
            for pk in _covered(pks, stream.entry.EMIT_GROUPS):
                for topic in stream.entry.USER_TOPICS:
                    destination = stream.destination(topic)
                    found[pk].setdefault(
                        destination,
                        Consent(
                            stream=stream,
                            destination=destination,
                            submitter=f"the administrator of {stream.tom.name}",
                            authors=stream.entry.DEFAULT_AUTHORS,
                            groups=tuple(stream.entry.EMIT_GROUPS),
                        ),
                    )
    return {pk: list(by_destination.values()) for pk, by_destination in found.items()}


def groups_may_view(rows: Iterable[Any], groups: Iterable[str]) -> set[int]:
    """Return the primary keys of the data products or datums, all of one model, that any of these groups may view.

    With TOM Toolkit's default ``TARGET_PERMISSIONS_ONLY``, who may see a target may see its data.
    """
    listed = list(rows)
    pks = {row.pk for row in listed}
    if settings.TARGET_PERMISSIONS_ONLY or not listed:
        return pks
    model = type(listed[0])
    permission = f"{model._meta.app_label}.view_{model._meta.model_name}"  # noqa: SLF001
    return _visible(model._default_manager.filter(pk__in=pks), permission, groups)  # noqa: SLF001


def _covered(pks: list[int], groups: Iterable[str]) -> set[int]:
    model = targets()
    rows = model._default_manager.filter(pk__in=pks)  # noqa: SLF001
    covered = _visible(rows, f"{model._meta.app_label}.view_target", groups)  # noqa: SLF001
    if PUBLIC_GROUP in groups:
        covered |= set(rows.exclude(permissions="PRIVATE").values_list("pk", flat=True))
    return covered


def _visible(rows: Any, permission: str, names: Iterable[str]) -> set[int]:
    visible: set[int] = set()
    for group in apps.get_model("auth", "Group")._default_manager.filter(name__in=list(names)):  # noqa: SLF001
        visible |= set(get_objects_for_group(group, permission, rows).values_list("pk", flat=True))
    return visible
