"""The stage that the benchmark's parts play on: real TOMs, a broker, a PostgreSQL, each started when first asked for."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from bench.toms import DurablePostgres, make_tom, start_kafka, start_postgres
from bridge.demo.toms import TOM_VERSIONS, Tom
from tests.support.kafka import VERSION as KAFKA_VERSION
from tests.support.kafka import ApacheKafka
from tests.support.postgres import PostgresUnavailable

__all__ = ["NEWER_TOM", "OLDER_TOM", "Bench", "named"]

OLDER_TOM, NEWER_TOM = TOM_VERSIONS


def named(version: str, *, postgres: bool) -> str:
    """Return a place's name, as the table has it."""
    return f"{version} {'PostgreSQL' if postgres else 'SQLite'}"


class Bench:
    """Gives each part what it needs. Use as a context manager, and within it `part` for each of them.

    Parameters
    ----------
    quick
        Whether this only shows that the benchmark works: one short run.
    detail
        Whether parts may print tables of their own as well.
    plots
        Where parts that can draw what they found do so; None: nowhere.

    Attributes
    ----------
    home
        A temporary folder, of the part's own within `part`.
    about
        What is to be said of the machine besides what it says itself.
    """

    def __init__(self, *, quick: bool = False, detail: bool = False, plots: Path | None = None) -> None:
        self.quick = quick
        self.detail = detail
        self.plots = plots
        self.about: dict[str, str] = {}
        self._stack = ExitStack()
        self._part = ExitStack()
        self._began = time.monotonic()
        self._kafka: ApacheKafka | None = None
        self._postgres: DurablePostgres | None = None

    def __enter__(self) -> Self:
        self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tom-bridge-bench-")))
        self.home = self._root
        self.about["disk"] = str(self._root.parent)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def part(self, name: str) -> Iterator[Self]:
        """Give a part, or a part of it, a folder of its own, and stop its TOMs when it is over."""
        outer = self.home, self._part
        self.home = outer[0] / re.sub(r"\W+", "_", name).lower()
        self.home.mkdir()
        try:
            with ExitStack() as self._part:
                yield self
        finally:
            self.home, self._part = outer

    def at_end(self, do: Callable[[], object]) -> None:
        """Do something when the part is over, however it ends."""
        self._part.callback(do)

    def say(self, text: str) -> None:
        """Tell whoever waits what is being done."""
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", file=sys.stderr, flush=True)

    def kafka(self) -> ApacheKafka:
        """Return a running broker, which all parts share: use topics of your own.

        Raises
        ------
        KafkaUnavailable
            If none can be had here.
        """
        if self._kafka is None:
            self._kafka = start_kafka(self._root / "kafka", self.say)
            self._stack.callback(self._kafka.stop)
            self.about["kafka"] = f"Apache Kafka {KAFKA_VERSION}"
        return self._kafka

    def postgres(self) -> DurablePostgres:
        """Return a running PostgreSQL, which all parts share.

        Raises
        ------
        PostgresUnavailable
            If none can be had here.
        """
        if self._postgres is None:
            self._postgres = start_postgres(self.say)
            self._stack.callback(self._postgres.stop)
        return self._postgres

    def places(self) -> list[tuple[str, bool]]:
        """Return version and whether on PostgreSQL of each kind of TOM that there can be here; quick: of one."""
        if self.quick:
            return [(NEWER_TOM, False)]
        try:
            self.postgres()
        except PostgresUnavailable as error:
            self.say(f"without PostgreSQL: {error}")
            return [(version, False) for version in TOM_VERSIONS]
        return [(version, postgres) for postgres in (False, True) for version in TOM_VERSIONS]

    def tom(
        self,
        name: str,
        *,
        version: str = NEWER_TOM,
        postgres: bool = False,
        settings: Mapping[str, object] | None = None,
        apps: Sequence[str] = (),
        serving: bool = True,
    ) -> Tom:
        """Return a new TOM, which serves with two workers until the part is over.

        Parameters
        ----------
        name
            Of the part's own, and an identifier.
        version, settings, apps
            As for `bridge.demo.toms.create_tom`.
        postgres
            Whether its database is on `postgres`; else SQLite.
        serving
            Whether it is started; a source is used from the inside alone.
        """
        key = "_".join((*self.home.relative_to(self._root).parts, name))
        database = self.postgres().create_database(key) if postgres else None
        tom = make_tom(self.home / key, version=version, database=database, settings=settings or {}, apps=apps)
        if serving:
            tom.start()
            self.at_end(tom.stop)
        return tom
