"""``tom-bridge serve`` as a process, over a topic of its own, and what one does with it."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.codecs import native
from bridge.codecs.record import Record
from bridge.events import PhotometryDatum, ReducedDatumsShared, ShareBody, Target, TomIdentity
from bridge.kafka.connection import Connection
from bridge.kafka.publisher import Publisher
from tests.support.browser import Window
from tests.support.waiting import wait_for

__all__ = ["TOM", "Serving", "Site", "item", "light_curve", "target"]

TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@dataclass
class Site:
    """A page that serves a topic of its own, and what one does with it."""

    url: str
    topic: str
    letters: str
    group: str
    connection: Connection
    publisher: Publisher
    serving: "Serving"

    def share(self, *bodies: ShareBody) -> list[Record]:
        """Publish events; returns when the broker has them."""
        records = [native.encode(native.new_event(body, now=datetime.now(UTC))) for body in bodies]
        self.publisher.publish(self.topic, records)
        return records

    def target(self, name: str) -> str:
        return f"{self.url}target?name={quote(name)}"


def target(name: str, **more: Any) -> Target:
    return Target(name=name, **{"type": "SIDEREAL", "ra": 217.3, "dec": 15.8} | more)


def light_curve(name: str) -> list[ShareBody]:
    """Two filters over three weeks, brightest at the tenth day, limits before and after; and two points in another unit."""
    found = []
    for bandpass, offset in (("g", 0.6), ("r", 0.0)):
        for day in range(20):
            value = 18.0 + offset + 0.02 * (day - 10) ** 2
            measured: dict[str, Any] = {"limit": value} if day in {0, 19} else {"brightness": value, "brightness_error": 0.1}
            moment = FIRST + timedelta(days=day, hours=offset)
            found.append(PhotometryDatum(timestamp=moment, bandpass=bandpass, unit="AB mag", **measured))
    found += [
        PhotometryDatum(timestamp=FIRST + timedelta(days=day), bandpass="5 GHz", unit="mJy", brightness=day / 10)
        for day in (8, 12)
    ]
    half = len(found) // 2
    identity = target(name).identity()
    return [ReducedDatumsShared(tom=TOM, target=identity, datums=tuple(part)) for part in (found[:half], found[half:])]


class Serving:
    """``tom-bridge serve`` as a process."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._log = home / "page.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "serve", "share-stream", "--config", str(home / "bridge.toml"), *arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        wait_for(lambda: self._said() or self._process.poll() is not None, "the page's address", seconds=60)
        assert self._process.poll() is None, self.log
        self.url: str = json.loads(self._said())["url"]

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def _said(self) -> str:
        return next((line for line in self.log.splitlines() if '"page serves"' in line), "")

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def item(window: Window, name: str) -> Any:
    """Return an event of the list, by what stands in it."""
    return window.page.locator("#event-list .event", has_text=name)
