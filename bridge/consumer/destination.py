"""One destination TOM, as the pipeline sees it: an admitted event goes in, an outcome comes out."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from bridge import blobs
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.errors import Rejected, Retryable
from bridge.events import (
    DataProductShared,
    ReducedDatumsShared,
    ShareEvent,
    Target,
    TargetShared,
)
from bridge.settings import ConsumerSettings
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
FETCH_TRIES = 3
"""How often a file that lies elsewhere is asked for."""

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


@dataclass(frozen=True, slots=True)
class Destination:
    """Writes admitted events into one TOM.

    Parameters
    ----------
    settings
        What the consumer may do.
    matcher, targets, data
        The TOM's doors.
    dry_run
        Whether nothing is written, and outcomes say what would be.
    refused_targets
        Keys of targets whose event was refused.
    new_targets
        Counts the targets that each source made.
    planned_targets
        In a dry run, keys of the targets that would have been created.
    fetch_tries
        How often a file that lies elsewhere could not be fetched, by its SHA-256.
    """

    settings: ConsumerSettings
    matcher: Matcher
    targets: TargetWriter
    data: DataWriter
    dry_run: bool
    refused_targets: "OrderedDict[str, None]"
    new_targets: "NewTargets"
    planned_targets: set[str] = field(default_factory=set)
    fetch_tries: dict[str, int] = field(default_factory=dict)

    @classmethod
    def build(cls, session: TomSession, settings: ConsumerSettings, *, dry_run: bool = False) -> "Destination":
        """Build a destination and everything it needs around a session."""
        matcher = Matcher(session, max_separation_arcsec=settings.max_separation_arcsec)
        targets = TargetWriter(
            session=session,
            matcher=matcher,
            lists=TargetLists(session),
            permissions=settings.permissions,
            groups=settings.groups,
            imported_list=settings.imported_list,
            imported_list_for_all=settings.imported_list_for == "all",
            accept_lists="target_lists" in settings.accept,
        )
        data = DataWriter(session=session, original_source=settings.source_name == "original")
        limit = NewTargets(settings.max_new_targets_per_hour)
        return cls(settings, matcher, targets, data, dry_run, OrderedDict(), limit)

    def write(self, event: ShareEvent, *, only: Collection[int] | None = None) -> Outcome:
        """Write an event.

        Parameters
        ----------
        event
            Admitted.
        only
            Numbers of the reduced datums that are to be written; all, if it is None.

        Raises
        ------
        Retryable, Halt
            If the TOM is away, or must not be written to any more. What the TOM refuses is an outcome.
        """
        body = event.body
        try:
            if isinstance(body, TargetShared):
                return self._write_target(event, body)
            if isinstance(body, ReducedDatumsShared | DataProductShared):
                return self._write_data(event, body, only)
        except Rejected as error:
            if isinstance(body, TargetShared):
                self._remember_refused(body.partition_key)
            return refused(error.reason, error.detail, error.candidates)
        raise AssertionError(f"{event.type} was admitted, but nothing writes it")

    def _write_target(self, event: ShareEvent, body: TargetShared) -> Outcome:
        known = self.matcher.find(body.target)
        if self.dry_run:
            if known is None:
                self.planned_targets.add(body.partition_key)
            what = f"add to target {known.id} {known.identity.name!r}" if known else f"create target {body.target.name!r}"
            return Outcome(end="would_write", detail=what)
        if known is None:
            self.new_targets.allow(body.tom.url)
        written = self.targets.write(body, known, event_time=event.time)
        if written.created:
            self.new_targets.add(body.tom.url)
        self.refused_targets.pop(body.partition_key, None)
        if written.changed:
            self.matcher.forget(body.target)
        return Outcome.of(written)

    def _write_data(self, event: ShareEvent, body: DatumBody, only: Collection[int] | None) -> Outcome:
        known = self.matcher.find(body.target)
        made: Written | None = None
        if known is None and body.partition_key not in self.planned_targets:
            if body.partition_key in self.refused_targets:
                return refused("target_refused", "its target was refused just before; replay both once that is solved")
            if self.settings.unmatched == "skip":
                return skipped("unmatched", f"no target {body.target.name!r} there")
            if self.settings.unmatched == "hold":
                return refused("unmatched", f"no target {body.target.name!r} there yet; replay it once there is one")
            if not self.dry_run:
                made = self._create_from_identity(event, body)
                known = self.matcher.find(body.target)
        if self.dry_run or known is None:
            where = f"target {known.id} {known.identity.name!r}" if known else f"new target {body.target.name!r}"
            what = f"{len(body.datums)} datums" if isinstance(body, ReducedDatumsShared) else f"product {body.product.name!r}"
            return Outcome(end="would_write", detail=f"{what} into {where}")
        self.targets.set_zeros(body.target, known)
        written = self._write_into(body, known, only)
        if made is not None:
            written.failures += made.failures
            written.notes += made.notes
        return Outcome.of(written)

    def _write_into(self, body: DatumBody, known: KnownTarget, only: Collection[int] | None) -> Written:
        if isinstance(body, ReducedDatumsShared):
            return self.data.write_datums(body.datums, shared=body, known=known, only=only)

        def fetch() -> bytes:
            allowed, most_bytes = self.settings.fetch_from, self.settings.max_product_bytes
            try:
                return blobs.fetch(body.product, allowed=allowed, most_bytes=most_bytes)
            except Retryable as error:
                # Where the file lies is not the destination: its being away must not hold up everybody's events.
                tries = self.fetch_tries[body.product.sha256] = self.fetch_tries.get(body.product.sha256, 0) + 1
                if tries < FETCH_TRIES:
                    raise
                raise Rejected("file_unavailable", f"{error.detail}, {tries} times; replay it later") from error

        return self.data.write_product(body, fetch, known=known)

    def _create_from_identity(self, event: ShareEvent, body: DatumBody) -> Written:
        target = Target.model_validate(body.target.model_dump())
        self.new_targets.allow(body.tom.url)
        as_shared = TargetShared(tom=body.tom, hops=body.hops, submitter=body.submitter, target=target)
        made = self.targets.write(as_shared, None, event_time=event.time)
        self.new_targets.add(body.tom.url)
        return made

    def _remember_refused(self, key: str) -> None:
        self.refused_targets[key] = None
        while len(self.refused_targets) > REFUSED_TARGETS:
            self.refused_targets.popitem(last=False)
