"""What a filter expression is made of, and how it is written. `grammar` reads one, `filters` says what it selects."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from bridge.events import utc_text

__all__ = ["Condition", "Cone", "Every", "Expression", "Field", "Not", "Operator", "Some", "Value", "short_type"]

Field: TypeAlias = Literal["type", "source", "target", "shared", "bandpass", "brightness", "time"]
Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]
Value: TypeAlias = str | float | datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value, or with several, of which one has to agree (``=`` alone)."""

    field: Field
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        if len(self.values) > 1:
            return f"{self.field} in ({', '.join(map(_written, self.values))})"
        return f"{self.field} {self.operator} {_written(self.values[0])}"


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky: degrees, and its radius in arcseconds."""

    ra: float
    dec: float
    radius_arcsec: float

    def __str__(self) -> str:
        return f"cone({self.ra!r}, {self.dec!r}, {self.radius_arcsec!r} arcsec)"


@dataclass(frozen=True, slots=True)
class Not:
    """What another expression does not select."""

    part: "Expression"

    def __str__(self) -> str:
        return f"not {_in_parentheses(self.part, Every, Some)}"


@dataclass(frozen=True, slots=True)
class Every:
    """What each of two or more expressions selects."""

    parts: tuple["Expression", ...]

    def __str__(self) -> str:
        return " and ".join(_in_parentheses(part, Some) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some:
    """What at least one of two or more expressions selects."""

    parts: tuple["Expression", ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


Expression: TypeAlias = Condition | Cone | Not | Every | Some


def _in_parentheses(part: Expression, *kinds: type[Expression]) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


def _written(value: Value) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def short_type(event_type: str) -> str:
    """Return what an expression and a table call a type: ``target`` for ``tom.target.shared.v1``."""
    return event_type.removeprefix("tom.").removesuffix(".shared.v1")
