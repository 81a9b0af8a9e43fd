"""Consent: to which streams a target's changes go by themselves, and on whose word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.apps import apps

from bridge.emitter.configuration import Configuration, Stream
from bridge.emitter.permissions import targets_for_groups

__all__ = ["Consent", "consents"]


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
            for pk in targets_for_groups(pks, stream.entry.EMIT_GROUPS):
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
