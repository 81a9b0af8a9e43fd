"""Writing targets at a TOM: creating, completing, adding names and lists. One request at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bridge.errors import BridgeError, Misconfigured, Rejected
from bridge.events import Target, TargetIdentity, TargetShared
from bridge.tom.lists import TargetLists
from bridge.tom.matching import Matcher
from bridge.tom.session import PROOF_SECONDS, TomSession
from bridge.tom.written import Failure, Written
from bridge.translate.dialect import dialect_of
from bridge.translate.targets import (
    MAX_NAME,
    Creation,
    KnownTarget,
    creation,
    imported_lists,
    missing_names,
    missing_numbers,
    refuse_long_lists,
    same_fields,
    too_long,
    zeros_to_set,
)
from bridge.verdict import Answer, judge, says_already_exists

__all__ = ["TargetWriter", "groups_of"]

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of two TOMs may differ when it is asked whether a target was created after an event."""


class TargetWriter:
    """Writes targets at one TOM.

    Parameters
    ----------
    session, matcher, lists
        The TOM.
    permissions
        Permissions of new targets.
    groups
        Names of the groups that see new targets.
    imported_list
        Template of the list for new targets, with ``{tom_name}``.
    imported_list_for_all
        Whether matched targets go into that list too.
    accept_lists
        Whether targets go into the lists that an event names.
    """

    def __init__(
        self,
        *,
        session: TomSession,
        matcher: Matcher,
        lists: TargetLists,
        permissions: str,
        groups: Sequence[str],
        imported_list: str,
        imported_list_for_all: bool,
        accept_lists: bool,
    ) -> None:
        self._session = session
        self._matcher = matcher
        self._lists = lists
        self._permissions = permissions
        self._groups = groups
        self._imported_list = imported_list
        self._imported_lists = imported_lists(imported_list)
        self._imported_list_for_all = imported_list_for_all
        self._accept_lists = accept_lists

    def write(self, event: TargetShared, known: KnownTarget | None, *, event_time: datetime) -> Written:
        """Create the target of an event, or add to the one that is there.

        Parameters
        ----------
        event
            The target, and the lists it is to be in.
        known
            What `Matcher.find` found for it.
        event_time
            When the event was made.

        Raises
        ------
        Rejected
            If the TOM refuses it; nothing is left half-made that could be completed.
        """
        if known is None:
            return self._create(event)
        unfinished = self._may_be_unfinished(event, known, event_time)
        return self._add(event, known, unfinished=unfinished, names=event.target.names)

    def set_zeros(self, target: TargetIdentity, known: KnownTarget) -> bool:
        """Set right the numbers that a crash left as placeholders; returns whether there were any."""
        zeros = zeros_to_set(target, known)
        if zeros:
            self._patch(known.id, zeros)
        return bool(zeros)

    def group_ids(self) -> list[dict[str, Any]]:
        """Return the groups that see new targets, as the API wants them.

        Raises
        ------
        Misconfigured
            If the account is not a member of one: the TOM would make a new group of that name.
        """
        if not self._groups:
            return []
        known = groups_of(self._session)
        missing = [name for name in self._groups if name not in known]
        if missing:
            raise Misconfigured(
                f"[consumers.{self._session.key}] groups: the account is in no group {', '.join(missing)} there; "
                f"ask the TOM's administrator to add it, or name one of: {', '.join(known) or 'none'}"
            )
        return [{"id": known[name], "name": name} for name in self._groups]

    def _create(self, event: TargetShared) -> Written:
        lists = self._all_lists(event, new=True)
        twice = self._lists.ambiguous(lists)
        dialect = dialect_of(self._session.dialect)
        request = creation(
            event.target,
            lists=[name for name in lists if name not in twice],
            permissions=self._permissions,
            groups=self.group_ids(),
            provenance=dialect.provenance(event),
            unstorable_extras=dialect.unstorable_extras(event.target),
        )
        if not self._session.prove(max_age_seconds=PROOF_SECONDS):
            # The login had ended, so what was looked up may have been a visitor's view.
            known = self._matcher.find(event.target, certain=True)
            if known is not None:
                return self._add(event, known, unfinished=False, names=event.target.names)
        written = self._send_creation(event, request)
        written.failures += [_twice(name) for name in twice]
        written.notes += request.left_out
        return written

    def _send_creation(self, event: TargetShared, request: Creation) -> Written:
        answer = self._session.post("api/targets/", request.body)
        if answer.status == 400 and (known := self._matcher.find(event.target, certain=True)) is not None:
            # Somebody else made it between our look and our request.
            return self._add(event, known, unfinished=False, names=event.target.names)
        for is_second_time in (False, True):
            if answer.status < 500:
                break
            if is_second_time:
                self._session.require_writing()  # a TOM that can write nothing is away, and no target is to blame
            known = self._matcher.by_exact_name(str(request.body["name"]))
            if known is not None:
                return self._finish(event, known)
            answer = self._session.post("api/targets/", request.body)
        if not answer.ok:
            raise self._creation_refused(answer, event.target)
        target_id = int(answer.body["id"])
        if request.zeros:
            self._patch(target_id, request.zeros)
        return Written(target_id=target_id, created=True, changed=True, written=1)

    def _finish(self, event: TargetShared, known: KnownTarget) -> Written:
        written = self._add(event, known, unfinished=True, names=event.target.names)
        written.created = True
        written.notes.append("the TOM failed in the middle of creating the target; it was completed")
        return written

    def _creation_refused(self, answer: Answer, target: Target) -> BridgeError:
        if answer.status == 400 and says_already_exists(answer.body, "name"):
            return Rejected(
                "invisible_target",
                f"a target named {target.name!r} exists there, but this account can't see it; "
                "the TOM's administrator has to give it 'Can view target' and 'Can change target'",
            )
        if answer.status == 400 and isinstance(answer.body, Mapping) and says_already_exists(_first(answer.body), "name"):
            return Rejected(
                "alias_taken",
                f"an alias of {target.name!r} belongs to a target there that this account can't see; "
                "the TOM's administrator has to give it 'Can view target' and 'Can change target'",
            )
        if answer.status == 400 and (missing := missing_numbers(target)):
            return Rejected(
                "incomplete_target",
                f"no target of its names is there, and the TOM makes none without {', '.join(missing)}; make it there",
            )
        return judge(answer)

    def _may_be_unfinished(self, event: TargetShared, known: KnownTarget, event_time: datetime) -> bool:
        """Whether a target may be what this event, consumed before, began to create and something interrupted.

        There is no store beside the TOM that would know. It has to be the event's target to the last digit, created
        after the event, no other source's, and one that a TOM makes. If so, completing what misses is what was wanted anyway.
        """
        created_after = known.created + CLOCK_SKEW >= event_time
        if not created_after or missing_numbers(event.target) or not same_fields(event.target, known):
            return False
        if self._session.dialect == 2:
            return not self._is_from_another(event, known)
        return known.shared_from == event.tom.name

    def _is_from_another(self, event: TargetShared, known: KnownTarget) -> bool:
        """Whether a target was imported from another TOM than the event's, which 2.x shows by its lists alone.

        A creation writes the list for new targets last. So one that another event began, and that was interrupted, is in no
        such list, and can't be told from this event's own.
        """
        own = self._imported_list_of(event)
        target = known.id, known.identity.name
        if not self._imported_list_for_all and self._lists.has(own, *target):
            return False
        return self._lists.any_has(self._imported_lists, *target, but={own, *self._all_lists(event, new=False)})

    def _add(self, event: TargetShared, known: KnownTarget, *, unfinished: bool, names: Sequence[str]) -> Written:
        written = Written(target_id=known.id, present=1)
        zeros = zeros_to_set(event.target, known)  # whoever left them: nobody but the bridge writes a placeholder
        if zeros:
            self._patch(known.id, zeros)
            written.changed = True
        wanted = self._all_lists(event, new=unfinished)
        refuse_long_lists(wanted)
        lists, twice = self._lists.sort_out(known.id, known.identity.name, wanted)
        written.failures += [_twice(name) for name in twice]
        dropped = dialect_of(self._session.dialect).unstorable_extras(event.target)
        extras = {
            key: value
            for key, value in event.target.extras.items()
            if unfinished and key not in known.extras and key not in dropped
        }
        written.notes += [f"extra {key!r}: a field of that name exists there" for key in dropped if unfinished]
        written.notes += [f"alias {name[:20]!r}...: longer than {MAX_NAME} characters" for name in names if too_long(name)]
        for body, item in _additions(missing_names(names, known), extras, lists):
            answer = self._session.patch(f"api/targets/{known.id}/", body)
            is_there = False
            if answer.status == 500:
                self._session.require_writing()  # else the addition is not to blame
                is_there = self._has(known, body)
                answer = answer if is_there else self._session.patch(f"api/targets/{known.id}/", body)
            if answer.ok or is_there:
                written.changed = True
                continue
            problem = judge(answer)
            if not isinstance(problem, Rejected):
                raise problem
            if answer.status == 404:
                raise _not_changeable(known.id)
            if answer.status == 400 and says_already_exists(_first(_mapping(answer.body)), "name"):
                problem = Rejected("alias_taken", f"the TOM refuses the {item}: it belongs to another target")
            written.failures.append(Failure(item, problem.reason, problem.detail))
        return written

    def _has(self, known: KnownTarget, addition: Mapping[str, Any]) -> bool:
        """Whether a target has what was to be added: a TOM may store it and then fail."""
        now = self._matcher.by_exact_name(known.identity.name)
        if now is None or now.id != known.id:
            return False
        names, keys, lists = (
            [each[field] for each in addition.get(of, ())]
            for of, field in (("aliases", "name"), ("targetextra_set", "key"), ("target_lists", "name"))
        )
        return (
            not missing_names(names, now)
            and all(key in now.extras for key in keys)
            and all(self._lists.has(name, now.id, now.identity.name) for name in lists)
        )

    def _patch(self, target_id: int, body: Mapping[str, Any]) -> None:
        answer = self._session.patch(f"api/targets/{target_id}/", body)
        if answer.status == 500:
            self._session.require_writing()
            answer = self._session.patch(f"api/targets/{target_id}/", body)  # a number that is set twice is set once
        if not answer.ok:
            if answer.status == 404:
                raise _not_changeable(target_id)
            raise judge(answer)

    def _all_lists(self, event: TargetShared, *, new: bool) -> list[str]:
        lists = list(event.target_lists) if self._accept_lists else []
        if new or self._imported_list_for_all:
            lists.append(self._imported_list_of(event))
        return list(dict.fromkeys(name.strip() for name in lists))

    def _imported_list_of(self, event: TargetShared) -> str:
        return self._imported_list.format(tom_name=event.tom.name).strip()


def groups_of(session: TomSession) -> dict[str, int]:
    """Return the groups that the account is a member of: name -> primary key."""
    return {row["name"]: row["id"] for row in session.get_ok("api/groups/", {"limit": 10_000})["results"]}


def _additions(names: Sequence[str], extras: Mapping[str, str], lists: Sequence[str]) -> list[tuple[dict[str, Any], str]]:
    """Return one request an addition: a TOM that refuses one refuses the whole request it stands in."""
    return [
        *(({"aliases": [{"name": name}]}, f"alias {name!r}") for name in names),
        *(({"targetextra_set": [{"key": key, "value": value}]}, f"extra {key!r}") for key, value in extras.items()),
        *(({"target_lists": [{"name": name}]}, f"list {name!r}") for name in lists),
    ]


def _not_changeable(target_id: int) -> Rejected:
    """Say why a TOM that has shown a target does not find it when it is to be changed."""
    return Rejected(
        "target_not_changeable",
        f"the account may see target {target_id} there but not change it, or it is gone; "
        "the TOM's administrator has to give it 'Can view target' and 'Can change target'",
    )


def _twice(name: str) -> Failure:
    detail = "the TOM has several lists of that name and fails on each request for it; its administrator has to rename one"
    return Failure(f"list {name!r}", "ambiguous_list", detail)


def _mapping(body: Any) -> Mapping[str, Any]:
    return body if isinstance(body, Mapping) else {}


def _first(body: Mapping[str, Any]) -> Any:
    """Return the complaint about the first alias that has one: ``{"aliases": {"0": {...}}}`` or a list."""
    aliases = body.get("aliases")
    items = aliases.values() if isinstance(aliases, Mapping) else aliases if isinstance(aliases, list) else ()
    return next((item for item in items if item), None)
