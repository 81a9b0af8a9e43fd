"""TOMs that have ``bridge.emitter``, and one test's way from such a TOM over a topic into another."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.codecs.native import decode
from bridge.demo.toms import Tom
from bridge.events import ShareEvent
from tests.support.ingest import Ingest
from tests.support.world import USERS, Said, Toms, World

__all__ = ["Emitters", "Emitting", "emitter_settings", "source_url"]

TOPICS = 60
"""Topics that a TOM's streams are made with; each test takes one of its own."""

_numbers = itertools.count(1)


def source_url(role: str) -> str:
    """Return the public address that a TOM with the emitter has in its events."""
    return f"https://{role}.example.org/"


def emitter_settings(role: str, stream_url: str) -> dict[str, Any]:
    """Return the settings of a TOM with the emitter.

    ``share-stream`` is continuous, ``by-hand`` is manual, and each ``all-<n>`` emits what the group ``Group <n>`` may see.
    """
    stream = {"BASE_URL": stream_url, "SOURCE_URL": source_url(role)}
    numbers = range(1, TOPICS + 1)
    sharing: dict[str, Any] = {
        "share-stream": {
            **stream,
            "DISPLAY_NAME": "The stream",
            "USER_TOPICS": [f"share.{role}.{n}" for n in numbers],
            "DEFAULT_AUTHORS": "A. Author",
        },
        "by-hand": {**stream, "USER_TOPICS": [f"hand.{role}.{n}" for n in numbers], "EMIT": "manual"},
        "gone-tom": {"BASE_URL": "http://127.0.0.1:9/", "USERNAME": "nobody", "PASSWORD": "gone-tom-canary-pw"},
    }
    for n in numbers:
        sharing[f"all-{n}"] = {**stream, "USER_TOPICS": [f"all.{role}.{n}"], "EMIT": "all", "EMIT_GROUPS": [f"Group {n}"]}
    return {"DATA_SHARING": sharing, "TOM_BRIDGE": {"QUIET_SECONDS": 0.3}}


class Emitters:
    """TOMs with the emitter that live as long as the test run, made when first asked for."""

    def __init__(self, toms: Toms, stream_url: str, create_topic: Callable[[str], None]) -> None:
        self._toms = toms
        self.stream_url = stream_url
        self.create_topic = create_topic

    def get(self, version: str, *, postgres: bool = False, role: str = "emitter") -> Tom:
        """Return a running TOM with the emitter."""
        return self._toms.get(
            role,
            version,
            postgres=postgres,
            groups=[f"Group {n}" for n in range(1, TOPICS + 1)],
            apps=["bridge.emitter"],
            settings=emitter_settings(role, self.stream_url),
        )

    def emitting(
        self,
        home: Path,
        version: str,
        *,
        emit: str = "continuous",
        postgres: bool = False,
        role: str = "emitter",
        destination: Tom | None = None,
        to: str = "3.1.0",
        **consumer: Any,
    ) -> "Emitting":
        """Return a topic that nobody else uses, from a TOM with the emitter to a destination.

        Parameters
        ----------
        home
            For the consumer's configuration.
        version
            Of the source.
        emit
            ``continuous``, ``manual`` or ``all``.
        destination
            A running TOM; by default the usual one, of version ``to``.
        consumer
            Settings of the consumer, over the usual ones.
        """
        number = next(_numbers)
        source = self.get(version, postgres=postgres, role=role)
        key, kind = {
            "continuous": ("share-stream", "share"),
            "manual": ("by-hand", "hand"),
            "all": (f"all-{number}", "all"),
        }[emit]
        world = World(
            home=home,
            stream_url=self.stream_url,
            create_topic=self.create_topic,
            source=source,
            destination=destination or self._toms.get("destination", to),
            consumer={"accept_sources": [source_url(role)], **consumer},
            topic=f"{kind}.{role}.{number}",
        )
        ingest = Ingest(source, username="alice", password=USERS["alice"])
        return Emitting(world=world, ingest=ingest, to=f"{key}:{world.topic}", group=f"Group {number}")


@dataclass
class Emitting:
    """One topic from a TOM with the emitter to another TOM.

    Parameters
    ----------
    world
        Topic, consumer and destination.
    ingest
        What alice does at the source.
    to
        The destination, as ``DATA_SHARING`` of the source has it.
    group
        The group whose data goes there, where everything does that it may see.
    """

    world: World
    ingest: Ingest
    to: str
    group: str

    @property
    def source(self) -> Tom:
        """The TOM that emits."""
        return self.world.source

    def relay(self) -> None:
        """Seal and publish all that there is."""
        self.source.manage("bridge_relay", "--once")

    def outbox(self) -> dict[str, Any]:
        """Return what ``bridge_outbox --json`` says."""
        return dict(json.loads(self.source.manage("bridge_outbox", "--json").splitlines()[-1]))

    def events(self) -> list[ShareEvent]:
        """Return what is on the topic."""
        return [decode(consumed.record) for consumed in self.world.read(self.world.topic)]

    def deliver(self) -> Said:
        """Publish all that there is, and write it into the destination."""
        self.relay()
        said = self.world.consume()
        assert said.code == 0, said
        return said
