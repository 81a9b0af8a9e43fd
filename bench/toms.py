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
from tests.support.kafka import ApacheKafka, ensure_kafka
from tests.support.postgres import Postgres, ensure_postgres
from tests.support.world import GROUP

__all__ = ["PASSWORD", "DurablePostgres", "Inside", "make_tom", "start_kafka", "start_postgres"]

PASSWORD = "bench-admin-pw"
"""Of everybody, in every TOM."""
_SCRIPT = Path(__file__).with_name("inside.py")
_RUNNER = "import runpy, sys; import django; django.setup(); runpy.run_path(sys.argv[1], run_name='__main__')"


class DurablePostgres(Postgres):
    """PostgreSQL as it is installed: the tests' one need not survive a crash of the machine and does not wait for its disk."""

    def _run(self, program: str, *arguments: str) -> None:
        super()._run(program, *(argument.replace(" -F ", " ") for argument in arguments))


def start_postgres(say: Callable[[str], None]) -> DurablePostgres:
    """Start a PostgreSQL.

    Raises
    ------
    PostgresUnavailable
        If none can be had here.
    """
    cluster = DurablePostgres(ensure_postgres(say))
    cluster.start()
    return cluster


def start_kafka(directory: Path, say: Callable[[str], None]) -> ApacheKafka:
    """Start an Apache Kafka.

    Raises
    ------
    KafkaUnavailable
        If none can be had here.
    """
    kafka = ApacheKafka(directory, ensure_kafka(say))
    directory.mkdir()
    kafka.start()
    return kafka


def make_tom(
    directory: Path, *, version: str, database: str | None, settings: Mapping[str, object], apps: Sequence[str] = ()
) -> Tom:
    """Create a TOM, with the users that `tests.support.world` knows; it is not started."""
    return create_tom(
        directory,
        version=version,
        name=f"Bench {directory.name}",
        users=dict.fromkeys(("bridge", "alice"), PASSWORD),
        superusers={"admin": PASSWORD},
        groups={GROUP: ["bridge"]},
        settings={"DEBUG": False, **settings},
        apps=apps,
        database=database,
    )


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
