"""Sealing: a target that has come to rest becomes events in the outbox, whose bytes never change again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Max, Min
from django.db.models.functions import Now
from django.utils import timezone

from bridge.codecs import native
from bridge.emitter.configuration import Configuration
from bridge.emitter.models import Change, OutboxEvent, SealedTarget, ShareRequest
from bridge.emitter.packing import Packed, pack
from bridge.emitter.subjects import Subject, read_changes, read_subjects
from bridge.emitter.tables import PRODUCT
from bridge.errors import Rejected
from bridge.events import ShareBody

__all__ = ["Sealer"]

TARGETS_AT_ONCE = 50
"""So many targets are read in one snapshot."""
DELETED_AT_ONCE = 1_000

_log = logging.getLogger(__name__)


class Sealer:
    """Seals what has come to rest. Only the holder of the relay's lock may use it.

    Parameters
    ----------
    configuration
        The TOM's streams.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def seal(self) -> int:
        """Seal a number of targets that have come to rest; return how many changes and requests that took care of."""
        pks = self._due()
        return self._seal(pks) if pks else 0

    def waiting(self) -> int:
        """Return how many targets wait, at rest or not."""
        changed = set(Change.objects.filter(problem="").values_list("target_pk", flat=True).distinct())
        return len(changed | set(ShareRequest.objects.filter(problem="").values_list("target_pk", flat=True)))

    def _due(self) -> list[int]:
        quiet = timedelta(seconds=self._configuration.emitter.QUIET_SECONDS)
        longest = timedelta(seconds=self._configuration.emitter.LONGEST_WAIT_SECONDS)
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
        products = apps.get_model(PRODUCT)._default_manager  # noqa: SLF001  Django's documented model API
        noted = dict(Change.objects.filter(model=PRODUCT, problem="").values_list("row_pk", "target_pk"))
        processed = list(getattr(settings, "DATA_PROCESSORS", {}))
        waiting = products.filter(pk__in=noted, data_product_type__in=processed).values_list("pk", flat=True)
        done = Change.objects.filter(product_pk__in=noted).values_list("product_pk", flat=True).distinct()
        return {noted[pk] for pk in {*waiting} - {*done}}

    def _seal(self, pks: Sequence[int]) -> int:
        try:
            subjects = read_subjects(pks, self._configuration)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            if len(pks) > 1:  # one of them can't be read; the others can
                return sum(self._seal([pk]) for pk in pks)
            subjects, unreadable = [read_changes(pks[0])], _fault(pks[0], error)
        else:
            unreadable = ""
        return sum(self._seal_one(subject, unreadable) for subject in subjects)

    def _seal_one(self, subject: Subject, problem: str) -> int:
        packed, events = Packed(), list[OutboxEvent]()
        try:
            if not problem:
                packed = pack(subject, self._configuration)
                events = _outbox_events(packed.bodies, subject.pk, timezone.now())
        except Rejected as error:
            packed, problem = Packed(), error.detail
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours must not hold up every other target
            packed, problem = Packed(), _fault(subject.pk, error)
        with transaction.atomic():  # short: on SQLite, nobody else writes meanwhile
            _write(subject, packed, events, problem)
        return len(subject.changes) + len(subject.requests)


def _fault(target_pk: int, error: Exception) -> str:
    """Log what nobody has foreseen, and return what is said of it."""
    _log.error("target %s: internal error", target_pk, exc_info=error)
    return f"the bridge failed on it ({type(error).__name__}); please report the relay's log"


def _write(subject: Subject, packed: Packed, events: Sequence[OutboxEvent], target_problem: str) -> None:
    """Write events and digests, and remove what is done with; what is not gets its problem noted."""
    # First of all a write: on SQLite, a transaction that begins with a read can't be sure to write later.
    problems = {
        change.pk: target_problem or packed.problems.get((change.model, change.row_pk), "") for change in subject.changes
    }
    done = [pk for pk, problem in problems.items() if not problem]
    for number in range(0, len(done), DELETED_AT_ONCE):
        Change.objects.filter(pk__in=done[number : number + DELETED_AT_ONCE]).delete()
    for pk, problem in problems.items():
        if problem:
            Change.objects.filter(pk=pk).update(problem=problem)
    for request in subject.requests:
        problem = target_problem or packed.problems.get(("request", request.pk), "")
        if problem:
            ShareRequest.objects.filter(pk=request.pk).update(problem=problem)
        else:
            request.delete()
    for text in sorted({target_problem, *packed.problems.values()} - {""}):
        _log.error("target %s: not shared: %s", subject.pk, text)
    OutboxEvent.objects.bulk_create(events, batch_size=100)
    for destination, digest in packed.digests.items():
        SealedTarget.objects.update_or_create(target_pk=subject.pk, destination=destination, defaults={"digest": digest})


def _outbox_events(bodies: Sequence[tuple[str, ShareBody]], target_pk: int, now: datetime) -> list[OutboxEvent]:
    rows = []
    for destination, body in bodies:
        event = native.new_event(body, now=now)
        try:
            record = native.encode(event)
        except ValueError as error:
            raise Rejected("too_large", f"{body.TYPE} of {body.subject!r}: {error}") from error
        rows.append(
            OutboxEvent(
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
        )
    return rows
