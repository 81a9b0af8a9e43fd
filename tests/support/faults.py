"""What may go wrong with a request, beside what a real TOM can be brought to: 429, silence, half an answer, a reset."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.support.exchange import Exchange, Fault, Reply, forward

__all__ = ["Cut", "Delay", "Down", "Flaky", "Hang", "Html200", "Replace", "Reset", "Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """Another answer than the TOM's, which is not asked, or has done its work (``after_write``) and is not heard."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str = "<html>Not now</html>"
    content_type: str = "text/html; charset=utf-8"
    after_write: bool = False

    def __call__(self, exchange: Exchange) -> None:
        if self.after_write:
            exchange.ask()
        body = self.body.encode() if isinstance(self.body, str) else self.body
        headers = {"Content-Type": self.content_type, **self.headers}
        exchange.send(Reply(self.code, HTTPStatus(self.code).phrase, tuple(headers.items()), body))


def Html200(*, after_write: bool = False) -> Status:
    """Return a page instead of an answer, as after a redirect to the login page."""
    return Status(200, body="<html>Please log in</html>", after_write=after_write)


def Replace(body: bytes | str, *, after_write: bool = False) -> Status:
    """Return a success that lies: JSON that is not the TOM's."""
    return Status(200, body=body, content_type="application/json", after_write=after_write)


@dataclass(frozen=True, slots=True)
class Reset:
    """Closes with a reset: before the TOM is asked, or after it has done its work, which the client never hears of."""

    after_write: bool = False

    def __call__(self, exchange: Exchange) -> None:
        if self.after_write:
            exchange.ask()
        exchange.reset()


@dataclass(frozen=True, slots=True)
class Cut:
    """Passes on the TOM's headers and half of its body, and closes; just closes if there is no body to halve."""

    def __call__(self, exchange: Exchange) -> None:
        reply = exchange.ask()
        if reply.body:
            exchange.send(reply, body_bytes=len(reply.body) // 2)


@dataclass(frozen=True, slots=True)
class Hang:
    """Falls silent for so long (None: until released) and closes: at once, after the TOM's work, or after its headers."""

    seconds: float | None = None
    after_write: bool = False
    after_headers: bool = False

    def __call__(self, exchange: Exchange) -> None:
        reply = exchange.ask() if self.after_write or self.after_headers else None
        if reply and self.after_headers:
            exchange.send(reply, body_bytes=0, ends=False)
        exchange.pause(self.seconds, in_vain=True)


@dataclass(frozen=True, slots=True)
class Delay:
    """Goes on after a while, also for a client that has given up meanwhile: a slow TOM works on, too."""

    seconds: float
    then: Fault = forward

    def __call__(self, exchange: Exchange) -> None:
        exchange.pause(self.seconds)
        self.then(exchange)


@dataclass(frozen=True, slots=True)
class Down:
    """Takes the door down with this request, for so long (None: until `FaultyDoor.up`)."""

    seconds: float | None = None

    def __call__(self, exchange: Exchange) -> None:
        exchange.door.down()
        exchange.reset()
        if self.seconds is not None:
            exchange.pause(self.seconds)
            exchange.door.up()


@dataclass(frozen=True, slots=True)
class Flaky:
    """Does one of the faults to some requests; which, and to the how manieth, the seed alone decides."""

    seed: int
    probability: float
    faults: Sequence[Fault]

    def __call__(self, exchange: Exchange) -> None:
        chance = random.Random(f"{self.seed}:{exchange.seen.number}")
        fault = chance.choice(self.faults) if chance.random() < self.probability else forward
        fault(exchange)
