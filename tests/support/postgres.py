"""A real PostgreSQL of our own: a cluster in a folder, on a free port of loopback."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bridge.demo.ports import free_port
from bridge.demo.venvs import cache_dir, locked

__all__ = ["Postgres", "PostgresUnavailable", "ensure_postgres"]


class PostgresUnavailable(Exception):
    """No PostgreSQL can be had here; the text says why."""


def ensure_postgres(say: Callable[[str], None]) -> Path:
    """Return the folder of PostgreSQL's server programs, installed from Debian where that is allowed."""
    with locked(cache_dir() / "postgresql.lock", waiting=lambda: say("waiting for another process that installs PostgreSQL")):
        return _ensure_postgres(say)


def _ensure_postgres(say: Callable[[str], None]) -> Path:
    found = _programs()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing PostgreSQL from Debian's packages")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]):
            try:
                subprocess.run(command, env=quiet, capture_output=True, text=True, check=True, timeout=600)
            except subprocess.CalledProcessError as error:
                raise PostgresUnavailable(f"{' '.join(command)} failed: {error.stderr[-500:]}") from error
            except subprocess.TimeoutExpired as error:
                raise PostgresUnavailable(f"{' '.join(command)} took more than ten minutes") from error
        found = _programs()
    if found is None:
        raise PostgresUnavailable("PostgreSQL's initdb is not on this machine, and we may not install it")
    if os.geteuid() == 0 and _account() is None:
        raise PostgresUnavailable("PostgreSQL does not run as root, and this machine has no user postgres or nobody")
    return found


def _account() -> pwd.struct_passwd | None:
    """Return the account for the server where we are root."""
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")


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
        self.programs = programs
        self._directory = Path(tempfile.mkdtemp(prefix="tom-bridge-postgres-", dir="/tmp"))
        self._port = free_port()
        self._password = secrets.token_urlsafe(12)
        self._owner = _account() if os.geteuid() == 0 else None  # initdb refuses root

    def start(self) -> None:
        """Create the cluster and start it; returns when it takes connections."""
        secret = self._directory / "password"
        secret.write_text(self._password)
        secret.chmod(0o600)
        if self._owner is not None:
            for path in (self._directory, secret):
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        # The locale by name: initdb refuses a machine whose LANG was never generated.
        self._run(
            "initdb", "-D", "data", "-U", "bridge", "-A", "scram-sha-256", f"--pwfile={secret}",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        options = f"-p {self._port} -h 127.0.0.1 -k {self._directory} -F -c max_connections=200"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it and remove the cluster."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(self._directory)

    def restart(self) -> None:
        """Stop it, whoever is connected, and start it again on the same data and port."""
        self._run("pg_ctl", "-D", "data", "-m", "fast", "-w", "-l", "log", "restart")

    def create_database(self, name: str) -> str:
        """Create a database and return its ``postgres://`` URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "bridge", name)
        return f"postgres://bridge:{self._password}@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        user, group = (self._owner.pw_uid, self._owner.pw_gid) if self._owner else (None, None)
        environment = {**os.environ, "PGPASSWORD": self._password}
        # Not captured by pipes: the server would inherit them, and we would wait for its end.
        with (self._directory / "output").open("ab") as output:
            done = subprocess.run(
                command, cwd=self._directory, env=environment, stdout=output, stderr=output, check=False, timeout=120,
                user=user, group=group, extra_groups=None if user is None else [],
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self._directory / 'output').read_text()[-2000:]}")
