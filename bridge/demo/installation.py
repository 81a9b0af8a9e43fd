"""One TOM on this machine: its server, its management commands, and scripts run inside it."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.demo.projects import PROJECT, call
from bridge.demo.venvs import TomSetupError, child_environment, tail

__all__ = ["RESULT_MARKER", "SCRIPTS", "Tom"]

SCRIPTS = Path(__file__).with_name("scripts")
"""Scripts for `Tom.run_script`: ``seed_tom.py`` and ``dump_tom.py``, whose docstrings say what they take and return."""

RESULT_MARKER = "TOM-RESULT "
"""What a script for `Tom.run_script` prints before its JSON result."""

_READY_SECONDS = 90.0
"""How long a starting TOM has to answer: a first start compiles TOM Toolkit, and others may keep the machine busy."""
_ANSWER_SECONDS = 30.0
"""For one attempt: the first request waits until a worker has loaded the TOM, and asking anew would not hasten that."""
_STOP_SECONDS = 10.0
"""How long a stopping TOM has until it is killed: longer than gunicorn lets its workers finish a request."""
_POLL_SECONDS = 0.05
_LOG_LINES = 60
"""Of the log in an error: each worker's traceback is followed by the server's own, which says nothing."""


@dataclass(kw_only=True)
class Tom:
    """A TOM on this machine, running or not.

    A TOM that was started ends with the process that started it, even if that one is killed; one that was started
    elsewhere can be stopped here (`load_tom`). TOMs have a session of their own, so that Ctrl-C in a terminal reaches
    the starter first, which then stops them in its own order.
    """

    dir: Path
    name: str
    """TOM_NAME, which other TOMs see."""
    version: str
    port: int
    admin: str
    """The first superuser."""
    admin_password: str = field(repr=False)
    users: dict[str, str] = field(repr=False)
    """Name -> password, superusers included."""
    python: Path
    """The interpreter of the environment that has this TOM's version of TOM Toolkit."""
    database: str | None = field(default=None, repr=False)
    """A ``postgres://`` URL, or None for SQLite."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def url(self) -> str:
        """Where the TOM answers when it runs, with a trailing slash."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def running(self) -> bool:
        """Whether any process of this TOM's server is there, whoever started it."""
        if not self._lock.exists():
            return False
        with self._lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def start(self, workers: int = 2, threads: int = 1) -> None:
        """Start the server and return when it answers.

        Parameters
        ----------
        workers
            Processes.
        threads
            Threads of each; with one, gunicorn closes every connection after its answer.

        Raises
        ------
        TomSetupError
            When it runs already, its port is taken, or it ends or does not answer (the message has its log's end).
        """
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                state = "it is running already" if self.running else "another program has its port"
                raise TomSetupError(f"cannot start {self.name} at {self.url}: {state}")
        command: list[str | Path] = [self.python.with_name("gunicorn"), f"{PROJECT}.wsgi:application"]
        command += ["--config", SCRIPTS / "gunicorn_conf.py", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--workers", str(workers), "--threads", str(threads), "--keep-alive", "30", "--timeout", "120"]
        # The control socket would be one file in the home directory, which all TOMs would fight over.
        command += ["--graceful-timeout", "5", "--no-control-socket"]
        with self._lock.open("a") as lock, self._log.open("ab") as log:
            # The server's processes inherit this lock and hold it as long as one of them lives: unlike a process id,
            # that cannot be mistaken for somebody else's.
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TomSetupError(f"cannot start {self.name}: processes of its last run are still there") from None
            self._process = subprocess.Popen(
                command,
                cwd=self.dir,
                env=self._environment(),
                stdin=subprocess.PIPE,  # never written to: it ends when we do, see gunicorn_conf.py
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
            lock.truncate(0)
            lock.write(str(self._process.pid))
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Let the server finish its requests and end it; does nothing when it is not running."""
        if self.running:
            try:
                os.kill(self._pid, signal.SIGTERM)
            except ProcessLookupError:  # its leader was killed, and workers are left
                self.kill()
        if not self._gone(within=_STOP_SECONDS):
            self.kill()

    def kill(self) -> None:
        """End every process of the server at once, as a crash would; does nothing when it is not running."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):  # gone since
                os.killpg(self._pid, signal.SIGKILL)
        if not self._gone(within=_STOP_SECONDS):
            raise TomSetupError(f"processes of {self.name} survive being killed: see {self._lock}")

    def manage(self, *args: str, stdin: str | None = None) -> str:
        """Run ``manage.py`` with these arguments and return what it printed on standard output.

        Raises
        ------
        TomSetupError
            When it fails; the message has its output.
        """
        return call([self.python, "manage.py", *args], cwd=self.dir, env=self._environment(), stdin=stdin)

    @contextlib.contextmanager
    def managing(self, *args: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a ``manage.py`` command that does not end by itself, with its output in a file; end it afterwards."""
        command: list[str | Path] = [self.python, "manage.py", *args]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait()

    def run_script(self, path: Path, payload: object = None) -> object:
        """Run a Python script inside the TOM's Django, with `payload` as JSON on standard input, and return its result.

        The result is the JSON in the last line that the script prints with `RESULT_MARKER` before it.

        Raises
        ------
        TomSetupError
            When the script fails or prints no result.
        """
        runner = "import runpy, sys; import django; django.setup(); runpy.run_path(sys.argv[1], run_name='__main__')"
        command: list[str | Path] = [self.python, "-c", runner, path.resolve()]
        output = call(command, cwd=self.dir, env=self._environment(), stdin=json.dumps(payload))
        for line in reversed(output.splitlines()):
            if line.startswith(RESULT_MARKER):
                return json.loads(line.removeprefix(RESULT_MARKER))
        raise TomSetupError(f"{path.name} printed no result in {self.name}:\n{output[-2000:]}")

    def log_tail(self, n: int = 20) -> str:
        """Return the last `n` lines of the server's log."""
        return tail(self._log, n)

    @property
    def _pid(self) -> int:
        """The server's first process, and the group of all; its own while the lock is held."""
        return int(self._lock.read_text())

    @property
    def _log(self) -> Path:
        return self.dir / "gunicorn.log"

    @property
    def _lock(self) -> Path:
        return self.dir / "gunicorn.lock"

    def _environment(self) -> dict[str, str]:
        return child_environment(DJANGO_SETTINGS_MODULE=f"{PROJECT}.settings", PYTHONPATH=str(self.dir))

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise TomSetupError(f"{self.name} ended while it was starting:\n{self.log_tail(_LOG_LINES)}")
            if _answers(self.port):
                return
            time.sleep(_POLL_SECONDS)
        raise TomSetupError(f"{self.name} did not answer at {self.url} in {_READY_SECONDS:.0f} s:\n{self.log_tail(_LOG_LINES)}")

    def _gone(self, *, within: float) -> bool:
        """Wait until no process of the server is left; say whether that came true."""
        deadline = time.monotonic() + within
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        if self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
        return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/robots.txt")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False  # not yet listening, or not yet able to answer
    finally:
        connection.close()
