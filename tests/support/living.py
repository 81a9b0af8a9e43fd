"""A consumer's destination that lives on, event after event, while people change its TOM."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.console import read_settings
from bridge.cli.consuming import Parts
from bridge.codecs.native import new_event
from bridge.consumer.destination import Destination
from bridge.events import PhotometryDatum, ReducedDatumsShared, ShareBody, Target, TargetShared, TomIdentity
from bridge.tom.transport import Response, Transport
from tests.support.world import World, seed

__all__ = ["Living", "living"]

ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
NIGHT = datetime(2024, 1, 1, tzinfo=UTC)
SCRIPT = Path(__file__).with_name("scripts") / "change_targets.py"
_minutes = count()


@dataclass
class Living:
    """A destination, and what it asks its TOM.

    Parameters
    ----------
    between
        Whose destination it is.
    destination
        What events are written into.
    asked
        The requests since the last event was begun: method, path and query.
    """

    between: World
    destination: Destination
    asked: list[str] = field(default_factory=list)

    def target(self, name: str, *aliases: str, **fields: Any) -> str:
        """Write a target, and return what became of it: the outcome, or the reason if there is one."""
        return self._write(TargetShared(tom=ELSEWHERE, target=_target(name, aliases, fields)))

    def datum(self, name: str, *aliases: str, **fields: Any) -> str:
        """Write another datum of a target, and return what became of it."""
        moment = NIGHT + timedelta(minutes=next(_minutes))
        datum = PhotometryDatum(timestamp=moment, brightness=18.5, bandpass="r")
        identity = _target(name, aliases, fields).identity()
        return self._write(ReducedDatumsShared(tom=ELSEWHERE, target=identity, datums=(datum,)))

    def seed(self, name: str, *aliases: str, **more: Any) -> int:
        """Make a target at the TOM, as its people do; the bridge's account may see and change it."""
        fields = {"name": name, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0}
        return seed(self.between.destination, {"fields": fields, "aliases": list(aliases), **more})[name]

    def change(self, what: str, name: str = "", argument: Any = None) -> None:
        """Change a target at the TOM, as its people do: see ``change_targets.py``."""
        self.between.destination.run_script(SCRIPT, [[what, name, argument]])

    @property
    def scans(self) -> int:
        """How often the last event made the TOM go through all its targets."""
        return sum("name_fuzzy" in request for request in self.asked)

    def _write(self, body: ShareBody) -> str:
        self.asked.clear()
        outcome = self.destination.write(new_event(body, now=datetime.now(UTC)))
        return outcome.reason or outcome.end


@contextmanager
def living(between: World, patched: pytest.MonkeyPatch) -> Iterator[Living]:
    """Have the destination of a consumer for as long as the block lasts."""
    settings = read_settings(between.write_config(), None)
    exchange = Transport.exchange
    with Parts(settings, "destination").destination() as (_session, destination):
        found = Living(between, destination)

        def noting(self: Transport, method: str, path: str, **arguments: Any) -> Response:
            query = "&".join(f"{key}={value}" for key, value in (arguments.get("params") or {}).items())
            found.asked.append(f"{method} {path}?{query}".rstrip("?"))
            return exchange(self, method, path, **arguments)

        patched.setattr(Transport, "exchange", noting)
        yield found


def _target(name: str, aliases: tuple[str, ...], fields: dict[str, Any]) -> Target:
    about = {"name": name, "aliases": aliases, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0, "primary_key": 1}
    return Target.model_validate({**about, **fields})
