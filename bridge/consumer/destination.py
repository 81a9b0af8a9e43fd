"""One destination TOM, as the pipeline sees it: an admitted event goes in, an outcome comes out."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable

from bridge import blobs
from bridge.consumer.hands import Hands
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.consumer.turns import Turns
from bridge.errors import BridgeError, Rejected, Retryable
from bridge.events import (
    DataProductShared,
    ReducedDatumsShared,
    ShareEvent,
    Target,
    TargetShared,
)
from bridge.settings import ConsumerSettings
from bridge.tom.backfill import BackfillWriter
from bridge.tom.data import DataWriter
from bridge.tom.lists import TargetLists
from bridge.tom.matching import Matcher
from bridge.tom.session import TomSession
from bridge.tom.targets import TargetWriter
from bridge.tom.written import Written
from bridge.translate.targets import KnownTarget

__all__ = ["Destination"]

REFUSED_TARGETS = 100_000
"""How many targets that were refused are remembered, so that their data is held and not skipped."""

HOUR_SECONDS = 3600.0

FETCH_TRIES = 8
"""How often a file that lies elsewhere is asked for, before the datums that came with it are written without it."""

DatumBody = ReducedDatumsShared | DataProductShared


class NewTargets:
    """How many targets each source TOM made here in the last hour, as far as this process did it.

    Parameters
    ----------
    most
        Per source and hour.
    clock
        Monotonic seconds.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._made: dict[str, deque[float]] = {}

    def allow(self, source: str) -> None:
        """Hold if the source has made as many as it may.

        Raises
        ------
        Retryable
            Saying how long to wait.
        """
        made = self._made.setdefault(source, deque())
        while made and made[0] <= self._clock() - HOUR_SECONDS:
            made.popleft()
        if len(made) >= self._most:
            raise Retryable(
                f"{source} has made {self._most} new targets within an hour; raise max_new_targets_per_hour if that is right",
                retry_after=made[0] + HOUR_SECONDS - self._clock(),
            )

    def add(self, source: str) -> None:
        """Count one that was made."""
        self._made.setdefault(source, deque()).append(self._clock())


class RefusedTargets:
    """Targets that were refused, so that their data is held and not skipped; safe to use from many threads.

    Parameters
    ----------
    keys
        Those that are known from before.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, None] = OrderedDict.fromkeys(keys)

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._keys

    def add(self, key: str) -> None:
        """Remember one."""
        with self._lock:
            self._keys[key] = None
            while len(self._keys) > REFUSED_TARGETS:
                self._keys.popitem(last=False)

    def remove(self, key: str) -> None:
        """Forget one, if it is there."""
        with self._lock:
            self._keys.pop(key, None)


class Destination:
    """Writes admitted events into one TOM; safe to use from many threads.

    Parameters
    ----------
    session
        The TOM.
    settings
        What the consumer may do.
    turns
        Who may write at which moment.
    hands
        Who help to write the datums of one event.
    refused_targets
        Keys of targets whose event was refused before.
    dry_run
        Whether nothing is written, and outcomes say what would be.
    """

    def __init__(
        self,
        session: TomSession,
        settings: ConsumerSettings,
        *,
        turns: Turns,
        hands: Hands,
        refused_targets: Iterable[str] = (),
        dry_run: bool = False,
    ) -> None:
        self._settings = settings
        self._turns = turns
        self._dry_run = dry_run
        self._matcher = Matcher(session, max_separation_arcsec=settings.max_separation_arcsec)
        self._targets = TargetWriter(
            session=session,
            matcher=self._matcher,
            lists=TargetLists(session),
            permissions=settings.permissions,
            groups=settings.groups,
            imported_list=settings.imported_list,
            imported_list_for_all=settings.imported_list_for == "all",
            accept_lists="target_lists" in settings.accept,
        )
        original = settings.source_name == "original"
        self._data = DataWriter(session=session, original_source=original, each=hands.each)
        files = BackfillWriter(session=session, one_by_one=self._data, original_source=original, each=hands.each)
        self._datums = files if settings.backfill == "products" else self._data
        self._new_targets = NewTargets(settings.max_new_targets_per_hour)
        self._refused = RefusedTargets(refused_targets)
        self._planned: set[str] = set()
        self._fetch_tries: dict[str, int] = {}

    def write(
        self, event: ShareEvent, *, only: Collection[int] | None = None, so_far: Callable[[int], Written] | None = None
    ) -> Outcome:
        """Write an event.

        Parameters
        ----------
        event
            Admitted.
        only
            Numbers of the reduced datums that are to be written; all, if it is None.
        so_far
            Given the target's primary key, returns what earlier attempts wrote into it, to be gone on with.

        Raises
        ------
        Retryable, Halt
            If the TOM is away, or must not be written to any more. What the TOM refuses is an outcome.
        Abandoned
            If the event is to be given up.
        """
        body = event.body
        try:
            if isinstance(body, TargetShared):
                return self._write_target(event, body)
            if isinstance(body, ReducedDatumsShared | DataProductShared):
                return self._write_data(event, body, only, so_far or (lambda target_id: Written(target_id=target_id)))
        except Rejected as error:
            if isinstance(body, TargetShared):
                self.note_refused(event)
            return refused(error.reason, error.detail, error.candidates)
        except BridgeError:
            raise
        except Exception:
            self.note_refused(event)
            raise
        raise AssertionError(f"{event.type} was admitted, but nothing writes it")

    def note_refused(self, event: ShareEvent) -> None:
        """Note that an event is going to be a dead letter: if it is a target, its data is held from now on."""
        if isinstance(event.body, TargetShared):
            self._refused.add(event.body.partition_key)

    def _write_target(self, event: ShareEvent, body: TargetShared) -> Outcome:
        if self._dry_run:
            known = self._matcher.find(body.target, confirmed=True)
            if known is None:
                self._planned.add(body.partition_key)
            what = f"add to target {known.id} {known.identity.name!r}" if known else f"create target {body.target.name!r}"
            return Outcome(end="would_write", detail=what)
        with self._turns.targets():
            written = self._create_or_add(event, body)
        self._refused.remove(body.partition_key)
        return Outcome.of(written)

    def _create_or_add(self, event: ShareEvent, body: TargetShared) -> Written:
        """Look for the target and write it, while nobody else does."""
        known = self._matcher.find(body.target, certain=True)
        if known is None:
            self._new_targets.allow(body.tom.url)
        written = self._targets.write(body, known, event_time=event.time)
        if written.created:
            self._new_targets.add(body.tom.url)
        if written.changed:
            self._matcher.note(body.target, written.target_id, created=written.created)
        return written

    def _write_data(
        self, event: ShareEvent, body: DatumBody, only: Collection[int] | None, so_far: Callable[[int], Written]
    ) -> Outcome:
        # A data product is looked for at the TOM by its target's name; for datums a match may be believed without a question.
        known = self._matcher.find(body.target, confirmed=isinstance(body, DataProductShared))
        try:
            return self._write_data_of(known, event, body, only, so_far)
        except Rejected as error:
            if known is None or error.reason != "target_not_changeable":
                raise
            other = self._matcher.find(body.target, confirmed=True)
            if other is not None and other.id == known.id:
                raise  # it is there: the account has no right to change it
        return self._write_data_of(other, event, body, only, so_far)

    def _write_data_of(
        self,
        known: KnownTarget | None,
        event: ShareEvent,
        body: DatumBody,
        only: Collection[int] | None,
        so_far: Callable[[int], Written],
    ) -> Outcome:
        """Write data into the target that was found for it, or do what is to be done if there is none."""
        made: Written | None = None
        if known is None and body.partition_key not in self._planned:
            if body.partition_key in self._refused:
                return refused("target_refused", "its target was refused just before; replay both once that is solved")
            if self._settings.unmatched == "skip":
                return skipped("unmatched", f"no target {body.target.name!r} there")
            if self._settings.unmatched == "hold":
                return refused("unmatched", f"no target {body.target.name!r} there yet; replay it once there is one")
            if not self._dry_run:
                made = self._create_from_identity(event, body)
                known = self._matcher.find(body.target)
                if known is None:
                    raise Rejected("invisible_target", f"target {made.target_id} was made there, and is out of sight")
        if self._dry_run or known is None:
            where = f"target {known.id} {known.identity.name!r}" if known else f"new target {body.target.name!r}"
            what = f"{len(body.datums)} datums" if isinstance(body, ReducedDatumsShared) else f"product {body.product.name!r}"
            return Outcome(end="would_write", detail=f"{what} into {where}")
        if self._targets.set_zeros(body.target, known):
            self._matcher.forget(body.target)
        written = self._write_into(body, known, only, so_far(known.id))
        if made is not None:
            written.failures += made.failures
            written.notes += made.notes
        return Outcome.of(written)

    def _write_into(self, body: DatumBody, known: KnownTarget, only: Collection[int] | None, written: Written) -> Written:
        if isinstance(body, ReducedDatumsShared):
            return self._datums.write_datums(body.datums, shared=body, known=known, only=only, written=written)

        def fetch() -> bytes:
            allowed, most_bytes = self._settings.fetch_from, self._settings.max_product_bytes
            tries = self._fetch_tries.pop(body.product.sha256, 0) + 1
            try:
                return blobs.fetch(body.product, allowed=allowed, most_bytes=most_bytes)
            except Retryable as error:
                if tries < FETCH_TRIES:
                    self._fetch_tries[body.product.sha256] = tries
                    raise
                raise Rejected("file_unavailable", f"{error.detail}, {tries} times; replay it later") from error

        return self._data.write_product(body, fetch, known=known)

    def _create_from_identity(self, event: ShareEvent, body: DatumBody) -> Written:
        target = Target.model_validate(body.target.model_dump())
        as_shared = TargetShared(tom=body.tom, hops=body.hops, submitter=body.submitter, target=target)
        with self._turns.targets():
            return self._create_or_add(event, as_shared)
