"""Sealing: a target that has come to rest becomes events in the outbox, whose bytes never change again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Count, Max, Min
from django.utils import timezone

from bridge.codecs import native
from bridge.emitter.configuration import Configuration
from bridge.emitter.models import Change, OutboxEvent, SealedTarget, ShareRequest
from bridge.emitter.packing import Packed, pack
from bridge.emitter.snapshot import CHANGES_AT_ONCE, Subject, read_changes, read_subject
from bridge.emitter.tables import PRODUCT
from bridge.errors import Rejected
from bridge.events import ShareBody

__all__ = ["Sealer"]

TARGETS_AT_ONCE = 50
"""So many targets are sealed before anything else is done."""
DELETED_AT_ONCE = 1_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen of a target's changes: the last one and how many, when there were any first, and when the last came."""

    state: tuple[int, int]
    first: float
    last: float


class Sealer:
    """Seals what has come to rest. Only the holder of the relay's lock may use it.

    Parameters
    ----------
    configuration
        The TOM's streams.
    clock
        Seconds that only ever grow.
    """

    def __init__(self, configuration: Configuration, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._seen: dict[int, _Seen] = {}
        self._unfinished: set[int] = set()

    def seal(self) -> int:
        """Seal a number of targets that have come to rest; return how many changes and requests that took care of."""
        return sum(self._seal(pk) for pk in self._due())

    def waiting(self) -> int:
        """Return how many targets wait, at rest or not."""
        changed = set(Change.objects.filter(problem="").values_list("target_pk", flat=True).distinct())
        return len(changed | set(ShareRequest.objects.filter(problem="").values_list("target_pk", flat=True)))

    def _due(self) -> list[int]:
        """Return targets that have come to rest, or have waited for it long enough.

        Rest begins when the relay sees the last change, and not when that was made: it may have committed long after.
        """
        quiet, longest = self._configuration.emitter.QUIET_SECONDS, self._configuration.emitter.LONGEST_WAIT_SECONDS
        changed = Change.objects.filter(problem="").values("target_pk")
        noted = changed.annotate(order=Min("id"), last=Max("id"), count=Count("id")).order_by("order")
        due, restless, now = list[int](), self._in_process(), self._clock()
        before, self._seen = self._seen, {}
        for found in noted:
            pk, state = found["target_pk"], (found["last"], found["count"])
            known = before.get(pk) or _Seen(state, now, now)
            seen = known if known.state == state else _Seen(state, known.first, now)
            self._seen[pk] = seen
            rests = now - seen.last >= quiet and pk not in restless
            if rests or now - seen.first >= longest or pk in self._unfinished:
                due.append(pk)
            else:
                restless.add(pk)
        asked = ShareRequest.objects.filter(problem="").order_by("id").values_list("target_pk", flat=True)
        chosen = list(dict.fromkeys([pk for pk in asked if pk not in restless] + due))[:TARGETS_AT_ONCE]
        for pk in chosen:
            self._seen.pop(pk, None)
        return chosen

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

    def _seal(self, pk: int) -> int:
        try:
            subject, problem = read_subject(pk, self._configuration), ""
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  a row that Django can't read must not hold up every other target
            subject, problem = read_changes(pk), _fault(pk, error)
        if len(subject.changes) < CHANGES_AT_ONCE:
            self._unfinished.discard(pk)
        else:
            self._unfinished.add(pk)
        return self._seal_one(subject, problem)

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
    for text in sorted({*problems.values()} - {""}):
        pks = [pk for pk, problem in problems.items() if problem == text]
        for number in range(0, len(pks), DELETED_AT_ONCE):
            Change.objects.filter(pk__in=pks[number : number + DELETED_AT_ONCE]).update(problem=text)
    for request in subject.requests:
        problem = target_problem or _problem_of(request, packed)
        if problem:
            ShareRequest.objects.filter(pk=request.pk).update(problem=problem)
        else:
            request.delete()
    for text in sorted({target_problem, *packed.problems.values()} - {""}):
        _log.error("target %s: not shared: %s", subject.pk, text)
    OutboxEvent.objects.bulk_create(events, batch_size=100)
    for destination, digest in packed.digests.items():
        since = subject.consented_from.get(destination, -1)
        told = {"digest": digest, "consented_from": since}
        SealedTarget.objects.update_or_create(target_pk=subject.pk, destination=destination, defaults=told)
    for destination, since in subject.consented_from.items():
        if destination not in packed.digests:
            SealedTarget.objects.filter(target_pk=subject.pk, destination=destination).update(consented_from=since)


def _problem_of(request: ShareRequest, packed: Packed) -> str:
    """Return why a request, or some of what it asks for, did not go."""
    asked = {(label, pk) for label, pks in request.datums.items() for pk in pks} | {(PRODUCT, request.product_pk)}
    texts = [text for row, text in packed.problems.items() if row == ("request", request.pk) or row in asked]
    if not texts:
        return ""
    return texts[0] if len(texts) == 1 else f"{texts[0]}; and {len(texts) - 1:,} more"


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
