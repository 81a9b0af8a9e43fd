"""TOMs that have ``bridge.emitter``, and one test's way from such a TOM over a topic into another."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.codecs.native import decode
from bridge.demo.compare import compare_target
from bridge.demo.toms import Tom
from bridge.events import ShareEvent
from tests.support.ingest import Ingest
from tests.support.world import USERS, Said, Toms, World, dump, target_of

__all__ = ["SECRET", "Emitters", "Emitting", "emitter_settings", "source_url"]

TOPICS = 40
"""Topics that a TOM's streams are made with; each test takes one of its own."""
SECRET = "tom-canary-pw"
"""Of passwords in ``DATA_SHARING`` of a TOM with the emitter: it must not be seen anywhere else."""


def source_url(who: str) -> str:
    """Return the public address that a TOM with the emitter has in its events."""
    return f"https://{who}.example.org/"


def emitter_settings(who: str, stream_url: str, plain_tom: Tom) -> dict[str, Any]:
    """Return the settings of a TOM with the emitter.

    ``share-stream`` is continuous, as is ``hermes``, which is none, ``by-hand`` is manual, and each ``all-<n>`` emits what
    the group ``Group <n>`` may see. ``plain-tom`` is an ordinary TOM, and ``gone-tom`` is one that does not answer.
    """
    stream = {"BASE_URL": stream_url, "SOURCE_URL": source_url(who)}
    numbers = range(1, TOPICS + 1)
    sharing: dict[str, Any] = {
        "share-stream": {
            **stream,
            "DISPLAY_NAME": "The stream",
            "USER_TOPICS": [f"share.{who}.{n}" for n in numbers],
            "DEFAULT_AUTHORS": "A. Author",
        },
        "hermes": {**stream, "USER_TOPICS": [f"hermes.{who}.{n}" for n in numbers]},
        "by-hand": {**stream, "USER_TOPICS": [f"hand.{who}.{n}" for n in numbers], "EMIT": "manual"},
        "plain-tom": {"BASE_URL": plain_tom.url, "USERNAME": "bridge", "PASSWORD": USERS["bridge"]},
        "gone-tom": {"BASE_URL": "http://127.0.0.1:9/", "USERNAME": "nobody", "PASSWORD": f"gone-{SECRET}"},
    }
    for n in numbers:
        sharing[f"all-{n}"] = {**stream, "USER_TOPICS": [f"all.{who}.{n}"], "EMIT": "all", "EMIT_GROUPS": [f"Group {n}"]}
    return {"DATA_SHARING": sharing, "TOM_BRIDGE": {"QUIET_SECONDS": 0.3}}


class Emitters:
    """TOMs with the emitter that live as long as the test run, made when first asked for."""

    def __init__(self, toms: Toms, stream_url: str, create_topic: Callable[[str], None]) -> None:
        self._toms = toms
        self.stream_url = stream_url
        self.create_topic = create_topic
        self._numbers: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    @property
    def plain_tom(self) -> Tom:
        """The ordinary TOM that those with the emitter may share with by TOM Toolkit's own means."""
        return self._toms.get("destination", "3.1.0")

    def get(self, version: str, *, postgres: bool = False, role: str = "emitter") -> Tom:
        """Return a running TOM with the emitter."""
        return self._toms.get(
            role,
            version,
            postgres=postgres,
            groups=[f"Group {n}" for n in range(1, TOPICS + 1)],
            apps=["bridge.emitter"],
            settings=emitter_settings(_who(role, version, postgres), self.stream_url, self.plain_tom),
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
            ``continuous``, ``manual``, ``all``, or ``hermes``: continuous to a stream that 2.x would take for Hermes.
        destination
            A running TOM; by default the usual one, of version ``to``.
        consumer
            Settings of the consumer, over the usual ones.
        """
        who = _who(role, version, postgres)
        number = next(self._numbers[who])
        source = self.get(version, postgres=postgres, role=role)
        key, kind = {
            "continuous": ("share-stream", "share"),
            "hermes": ("hermes", "hermes"),
            "manual": ("by-hand", "hand"),
            "all": (f"all-{number}", "all"),
        }[emit]
        world = World(
            home=home,
            stream_url=self.stream_url,
            create_topic=self.create_topic,
            source=source,
            destination=destination or self._toms.get("destination", to),
            consumer={"accept_sources": [source_url(who)], **consumer},
            topic=f"{kind}.{who}.{number}",
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

    def allow(self, *target_pks: int) -> None:
        """Let the group see targets, as code that makes targets would."""
        code = """
from django.contrib.auth.models import Group
from tom_targets.models import Target
group = Group.objects.get(name=arguments["group"])
for target in Target.objects.filter(pk__in=arguments["pks"]):
    target.give_user_access(group)
"""
        self.ingest.run_code(code, group=self.group, pks=target_pks)

    def relay(self) -> None:
        """Seal and publish all that there is."""
        said, failed = self.command("bridge_relay", "--once")
        assert said.startswith("published "), failed

    def command(self, *arguments: str) -> tuple[str, str]:
        """Run a command of ``manage.py`` in the process inside the TOM; return what it said on stdout and stderr."""
        code = """
import io
from django.core.management import CommandError, call_command
out, err = io.StringIO(), io.StringIO()
try:
    call_command(*arguments["words"], stdout=out, stderr=err)
except CommandError as error:
    err.write(f"CommandError: {error}")
result = [out.getvalue(), err.getvalue()]
"""
        out, err = self.ingest.run_code(code, words=arguments)
        return out, err

    def outbox(self) -> dict[str, Any]:
        """Return what ``bridge_outbox --json`` says."""
        return dict(json.loads(self.command("bridge_outbox", "--json")[0]))

    def events(self) -> list[ShareEvent]:
        """Return what is on the topic."""
        return [decode(consumed.record) for consumed in self.world.read(self.world.topic)]

    def kinds(self) -> Counter[str]:
        """Return how many events of each kind are on the topic."""
        return Counter(type(event.body).__name__ for event in self.events())

    def assert_arrived(self, *names: str) -> None:
        """Assert that targets are at the destination as at the source, to the last digit, with all data, each once."""
        source, destination = dump(self.source), dump(self.world.destination)
        for name in names:
            lists = [name for name in target_of(source, name)["lists"] if not name.startswith("Imported")]
            lines = compare_target(source, destination, name, at_destination=name, lists=lists, created=True)
            wrong = [line for line in lines if line.wanted != line.found or line.differences]
            assert not wrong, f"{name}: {wrong}"

    def deliver(self) -> Said:
        """Publish all that there is, and write it into the destination."""
        self.relay()
        said = self.world.consume()
        assert said.code == 0, said
        return said


def _who(role: str, version: str, postgres: bool) -> str:
    """Return what tells a TOM from others of its role: no two may have one address."""
    return f"{role}-{version.partition('.')[0]}{'-pg' if postgres else ''}"
