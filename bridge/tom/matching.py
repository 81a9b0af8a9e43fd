"""Finding the target at a TOM that an event is about.

Two names are the same if TOM Toolkit takes them for the same. How a TOM is asked, and what is believed for how long:

- **A match** is believed for 30 seconds without a question, for datums; then its target is asked for by primary key, and all
  names anew after five minutes. So a target that was renamed at the TOM may get datums under its old name for 30 seconds, and
  a second target that has come to match is noticed after five minutes, or with the next index. A target that is gone, merged
  into another or out of sight is noticed at once: the TOM refuses the write, the match is forgotten and looked for again
  (`bridge.consumer.destination`). A TOM gives out no primary key twice.
- **All names** are asked for one by one with ``name_fuzzy``, for which the TOM goes through all its targets; where that takes
  long, in an index of all names (`bridge.tom.index`). Each hit is confirmed by primary key, since ``name_fuzzy`` can name
  targets that the account may not see, and an index may be old.
- **An absence** is never remembered. For data it is believed if ``name_fuzzy`` says so for every name; or if the index says so,
  has all targets of the last second, and ``name`` finds none that is spelled alike (`bridge.tom.spelling`). What that can miss,
  for as long as an index is believed, is a target that was renamed or got an alias, in a spelling that nobody would expect.
  In either case the account has to prove that it is still logged in.
- **Before a target is created**, it is asked for with ``name_fuzzy``, and under the right to write.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.errors import Away, Rejected, Retryable
from bridge.events import TargetIdentity, simplify_name
from bridge.tom.index import NameIndex
from bridge.tom.matches import Match, Matches
from bridge.tom.names import names_of
from bridge.tom.session import TomSession
from bridge.tom.spelling import filters, telling_parts
from bridge.translate.sky import DEFAULT_EPOCH, position_at, separation_arcsec
from bridge.translate.targets import KnownTarget, known_target, too_long
from bridge.verdict import judge

__all__ = ["Matcher", "mismatch"]

COMPLETE_SECONDS = 60.0
"""How long ago the index must have had all targets where something is found in it."""
FRESH_SECONDS = 1.0
"""The same where nothing is. An event could as well have come a second earlier; as long as that it waits in line."""
MOST_ALIKE = 100
"""So many targets that are spelled alike are looked at; a row costs the TOM 1 ms."""


class Matcher:
    """Matches targets by name and alias at one TOM; safe to use from many threads.

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
        self._index = NameIndex(session, clock=clock)
        self._matches = Matches(clock=clock)

    def find(self, target: TargetIdentity, *, confirmed: bool = False, certain: bool = False) -> KnownTarget | None:
        """Return the one target at the TOM that has a name or alias in common, or None if there is none.

        Parameters
        ----------
        target
            What an event says of it.
        confirmed
            Whether what is returned has to be as the TOM shows it now.
        certain
            Whether it is created if there is none: the TOM itself has to say so then.

        Raises
        ------
        Rejected
            ``ambiguous_target`` if there are several, ``target_mismatch`` if the one is something else.
        """
        names = _simple(target)
        if not names:
            return None  # the TOM can't be asked for any of them
        known = None if confirmed or certain else self._matches.believed(names)
        if known is None or mismatch(target, known.identity, self._max_separation) is not None:
            known = self._recall(names)
        if known is None:
            known = self._look_up(target, names, certain=certain)
        if known is None:
            return None
        problem = mismatch(target, known.identity, self._max_separation)
        if problem is not None:
            raise Rejected("target_mismatch", f"target {known.id} there has the name, but {problem}", [known.candidate])
        return known

    def forget(self, target: TargetIdentity) -> None:
        """Forget a match, because the TOM says that it is no longer true."""
        self._matches.forget(_simple(target))

    def note(self, target: TargetIdentity, target_id: int, *, created: bool) -> None:
        """Note that we have created a target, or given it the names of an event."""
        names = _simple(target)
        self._index.add(target_id, names)
        self._matches.forget(names)
        primary = names & {simplify_name(target.name.strip())}
        if created and primary:
            self._matches.remember(names, Match(target_id, self._clock(), primary))

    def by_exact_name(self, name: str) -> KnownTarget | None:
        """Return the visible target of exactly that name, or None. A name is unique at a TOM."""
        rows = self._session.get_ok("api/targets/", {"name": name, "limit": 1_000_000})["results"]
        return next((known_target(row) for row in rows if row["name"] == name.strip()), None)

    def _recall(self, names: frozenset[str]) -> KnownTarget | None:
        """Return the target of a match that is remembered, if that is still true."""
        match, now = self._matches.remembered(names), self._clock()
        if match is None:
            return None
        known = self._confirm(match.target_id)
        if known is None or not match.names <= _simple(known.identity):
            self._matches.forget(names)
            return None
        self._matches.saw(names, known, at=now)
        return known

    def _look_up(self, target: TargetIdentity, names: frozenset[str], *, certain: bool) -> KnownTarget | None:
        """Ask for all names, and remember a match."""
        now = self._clock()
        found = self._ask(target, names, certain=certain)
        if not found and not self._session.prove():
            found = self._ask(target, names, certain=certain)
        known = _only_one(target, found)
        if known is not None:
            self._matches.remember(names, Match(known.id, now, names & _simple(known.identity)))
            self._matches.saw(names, known, at=now)
        return known

    def _ask(self, target: TargetIdentity, names: frozenset[str], *, certain: bool) -> dict[int, KnownTarget]:
        """Ask for all names, in the cheapest way that is good enough."""
        if self._index.consult(may_read=not certain):
            found = self._by_index(target, names, certain=certain)
            if found or (found is not None and not certain):
                return found
        return self._by_fuzzy_names(target)

    def _by_index(self, target: TargetIdentity, names: frozenset[str], *, certain: bool) -> dict[int, KnownTarget] | None:
        """Return what the index finds, confirmed; None: it can't tell."""
        if not self._index.is_complete(within_seconds=COMPLETE_SECONDS):
            return None
        found = self._confirm_all(names)
        if found and not certain:
            return found
        if not self._index.is_complete(within_seconds=FRESH_SECONDS):
            return None
        alike = self._spelled_alike(target, names)
        return None if alike is None else self._confirm_all(names) | alike

    def _confirm_all(self, names: frozenset[str]) -> dict[int, KnownTarget]:
        """Return those targets of the index that do have one of the names."""
        found: dict[int, KnownTarget] = {}
        for target_id in sorted(self._index.owners(names)):
            known = self._confirm(target_id)
            if known is None and self._session.prove():
                self._index.drop(target_id)
            elif known is not None and names & _simple(known.identity):
                found[target_id] = known
        return found

    def _spelled_alike(self, target: TargetIdentity, names: frozenset[str]) -> dict[int, KnownTarget] | None:
        """Return the targets that the filter ``name`` finds; None: there are too many that are spelled alike."""
        rows = self._named(part for name in _askable(target).values() for part in telling_parts(name))
        if rows is None:
            rows = self._named(_askable(target).values())
        if rows is None:
            return None
        found = {row["id"]: known_target(row) for row in rows if names & names_of(row)}
        for known in found.values():
            self._index.add(known.id, _simple(known.identity))
        return found

    def _named(self, parts: Iterable[str]) -> list[Mapping[str, Any]] | None:
        """Return all targets with one of these parts in a name; None: there are too many, or the TOM fails on it."""
        rows: list[Mapping[str, Any]] = []
        for value in filters(parts):
            answer = self._session.get("api/targets/", {"name": value, "limit": MOST_ALIKE})
            if not answer.ok:
                problem = judge(answer)
                if isinstance(problem, Away) or not isinstance(problem, Retryable | Rejected):
                    raise problem
                return None
            if answer.body.get("count") != len(answer.body["results"]):
                return None
            rows += answer.body["results"]
        return rows

    def _by_fuzzy_names(self, target: TargetIdentity) -> dict[int, KnownTarget]:
        """Ask for each name as TOM Toolkit itself compares names."""
        found: dict[int, KnownTarget] = {}
        for simple, name in _askable(target).items():
            answer = self._session.get_answer("api/targets/", {"name_fuzzy": name, "limit": 1_000})
            self._index.timed(answer.seconds)
            for row in answer.body["results"]:
                known = found.get(row["id"]) or self._confirm(row["id"])
                if known is not None and simple in _simple(known.identity):
                    found[known.id] = known
        return found

    def _confirm(self, target_id: int) -> KnownTarget | None:
        answer = self._session.get(f"api/targets/{target_id}/")
        if answer.status == 404:
            return None
        if not answer.ok:
            raise judge(answer)
        return known_target(answer.body)


def mismatch(one: TargetIdentity, other: TargetIdentity, max_separation_arcsec: float) -> str | None:
    """Return why two targets of one name are not the same, or None. Absent coordinates speak for nothing."""
    if one.type != other.type and not one.is_name_alone:
        return f"is {other.type} there and {one.type} in the event"
    epoch = other.epoch if other.epoch is not None else DEFAULT_EPOCH
    here, there = position_at(one, epoch), position_at(other, epoch)
    if one.type != "SIDEREAL" or here is None or there is None:
        return None
    apart = separation_arcsec(*here, *there)
    if apart > max_separation_arcsec:
        return f"is {apart:,.0f} arcsec away on the sky (at most {max_separation_arcsec:g} are the same target)"
    return None


def _only_one(target: TargetIdentity, found: Mapping[int, KnownTarget]) -> KnownTarget | None:
    if len(found) > 1:
        matches = "; ".join(
            f"{known.id} {known.identity.name!r} has {[name for name in target.names if simplify_name(name.strip()) in has]}"
            for known in found.values()
            if (has := _simple(known.identity))
        )
        raise Rejected(
            "ambiguous_target",
            f"{len(found)} targets there match: {matches}",
            [known.candidate for known in found.values()],
        )
    return next(iter(found.values()), None)


def _askable(target: TargetIdentity) -> dict[str, str]:
    """Return the names that a TOM can be asked for, as they are compared and as they are spelled.

    "-" would match "--", and a name of 10,000 characters is no address.
    """
    names: dict[str, str] = {}
    for name in target.names:
        simple = simplify_name(name.strip())
        if simple and not too_long(name):
            names.setdefault(simple, name.strip())
    return names


def _simple(target: TargetIdentity) -> frozenset[str]:
    """Return these names as they are compared."""
    return frozenset(_askable(target))
