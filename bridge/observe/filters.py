"""What an observer wants to see of a topic: an expression, and the events and datums that it selects."""

import operator
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bridge.events import (
    DataProductShared,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareEvent,
    TargetIdentity,
    TargetListShared,
    normalise_url,
    simplify_name,
)
from bridge.observe.expressions import Condition, Cone, Every, Expression, Field, Not, Some, short_type
from bridge.observe.grammar import parse_expression
from bridge.translate.sky import separation_arcsec

__all__ = ["Where"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OF_DATUMS: frozenset[Field] = frozenset({"bandpass", "brightness", "time"})


@dataclass(frozen=True, slots=True, repr=False)
class Where:
    """A parsed filter expression, such as ``target = "SN 2024abc" and brightness < 18.5``.

    A condition on something that is not there is false, and ``not`` turns that into true. ``bandpass``, ``brightness`` and
    ``time`` are of datums: of an event with datums those are selected for which the expression is true; an event without datums
    is selected if it is true of the event alone. The language is described in `bridge.observe.grammar`.
    """

    expression: Expression

    @classmethod
    def parse(cls, text: str) -> "Where":
        """Read an expression.

        Raises
        ------
        Misconfigured
            Saying where in the text it is wrong, and what may stand there.
        """
        return cls(parse_expression(text))

    def __str__(self) -> str:
        return str(self.expression)

    def __repr__(self) -> str:
        return f"Where.parse({str(self)!r})"

    def select(self, event: ShareEvent) -> ShareEvent | None:
        """Return what is selected of an event: the event with the datums that match, or None if there is nothing."""
        left = _of_event(self.expression, event)
        if isinstance(left, bool):
            return event if left else None
        datums = event.body.datums_of()
        if not datums:
            return event if _of_datum(left, None) else None
        chosen = tuple(datum for datum in datums if _of_datum(left, datum))
        if not chosen:
            return None
        return event if len(chosen) == len(datums) else _with_datums(event, chosen)


def _of_event(expression: Expression, event: ShareEvent) -> Expression | bool:
    """Return whether an expression is true of an event, or what of it is left to be asked of the event's datums."""
    match expression:
        case Condition():
            return expression if expression.field in _OF_DATUMS else _condition(expression, event)
        case Cone():
            return _is_within(expression, getattr(event.body, "target", None))
        case Not():
            left = _of_event(expression.part, event)
            return not left if isinstance(left, bool) else Not(left)
        case Every() | Some():
            decisive = isinstance(expression, Some)
            parts: list[Expression] = []
            for part in expression.parts:
                left = _of_event(part, event)
                if left is decisive:
                    return decisive
                if not isinstance(left, bool):
                    parts.append(left)
            return type(expression)(tuple(parts)) if parts else not decisive


def _condition(condition: Condition, event: ShareEvent) -> bool:
    compare, values = _COMPARE[condition.operator], condition.values
    match condition.field:
        case "type":
            return short_type(event.type) in values
        case "source":
            return any(_is_source(event, str(value)) for value in values)
        case "target":
            names = {simplify_name(name) for name in _names(event)}
            return any(simplify_name(str(value)) in names for value in values)
        case _:
            return any(compare(event.time, value) for value in values)


def _is_source(event: ShareEvent, text: str) -> bool:
    if "://" in text:
        return text == event.source
    return text.casefold() == event.body.tom.name.casefold() or event.source in _urls(text)


@lru_cache(maxsize=64)
def _urls(text: str) -> frozenset[str]:
    """Return the URLs of TOMs that a text can mean which leaves out their scheme."""
    found = set()
    for scheme in ("http", "https"):
        with suppress(ValueError):  # a name, perhaps
            found.add(normalise_url(f"{scheme}://{text}"))
    return frozenset(found)


def _names(event: ShareEvent) -> tuple[str, ...]:
    if isinstance(event.body, TargetListShared):
        return tuple(member.name for member in event.body.members)
    target: TargetIdentity | None = getattr(event.body, "target", None)
    return target.names if target is not None else ()


def _is_within(cone: Cone, target: TargetIdentity | None) -> bool:
    if target is None or target.ra is None or target.dec is None:
        return False
    return separation_arcsec(cone.ra, cone.dec, target.ra, target.dec) <= cone.radius_arcsec


def _of_datum(expression: Expression, datum: ReducedDatum | None) -> bool:
    match expression:
        case Condition():
            compare, found = _COMPARE[expression.operator], _measured(expression.field, datum)
            return found is not None and any(compare(found, value) for value in expression.values)
        case Not():
            return not _of_datum(expression.part, datum)
        case Every():
            return all(_of_datum(part, datum) for part in expression.parts)
        case Some():
            return any(_of_datum(part, datum) for part in expression.parts)
        case Cone():
            return False  # asked of the event already


def _measured(field: Field, datum: ReducedDatum | None) -> Any:
    if datum is None:
        return None
    if field == "time":
        return datum.timestamp
    return getattr(datum, field) if isinstance(datum, PhotometryDatum) else None


def _with_datums(event: ShareEvent, datums: tuple[ReducedDatum, ...]) -> ShareEvent:
    body = event.body
    if isinstance(body, ReducedDatumsShared):
        body = body.model_copy(update={"datums": datums})
    elif isinstance(body, DataProductShared):
        body = body.model_copy(update={"product": body.product.model_copy(update={"datums": datums})})
    return ShareEvent(id=event.id, time=event.time, body=body)
