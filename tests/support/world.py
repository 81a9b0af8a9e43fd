"""Real TOMs, a real broker, and ``tom-bridge`` between them, as tests use them."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from bridge.cli import app
from bridge.codecs.record import ConsumedRecord, Record
from bridge.demo.toms import SCRIPTS, Tom, create_tom
from bridge.errors import BridgeError
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry, TomEntry
from bridge.tom.session import TomSession
from tests.support.inside import Inside
from tests.support.publishing import publisher_to

__all__ = ["Said", "Toms", "World", "dump", "seed", "target_of", "unique"]

GROUP = "Collaboration"
USERS = {"bridge": "bridge-canary-pw", "alice": "alice-canary-pw", "bob": "bob-canary-pw"}
"""``bridge`` is the account of the consumer, ``alice`` shares at sources, ``bob`` is an ordinary user."""


class Toms:
    """TOMs that live as long as the test run, made when first asked for."""

    def __init__(self, home: Path, database: Callable[[str], str]) -> None:
        self._home = home
        self._database = database
        self._toms: dict[str, Tom] = {}
        self._insides = ExitStack()

    def get(self, role: str, version: str, *, postgres: bool = False, groups: Sequence[str] = (), **more: Any) -> Tom:
        """Return a running TOM; ``groups`` are further groups that everybody is in, ``more`` is for `create_tom`."""
        key = f"{role}_{version.replace('.', '_')}{'_pg' if postgres else ''}"
        if key not in self._toms:
            tom = create_tom(
                self._home / key,
                version=version,
                name=f"{role.capitalize()} {version}",
                users=USERS,
                superusers={"admin": "admin-pw"},
                groups={GROUP: ["bridge", "bob"], **{group: list(USERS) for group in groups}},
                database=self._database(key) if postgres else None,
                cheap_passwords=True,
                **more,
            )
            tom.start()
            self._toms[key] = self._insides.enter_context(Inside(tom))
        return self._toms[key]

    def close(self) -> None:
        """Stop them all."""
        self._insides.close()
        for tom in self._toms.values():
            tom.stop()


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines of events."""
        parsed = [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return [line for line in parsed if line.get("event") == "event"]

    @property
    def outcomes(self) -> list[str]:
        """The outcomes of the events, in the order of the log."""
        return [line["outcome"] for line in self.lines]


_numbers = itertools.count(1)


@dataclass
class World:
    """One topic between a source and a destination TOM.

    Parameters
    ----------
    home
        For the configuration.
    stream_url
        ``kafka://`` URL of a broker.
    create_topic
        Makes a topic there.
    source, destination
        Running TOMs.
    consumer
        Settings of the consumer, over the usual ones.
    topic
        The topic; one of its own if not given.
    """

    home: Path
    stream_url: str
    create_topic: Callable[[str], None]
    source: Tom
    destination: Tom
    consumer: dict[str, Any] = field(default_factory=dict)
    topic: str = ""

    def __post_init__(self) -> None:
        self.number = next(_numbers)
        self.topic = self.topic or f"tom.shares.{self.number}"
        self.dead_letter_topic = f"{self.topic}.dead-letters"
        for topic in (self.topic, self.dead_letter_topic):
            self.create_topic(topic)
        self.group = 0

    def settings(self) -> dict[str, Any]:
        """Return the configuration as a dictionary."""
        consumer = {
            "subscribe": [f"stream:{self.topic}"],
            "accept_sources": [self.source.url, "https://elsewhere.example.org/"],
            "dead_letters": f"stream:{self.dead_letter_topic}",
            "groups": [GROUP],
            "group_id": f"world-{self.number}-{self.group}",
            **self.consumer,
        }
        return {
            "DATA_SHARING": {
                "stream": {"BASE_URL": self.stream_url},
                "source": _entry(self.source, "alice"),
                "destination": _entry(self.destination, "bridge"),
            },
            "consumers": {"destination": consumer},
        }

    def write_config(self, settings: Mapping[str, Any] | None = None) -> Path:
        """Write the configuration as a TOML file."""
        path = self.home / f"bridge-{self.number}.toml"
        lines = []
        for section, tables in (settings or self.settings()).items():
            for name, table in tables.items():
                lines.append(f"[{section}.{name}]")
                lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, *arguments: str, settings: Mapping[str, Any] | None = None) -> Said:
        """Run ``tom-bridge`` with this configuration."""
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.write_config(settings))])
        error = f"\n{result.exception}" if isinstance(result.exception, BridgeError) else ""
        if result.exception is not None and not isinstance(result.exception, BridgeError | SystemExit):
            raise result.exception
        return Said(code=result.exit_code, out=result.stdout, err=result.stderr + error)

    def share(self, *names: str, options: tuple[str, ...] = ()) -> Said:
        """Share targets of the source."""
        said = self.run("share", "source", *names, "--to", f"stream:{self.topic}", *options)
        assert said.code == 0, said
        return said

    def consume(self, *options: str, anew: bool = False) -> Said:
        """Consume up to the topic's end; ``anew``: from the beginning, as a new group."""
        self.group += anew
        return self.run("consume", "destination", "--drain", *options)

    def publish(self, *records: Record) -> None:
        """Publish records as they are."""
        publisher_to(self.stream_url).publish(self.topic, records)

    @property
    def connection(self) -> Connection:
        """The stream."""
        return connect_settings("stream", StreamEntry(BASE_URL=self.stream_url))

    def read(self, topic: str) -> list[ConsumedRecord]:
        """Return all records of a topic."""
        subscription = Subscription(self.connection, topics=[topic], group=f"reader-{next(_numbers)}", start="earliest")
        found = []
        try:
            while not subscription.drained:
                consumed = subscription.poll(0.2)
                if consumed is not None:
                    found.append(consumed)
        finally:
            subscription.close()
        return found

    def dead_letters(self) -> list[dict[str, str]]:
        """Return the texts of our headers on the dead letters."""
        return [
            {
                name.removeprefix("dead_letter_"): value.decode()
                for name, value in letter.record.headers
                if name.startswith("dead_letter_")
            }
            for letter in self.read(self.dead_letter_topic)
        ]

    def at_destination(self, user: str = "bridge") -> TomSession:
        """Return a session at the destination."""
        return TomSession("destination", TomEntry.model_validate(_entry(self.destination, user)))


def seed(tom: Tom, *targets: dict[str, Any]) -> dict[str, int]:
    """Put targets into a TOM, owned by alice and the bridge's account; returns their primary keys."""
    payload = {"targets": [{"owners": ["alice", "bridge"], **target} for target in targets]}
    result: Any = tom.run_script(SCRIPTS / "seed_tom.py", payload)
    return dict(result["targets"])


def dump(tom: Tom, *, target: str | None = None) -> dict[str, Any]:
    """Return everything that sharing concerns from a TOM's database; of datums and data products, those of one target alone."""
    result: Any = tom.run_script(SCRIPTS / "dump_tom.py", {"target": target})
    return dict(result)


def target_of(dumped: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the one target of a name from a dump."""
    found = [target for target in dumped["targets"] if target["name"] == name]
    assert len(found) == 1, f"{len(found)} targets named {name!r}"
    return dict(found[0])


def _entry(tom: Tom, user: str) -> dict[str, Any]:
    return {"DISPLAY_NAME": tom.name, "BASE_URL": tom.url, "USERNAME": user, "PASSWORD": tom.users[user]}


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def unique(text: str) -> Iterator[str]:
    """Yield names that no other test uses."""
    for number in itertools.count(next(_numbers) * 1000):
        yield f"{text}{number}"
