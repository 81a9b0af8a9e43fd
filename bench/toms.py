"""Real TOMs for benchmarks: as an administrator would run them, with costly passwords, without DEBUG, durable on disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bridge.demo.projects import PROJECT
from bridge.demo.toms import RESULT_MARKER, Tom, TomSetupError, create_tom
from bridge.demo.venvs import child_environment
from tests.support.kafka import ApacheKafka, KafkaUnavailable, ensure_kafka
from tests.support.postgres import Postgres, PostgresUnavailable, ensure_postgres

__all__ = ["PASSWORD", "DurablePostgres", "Inside", "make_tom", "start_kafka", "start_postgres"]

PASSWORD = "bench-admin-pw"
"""Of ``admin``, in every TOM."""
_SCRIPT = Path(__file__).with_name("inside.py")
_RUNNER = "import runpy, sys; import django; django.setup(); runpy.run_path(sys.argv[1], run_name='__main__')"


class DurablePostgres(Postgres):
    """PostgreSQL as it is installed: the tests' one need not survive a crash of the machine and does not wait for its disk."""

    def _run(self, program: str, *arguments: str) -> None:
        super()._run(program, *(argument.replace(" -F ", " ") for argument in arguments))


def start_postgres(say: Callable[[str], None]) -> DurablePostgres | None:
    """Start a PostgreSQL, where one can be had."""
    try:
        cluster = DurablePostgres(ensure_postgres(say))
    except PostgresUnavailable as error:
        say(f"without PostgreSQL: {error}")
        return None
    cluster.start()
    return cluster


def start_kafka(directory: Path, say: Callable[[str], None]) -> ApacheKafka | None:
    """Start an Apache Kafka, where one can be had."""
    try:
        kafka = ApacheKafka(directory, ensure_kafka(say))
    except KafkaUnavailable as error:
        say(f"without a broker: {error}")
        return None
    directory.mkdir()
    kafka.start()
    return kafka


def make_tom(
    directory: Path, *, version: str, database: str | None, settings: Mapping[str, object], apps: Sequence[str] = ()
) -> Tom:
    """Create a TOM and start it with two workers."""
    tom = create_tom(
        directory,
        version=version,
        name=f"Bench {directory.name}",
        users={},
        superusers={"admin": PASSWORD},
        settings={"DEBUG": False, **settings},
        apps=apps,
        database=database,
    )
    tom.start()
    return tom


class Inside:
    """A process inside a TOM's Django that does what it is told, as a pipeline or a shell would. Use as a context manager."""

    def __init__(self, tom: Tom) -> None:
        self._tom = tom
        self._log = tom.dir / "inside.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [tom.python, "-c", _RUNNER, str(_SCRIPT)],
                cwd=tom.dir,
                env=child_environment(DJANGO_SETTINGS_MODULE=f"{PROJECT}.settings", PYTHONPATH=str(tom.dir)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, do: str, **arguments: object) -> Any:
        """Have one of the actions of ``inside.py`` done; return its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(RESULT_MARKER):
                return json.loads(line.removeprefix(RESULT_MARKER))
        raise TomSetupError(f"{do} failed in {self._tom.name}:\n{self._log.read_text()[-2000:]}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
