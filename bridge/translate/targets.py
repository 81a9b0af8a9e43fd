"""Targets: what a TOM's API says of one, and what to ask it to create or add.

Both dialects take the same requests; what only one of them stores is in `bridge.translate.toolkit2` and ``toolkit3``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any

from pydantic import ValidationError

from bridge.errors import Rejected
from bridge.events import Target, TargetIdentity, simplify_name
from bridge.events.words import Number

__all__ = [
    "PLACEHOLDER",
    "Creation",
    "KnownTarget",
    "creation",
    "imported_lists",
    "known_target",
    "missing_names",
    "missing_numbers",
    "read_target",
    "refuse_long_lists",
    "same_fields",
    "too_long",
    "zeros_to_set",
]

PLACEHOLDER = 1e-200
"""What a required number that is 0 goes in as, since a TOM takes 0 for missing; no measurement has this value."""
MAX_NAME = 100
"""Longest name or alias that TOM Toolkit stores."""
MAX_LIST_NAME = 200
"""Longest name of a target list; PostgreSQL refuses more after the target is half-made."""

NUMBERS = tuple(name for name, field in Target.model_fields.items() if field.annotation == Number | None)
"""TOM Toolkit's numeric fields of a target."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "SIDEREAL": ("ra", "dec"),
    "NON_SIDEREAL": ("epoch_of_elements", "inclination", "lng_asc_node", "arg_of_perihelion", "eccentricity"),
    "MPC_COMET": ("perihdist", "epoch_of_perihelion"),
    "MPC_MINOR_PLANET": ("mean_anomaly", "semimajor_axis"),
    "JPL_MAJOR_PLANET": ("mean_daily_motion", "mean_anomaly", "semimajor_axis"),
}
"""Numbers that a TOM requires by type and scheme (``tom_targets/serializers.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTarget:
    """A target as the destination's API shows it."""

    id: int
    identity: TargetIdentity
    numbers: Mapping[str, float | None]
    extras: Mapping[str, str]
    created: datetime
    shared_from: str

    @property
    def names(self) -> tuple[str, ...]:
        """Primary name and aliases."""
        return self.identity.names

    @property
    def candidate(self) -> dict[str, object]:
        """What a dead letter says of it."""
        return {"id": self.id, "name": self.identity.name, "aliases": list(self.identity.aliases)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """The requests that create a target: a POST, then a PATCH for what had to be a placeholder."""

    body: Mapping[str, Any]
    zeros: Mapping[str, float]
    left_out: tuple[str, ...]
    """What cannot be stored there, each in a sentence."""


def known_target(row: Mapping[str, Any]) -> KnownTarget:
    """Read a target from the API's JSON.

    Raises
    ------
    Rejected
        ``unreadable_target`` if it is nothing that a share event could be about, such as one without a name.
    """
    try:
        return _known_target(row)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise Rejected(
            "unreadable_target", f"target {row.get('id')} there cannot be understood ({type(error).__name__}); mend it there"
        ) from error


def _known_target(row: Mapping[str, Any]) -> KnownTarget:
    return KnownTarget(
        id=int(row["id"]),
        identity=read_target(row).identity(),
        numbers={name: row.get(name) for name in NUMBERS},
        extras={extra["key"]: str(extra["value"]) for extra in row.get("targetextra_set", [])},
        created=datetime.fromisoformat(row["created"]),
        shared_from=row.get("shared_from") or "",
    )


def read_target(row: Mapping[str, Any]) -> Target:
    """Read a target from the API's JSON, as it would travel in an event; the primary key is the TOM's own."""
    fields = {name: row.get(name) for name in Target.model_fields if row.get(name) is not None}
    return Target.model_validate(
        fields
        | {
            "primary_key": row["id"],
            "aliases": [alias["name"] for alias in row.get("aliases", [])],
            "extras": {extra["key"]: str(extra["value"]) for extra in row.get("targetextra_set", [])},
        }
    )


def creation(
    target: Target,
    *,
    lists: Sequence[str],
    permissions: str,
    groups: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, str],
    unstorable_extras: Iterable[str] = (),
) -> Creation:
    """Return the requests that create a target with its aliases, extras and lists. Never any ``id`` of the source.

    Parameters
    ----------
    target
        From the event.
    lists
        Names of all lists that it goes into.
    permissions, groups
        From the consumer's settings: who sees it.
    provenance
        What the dialect stores about who shared it.
    unstorable_extras
        Keys of extras that the dialect drops.

    Raises
    ------
    Rejected
        If the target's or a list's name is longer than a TOM can store.
    """
    if too_long(target.name):
        raise Rejected("name_too_long", f"a TOM's target names have at most {MAX_NAME} characters")
    refuse_long_lists(lists)
    numbers = {name: value for name in NUMBERS if (value := getattr(target, name)) is not None}
    zeros = {name: 0.0 for name in _required(target) if numbers.get(name) == 0}
    aliases, left_out = _aliases(target)
    extras = {key: value for key, value in target.extras.items() if key not in set(unstorable_extras)}
    left_out += [f"extra {key!r}: a field of that name exists there" for key in target.extras if key not in extras]
    body: dict[str, Any] = {
        "name": target.name.strip(),
        "type": target.type,
        **numbers,
        **dict.fromkeys(zeros, PLACEHOLDER),
        **provenance,
        "permissions": permissions,
        "aliases": [{"name": alias} for alias in aliases],
        "targetextra_set": [{"key": key, "value": value} for key, value in extras.items()],
        "target_lists": [{"name": name} for name in lists],
        "groups": list(groups),
    }
    if target.scheme:
        body["scheme"] = target.scheme
    return Creation(body=body, zeros=zeros, left_out=tuple(left_out))


def refuse_long_lists(lists: Iterable[str]) -> None:
    """Raise `Rejected` if the name of a list is longer than a TOM can store."""
    if any(len(name) > MAX_LIST_NAME for name in lists):
        raise Rejected("name_too_long", f"a TOM's list names have at most {MAX_LIST_NAME} characters")


def imported_lists(template: str) -> re.Pattern[str]:
    """Return what the names of lists for new targets look like, of whichever TOM.

    Case does not count: TOM Toolkit's own sharing writes "Imported From".

    Parameters
    ----------
    template
        With ``{tom_name}``, as in a consumer's settings.
    """
    parts = Formatter().parse(template.strip())
    pattern = "".join(re.escape(text) + (".+" if field is not None else "") for text, field, _form, _conversion in parts)
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def too_long(name: str) -> bool:
    """Whether a name or alias is longer than a TOM can store."""
    return len(name.strip()) > MAX_NAME


def missing_names(names: Iterable[str], known: KnownTarget) -> list[str]:
    """Return the names that a target at the destination does not have yet, as TOM Toolkit compares them."""
    have = {simplify_name(name) for name in known.names}
    missing: dict[str, str] = {}
    for name in names:
        simple = simplify_name(name.strip())
        if simple and simple not in have and not too_long(name):
            missing.setdefault(simple, name.strip())
    return list(missing.values())


def missing_numbers(target: Target) -> list[str]:
    """Return the numbers without which a TOM makes no such target."""
    return [name for name in _required(target) if getattr(target, name) is None]


def zeros_to_set(target: TargetIdentity, known: KnownTarget) -> dict[str, float]:
    """Return the numbers that are still placeholders at the destination and are 0 in the event."""
    return {name: 0.0 for name, value in known.numbers.items() if value == PLACEHOLDER and getattr(target, name, None) == 0}


def same_fields(target: Target, known: KnownTarget) -> bool:
    """Whether a target at the destination has the event's name, type and numbers, to the last digit."""
    return (
        known.identity.name == target.name.strip()
        and known.identity.type == target.type
        and all(
            known.numbers.get(name) == value or (value == 0 and known.numbers.get(name) == PLACEHOLDER)
            for name in NUMBERS
            if (value := getattr(target, name)) is not None
        )
    )


def _required(target: Target) -> tuple[str, ...]:
    return (*_REQUIRED[target.type], *_REQUIRED.get(target.scheme, ()))


def _aliases(target: Target) -> tuple[list[str], list[str]]:
    """Return the aliases to create, each once and none equal to the name, and what can't be stored."""
    aliases: dict[str, None] = {}
    left_out = []
    for alias in (text.strip() for text in target.aliases):
        if too_long(alias):
            left_out.append(f"alias {alias[:20]!r}...: longer than {MAX_NAME} characters")
        elif alias and alias != target.name.strip():
            aliases[alias] = None
    return list(aliases), left_out
