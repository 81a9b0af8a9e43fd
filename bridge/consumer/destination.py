"""One destination TOM, as the pipeline sees it: an admitted event goes in, an outcome comes out."""

from collections import OrderedDict
from dataclasses import dataclass

from bridge import blobs
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.errors import Rejected
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

DatumBody = ReducedDatumsShared | DataProductShared


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
    """

    settings: ConsumerSettings
    matcher: Matcher
    targets: TargetWriter
    data: DataWriter
    dry_run: bool
    refused_targets: "OrderedDict[str, None]"

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
        )
        data = DataWriter(session=session, original_source=settings.source_name == "original")
        return cls(settings, matcher, targets, data, dry_run, OrderedDict())

    def write(self, event: ShareEvent) -> Outcome:
        """Write an event.

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
                return self._write_data(event, body)
        except Rejected as error:
            if isinstance(body, TargetShared):
                self._remember_refused(body.partition_key)
            return refused(error.reason, error.detail, error.candidates)
        raise AssertionError(f"{event.type} was admitted, but nothing writes it")

    def _write_target(self, event: ShareEvent, body: TargetShared) -> Outcome:
        known = self.matcher.find(body.target)
        if self.dry_run:
            what = f"add to target {known.id} {known.identity.name!r}" if known else f"create target {body.target.name!r}"
            return Outcome(end="would_write", detail=what)
        written = self.targets.write(body, known, event_time=event.time)
        self.refused_targets.pop(body.partition_key, None)
        if written.changed:
            self.matcher.forget(body.target)
        return Outcome.of(written)

    def _write_data(self, event: ShareEvent, body: DatumBody) -> Outcome:
        known = self.matcher.find(body.target)
        if known is None:
            if body.partition_key in self.refused_targets:
                return refused("target_refused", "its target was refused just before; replay both once that is solved")
            if self.settings.unmatched == "skip":
                return skipped("unmatched", f"no target {body.target.name!r} there")
            if self.settings.unmatched == "hold":
                return refused("unmatched", f"no target {body.target.name!r} there yet; replay it once there is one")
            if not self.dry_run:
                known = self._create_from_identity(event, body)
        if self.dry_run or known is None:
            where = f"target {known.id} {known.identity.name!r}" if known else f"new target {body.target.name!r}"
            what = f"{len(body.datums)} datums" if isinstance(body, ReducedDatumsShared) else f"product {body.product.name!r}"
            return Outcome(end="would_write", detail=f"{what} into {where}")
        return Outcome.of(self._write_into(body, known))

    def _write_into(self, body: DatumBody, known: KnownTarget) -> Written:
        if isinstance(body, ReducedDatumsShared):
            return self.data.write_datums(body.datums, tom=body.tom, target=body.target, known=known)
        content = blobs.fetch(body.product, allowed=self.settings.fetch_from, most_bytes=self.settings.max_product_bytes)
        return self.data.write_product(body.product, content, tom=body.tom, target=body.target, known=known)

    def _create_from_identity(self, event: ShareEvent, body: DatumBody) -> KnownTarget | None:
        target = Target.model_validate(body.target.model_dump())
        as_shared = TargetShared(tom=body.tom, hops=body.hops, submitter=body.submitter, target=target)
        self.targets.write(as_shared, None, event_time=event.time)
        return self.matcher.find(body.target)

    def _remember_refused(self, key: str) -> None:
        self.refused_targets[key] = None
        while len(self.refused_targets) > REFUSED_TARGETS:
            self.refused_targets.popitem(last=False)
