"""The language of filter expressions: its words, and how a text is read.

::

    conditions joined by and, or, not, and parentheses
    type = target                             target, target_list, reduced_datums, data_product
    source = "https://my-tom.org/"            a TOM's URL or name, or the address of a topic with Hermes messages
    target in ("SN 2024abc", "(433) Eros")    names or aliases, as TOM Toolkit compares them
    cone(197.45, -23.38, 30 arcsec)           right ascension and declination in degrees, and an angle
    bandpass = "r"
    brightness < 18.5
    time >= 2026-11-01T00:00Z                 when a datum was observed
    shared >= 2026-11-01                      when an event was made
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal, NoReturn, cast

from bridge.errors import Misconfigured
from bridge.events import EVENT_TYPES, normalise_url
from bridge.observe.expressions import Condition, Cone, Every, Expression, Field, Not, Operator, Some, Value, short_type
from bridge.settings.entries import topic_address

__all__ = ["parse_expression"]

MOST_NESTED = 50
"""Parentheses and nots inside each other."""
KEYWORDS = ("and", "or", "not", "in")
UNITS = {
    **dict.fromkeys(("deg", "degree", "degrees", "°"), 3600.0),
    **dict.fromkeys(("arcmin", "arcminute", "arcminutes"), 60.0),
    **dict.fromkeys(("arcsec", "arcsecond", "arcseconds"), 1.0),
    "mas": 0.001,
}
"""Units of an angle, in arcseconds."""


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    Misconfigured
        Saying at which character it is wrong, and what may stand there.
    """
    return _Parser(text).parse()


# --- values


def _type(text: str) -> str:
    known = [short_type(name) for name in EVENT_TYPES]
    if short_type(text) not in known:
        raise ValueError(f"one of {', '.join(known)}")
    return short_type(text)


def _source(text: str) -> str:
    try:
        if "://" not in text:
            return text
        return topic_address(text) if text.startswith("kafka:") else normalise_url(text)
    except ValueError:
        raise ValueError("a TOM's URL such as https://my-tom.org/, its name, or kafka://host/topic") from None


def _number(text: str) -> float:
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError("a number")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("a time such as 2026-11-01 or 2026-11-01T20:30Z") from None


READERS: dict[Field, tuple[Callable[[str], Value], str]] = {
    "type": (_type, "a type, such as reduced_datums"),
    "source": (_source, "a TOM's URL or name"),
    "target": (str, "a target's name"),
    "shared": (_moment, "a time such as 2026-11-01"),
    "bandpass": (str, "a bandpass"),
    "brightness": (_number, "a number"),
    "time": (_moment, "a time such as 2026-11-01"),
}
"""Fields: how a value is read, and what it is called."""
ORDERED = {"shared", "brightness", "time"}
WORDS = (*READERS, "cone", "not")

# --- text


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["word", "quoted", "sign", "end"]
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)

    @property
    def word(self) -> str:
        """The text of a word, in lower case; empty for all else."""
        return self.text.lower() if self.kind == "word" else ""


_TOKENS = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign><=|>=|!=|==|[=<>(),])|(?P<word>[^\s()"'=<>!,]+))""",
    re.DOTALL,
)


class _Parser:
    """Reads an expression by recursive descent: a method for each rule."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._at = 0
        self._nested = 0

    def parse(self) -> Expression:
        found = self._some()
        if self._next.kind != "end":
            self._wrong(self._next, "'and', 'or' or the end (a name with spaces stands in quotes)")
        return found

    def _some(self) -> Expression:
        """Read ``a or b or ...``."""
        parts = [self._every()]
        while self._took("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Some(tuple(_flat(parts, Some)))

    def _every(self) -> Expression:
        """Read ``a and b and ...``."""
        parts = [self._negation()]
        while self._took("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else Every(tuple(_flat(parts, Every)))

    def _negation(self) -> Expression:
        """Read ``not a``, ``(a)`` or ``a``."""
        token = self._next
        self._nested += 1
        if self._nested > MOST_NESTED:
            self._wrong(token, f"no more than {MOST_NESTED} parentheses or nots inside each other")
        if self._took("not"):
            found: Expression = Not(self._negation())
        elif self._took("("):
            found = self._some()
            self._expect(")", "'and', 'or' or ')'")
        elif self._took("cone"):
            found = self._cone()
        else:
            found = self._condition()
        self._nested -= 1
        return found

    def _condition(self) -> Expression:
        """Read ``field = value`` or ``field in (value, ...)``."""
        name = self._take()
        field = next((field for field in READERS if field == name.word), None)
        if field is None:
            self._wrong(name, f"one of {', '.join(WORDS)}, or '('", close_to=WORDS)
        is_negated = self._took("not")
        sign = self._take()
        if sign.word == "in":
            self._expect("(", "'('")
            values = [self._value(field)]
            while self._took(","):
                values.append(self._value(field))
            self._expect(")", "',' or ')'")
            found: Expression = Condition(field, "=", tuple(dict.fromkeys(values)))
            return Not(found) if is_negated else found
        if is_negated:
            self._wrong(sign, "'in'")
        signs = ("=", "!=", *(("<", "<=", ">", ">=") if field in ORDERED else ()))
        operator = "=" if sign.text == "==" else sign.text
        if sign.kind != "sign" or operator not in signs:
            self._wrong(sign, f"one of {' '.join(signs)}, or in (...)")
        if operator == "!=":
            return Not(Condition(field, "=", (self._value(field),)))
        return Condition(field, cast(Operator, operator), (self._value(field),))

    def _cone(self) -> Cone:
        """Read ``(ra, dec, angle)``."""
        self._expect("(", "'(', as in cone(197.45, -23.38, 30 arcsec)")
        ra = self._within("right ascension in degrees, from 0 to 360", 0.0, 360.0)
        self._expect(",", "','")
        dec = self._within("declination in degrees, from -90 to 90", -90.0, 90.0)
        self._expect(",", "','")
        token = self._take()
        found = re.fullmatch(r"([\d.eE+-]*\d\.?)(\D*)", token.text) if token.kind == "word" else None
        unit = self._take() if found and not found[2] else token
        scale = UNITS.get((found[2] if found and found[2] else unit.text).lower())
        if found is None or scale is None:
            self._wrong(token if found is None else unit, "an angle with its unit: deg, arcmin, arcsec or mas")
        radius = self._read(_number, _Token("word", found[1], token.at)) * scale
        if not 0 < radius <= 180 * 3600:
            self._wrong(token, "an angle above 0, up to 180 deg")
        self._expect(")", "')'")
        return Cone(ra, dec, radius)

    def _within(self, what: str, low: float, high: float) -> float:
        token = self._take()
        value: float = self._read(_number, token)
        if not low <= value <= high:
            self._wrong(token, what)
        return value

    def _value(self, field: Field) -> Value:
        read, what = READERS[field]
        token = self._take()
        if token.kind not in {"word", "quoted"} or token.word in KEYWORDS:
            self._wrong(token, what)
        value: Value = self._read(read, token)
        return value

    def _read(self, read: Callable[[str], Any], token: _Token) -> Any:
        try:
            return read(token.text)
        except ValueError as error:
            self._wrong(token, str(error))

    # --- tokens

    def _split(self) -> Iterator[_Token]:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            found = _TOKENS.match(self._text, at)
            if found is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                quote = self._text[start]
                expected = f"a text that ends with {quote}" if quote in "\"'" else "'!='"
                self._wrong(_Token("word", self._text[start:], start), expected)
            kind: Any = found.lastgroup
            text = found[kind]
            yield _Token(
                kind, re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if kind == "quoted" else text, found.start(kind)
            )
            at = found.end()
        yield _Token("end", "", len(self._text))

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _took(self, text: str) -> bool:
        token = self._next
        there = token.word == text or (token.kind == "sign" and token.text == text)
        self._at += there
        return there

    def _expect(self, text: str, expected: str) -> None:
        if not self._took(text):
            self._wrong(self._next, expected)

    def _wrong(self, token: _Token, expected: str, *, close_to: tuple[str, ...] = ()) -> NoReturn:
        near = get_close_matches(token.word, close_to, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        line = re.sub(r"\s", " ", self._text)
        raise Misconfigured(
            f"where: character {token.at + 1}: expected {expected}, found {token}{hint}\n  {line}\n  {' ' * token.at}^"
        )


def _flat(parts: list[Expression], kind: type[Every] | type[Some]) -> Iterator[Expression]:
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part
