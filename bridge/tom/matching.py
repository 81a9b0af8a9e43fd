"""Finding the target at a TOM that an event is about.

Every name and alias is asked for by itself with ``name_fuzzy``, which is equality after TOM Toolkit's own normalisation, and
compared again on our side. Each hit is confirmed by its primary key, since that search can name targets that the account may
not see. A hit is remembered for a while and then needs one request; an absence is never remembered, and believed only after
the account has proven that it is still logged in.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bridge.errors import Rejected
from bridge.events import TargetIdentity, simplify_name
from bridge.tom.session import TomSession
from bridge.translate.sky import DEFAULT_EPOCH, position_at, separation_arcsec
from bridge.translate.targets import KnownTarget, known_target
from bridge.verdict import judge

__all__ = ["Matcher", "mismatch"]

REMEMBER_SECONDS = 300.0
"""How long a match is believed without asking for all names again."""
REMEMBER_TARGETS = 10_000
"""How many matches are remembered."""


@dataclass(frozen=True, slots=True)
class _Match:
    """A match that is remembered: which target, since when, and which of the names it had."""

    target_id: int
    since: float
    names: frozenset[str]


class Matcher:
    """Matches targets by name and alias at one TOM.

    Parameters
    ----------
    session
        The TOM.
    max_separation_arcsec
        Targets of one name that are farther apart are not the same.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, session: TomSession, *, max_separation_arcsec: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._max_separation = max_separation_arcsec
        self._clock = clock
        self._remembered: OrderedDict[frozenset[str], _Match] = OrderedDict()

    def find(self, target: TargetIdentity) -> KnownTarget | None:
        """Return the one target at the TOM that has a name or alias in common, or None if there is none.

        Raises
        ------
        Rejected
            ``ambiguous_target`` if there are several, ``target_mismatch`` if the one is something else.
        """
        names = frozenset(simplify_name(name) for name in target.names)
        known = self._recall(names)
        if known is None:
            found = self._look_up(target)
            if not found and not self._session.prove():
                found = self._look_up(target)
            known = _only_one(target, found)
            if known is None:
                return None
            self._remember(names, known)
        problem = mismatch(target, known.identity, self._max_separation)
        if problem is not None:
            raise Rejected("target_mismatch", f"target {known.id} there has the name, but {problem}", [known.candidate])
        return known

    def forget(self, target: TargetIdentity) -> None:
        """Forget a match, because the TOM says that it is no longer true."""
        self._remembered.pop(frozenset(simplify_name(name) for name in target.names), None)

    def by_exact_name(self, name: str) -> KnownTarget | None:
        """Return the visible target of exactly that name, or None. A name is unique at a TOM."""
        rows = self._session.get_ok("api/targets/", {"name": name, "limit": 1_000_000})["results"]
        return next((known_target(row) for row in rows if row["name"] == name.strip()), None)

    def _look_up(self, target: TargetIdentity) -> dict[int, KnownTarget]:
        found: dict[int, KnownTarget] = {}
        for name in target.names:
            if not simplify_name(name.strip()):
                continue  # "-" would match "--", and an empty filter is no filter
            rows = self._session.get_ok("api/targets/", {"name_fuzzy": name, "limit": 1_000})["results"]
            for row in rows:
                known = found.get(row["id"]) or self._confirm(row["id"])
                if known is not None and _has_name(known, name):
                    found[known.id] = known
        return found

    def _confirm(self, target_id: int) -> KnownTarget | None:
        answer = self._session.get(f"api/targets/{target_id}/")
        if answer.status == 404:
            return None
        if not answer.ok:
            raise judge(answer)
        return known_target(answer.body)

    def _recall(self, names: frozenset[str]) -> KnownTarget | None:
        match = self._remembered.get(names)
        if match is None or self._clock() - match.since > REMEMBER_SECONDS:
            return None
        known = self._confirm(match.target_id)
        if known is not None and match.names <= _simple_names(known):
            return known
        del self._remembered[names]
        return None

    def _remember(self, names: frozenset[str], known: KnownTarget) -> None:
        self._remembered[names] = _Match(known.id, self._clock(), names & _simple_names(known))
        self._remembered.move_to_end(names)
        while len(self._remembered) > REMEMBER_TARGETS:
            self._remembered.popitem(last=False)


def mismatch(one: TargetIdentity, other: TargetIdentity, max_separation_arcsec: float) -> str | None:
    """Return why two targets of one name are not the same, or None. Absent coordinates speak for nothing."""
    if one.type != other.type:
        return f"is {other.type} there and {one.type} in the event"
    epoch = other.epoch if other.epoch is not None else DEFAULT_EPOCH
    here, there = position_at(one, epoch), position_at(other, epoch)
    if one.type != "SIDEREAL" or here is None or there is None:
        return None
    apart = separation_arcsec(*here, *there)
    if apart > max_separation_arcsec:
        return f"is {apart:,.0f} arcsec away on the sky (at most {max_separation_arcsec:g} are the same target)"
    return None


def _only_one(target: TargetIdentity, found: dict[int, KnownTarget]) -> KnownTarget | None:
    if len(found) > 1:
        matches = "; ".join(
            f"{known.id} {known.identity.name!r} has {[n for n in target.names if _has_name(known, n)]}"
            for known in found.values()
        )
        raise Rejected(
            "ambiguous_target",
            f"{len(found)} targets there match: {matches}",
            [known.candidate for known in found.values()],
        )
    return next(iter(found.values()), None)


def _simple_names(known: KnownTarget) -> frozenset[str]:
    return frozenset(simplify_name(name) for name in known.names)


def _has_name(known: KnownTarget, name: str) -> bool:
    simple = simplify_name(name.strip())
    return bool(simple) and simple in {simplify_name(other) for other in known.names}
