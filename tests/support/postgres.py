"""A real PostgreSQL of our own: a cluster in a folder, on a free port of loopback."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.ports import free_port

__all__ = ["Postgres", "PostgresUnavailable", "ensure_postgres"]


class PostgresUnavailable(Exception):
    """No PostgreSQL can be had here; the text says why."""


def ensure_postgres(say: Callable[[str], None]) -> Path:
    """Return the folder of PostgreSQL's server programs, installed from Debian where that is allowed."""
    found = _programs()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing PostgreSQL from Debian's packages")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]):
            done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False, timeout=600)
            if done.returncode:
                raise PostgresUnavailable(f"{' '.join(command)} failed: {done.stderr[-500:]}")
        found = _programs()
    if found is None:
        raise PostgresUnavailable("PostgreSQL's initdb is not on this machine, and we may not install it")
    return found


def _programs() -> Path | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates += [Path(on_path).resolve().parent] if on_path else []
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


class Postgres:
    """A PostgreSQL cluster for the time of a test run; nothing in it is meant to survive.

    Parameters
    ----------
    programs
        From `ensure_postgres`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="tom-bridge-postgres-", dir="/tmp"))
        self._port = free_port()
        self._password = secrets.token_urlsafe(12)

    def start(self) -> None:
        """Create the cluster and start it; returns when it takes connections."""
        secret = self._directory / "password"
        secret.write_text(self._password)
        if os.geteuid() == 0:  # initdb refuses root
            owner = pwd.getpwnam("postgres")
            for path in (self._directory, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb",
            "-D",
            "data",
            "-U",
            "bridge",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--no-sync",
        )
        options = f"-p {self._port} -h 127.0.0.1 -k {self._directory} -F -c max_connections=200"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it and remove the cluster."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(self._directory)

    def create_database(self, name: str) -> str:
        """Create a database and return its ``postgres://`` URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "bridge", name)
        return f"postgres://bridge:{self._password}@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", "env", f"PGPASSWORD={self._password}", *command]
        environment = {**os.environ, "PGPASSWORD": self._password}
        # Not captured by pipes: the server would inherit them, and we would wait for its end.
        with (self._directory / "output").open("ab") as output:
            done = subprocess.run(
                command, cwd=self._directory, env=environment, stdout=output, stderr=output, check=False, timeout=120
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self._directory / 'output').read_text()[-2000:]}")
