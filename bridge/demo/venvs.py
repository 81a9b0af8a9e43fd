"""Installs TOM Toolkit: one virtual environment for each version, kept in a cache directory.

Two versions of TOM Toolkit cannot share an environment, and one takes a minute to install, so each version gets its
own, made once and used by every TOM of that version on this machine.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path

__all__ = [
    "TOM_VERSIONS",
    "TomSetupError",
    "cache_dir",
    "child_environment",
    "ensure_toolkit",
    "ensure_toolkits",
    "locked",
    "progress",
    "tail",
]

TOM_VERSIONS = ("2.32.4", "3.1.0")
"""The versions of TOM Toolkit that the bridge is tested with: the last 2.x and the first 3.x whose API has tokens."""

_GUNICORN = "gunicorn==27.0.1"
_POSTGRES_DRIVER = "psycopg2-binary==2.9.13"
_DISTRIBUTION = "tom-bridge"
_PYTHONS = ((3, 10), (3, 13))
"""The oldest and newest Python that these versions of TOM Toolkit declare."""

_MARKER = "installed.txt"
"""Written last into an environment; names its requirements, one a line."""

_SAY_EVERY_SECONDS = 5.0
_LOCK_POLL_SECONDS = 0.2
_LOCK_DEADLINE_SECONDS = 900.0
"""How long to wait for another process that is installing the same version: several times what a slow install takes."""


class TomSetupError(Exception):
    """A TOM could not be installed, created, started or asked."""


def cache_dir() -> Path:
    """Return the directory that keeps what is made once: ``$TOM_BRIDGE_CACHE``, or ``~/.cache/tom-bridge``."""
    chosen = os.environ.get("TOM_BRIDGE_CACHE")
    # Absolute, because a virtual environment's scripts name their interpreter and are run from other directories.
    return Path(chosen).expanduser().resolve() if chosen else Path.home() / ".cache" / "tom-bridge"


def child_environment(**extra: str) -> dict[str, str]:
    """Return the environment for processes that run with a TOM's own Python, with `extra` added.

    Our own ``PYTHON*`` and Django variables would make that Python import our packages, or another project's settings.
    """
    foreign = ("PYTHON", "DJANGO_", "GUNICORN_")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | extra


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a log; empty when there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold a lock between processes and threads, calling `waiting` now and then while it has to be waited for.

    Yields the lock's file descriptor: a child process that inherits it keeps the lock if this process is killed.

    Raises
    ------
    TomSetupError
        When somebody else keeps it longer than a slow install could take.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_DEADLINE_SECONDS
    tell_at = time.monotonic()
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TomSetupError(f"another process has held {path} for {_LOCK_DEADLINE_SECONDS:.0f} s") from None
                if time.monotonic() >= tell_at:
                    waiting()
                    tell_at += _SAY_EVERY_SECONDS
                time.sleep(_LOCK_POLL_SECONDS)  # flock can wait only without a deadline
        yield file.fileno()


@contextmanager
def progress(doing: str, *, say: Callable[[str], None]) -> Iterator[None]:
    """Say what is being done and, every few seconds until it is done, for how long."""
    began = time.monotonic()
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_SAY_EVERY_SECONDS):
            say(f"{doing} ... {time.monotonic() - began:.0f} s")

    say(f"{doing} ...")
    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
    say(f"{doing} ... done in {time.monotonic() - began:.0f} s")


def ensure_toolkit(version: str, *, say: Callable[[str], None], postgres: bool = False, bridge: bool = False) -> Path:
    """Return the Python of an environment with this version of TOM Toolkit, installing it when it is missing.

    Parameters
    ----------
    version
        A TOM Toolkit release, such as ``"3.1.0"``.
    say
        Told what happens, a line at a time, and at least every ten seconds while something is being installed; called
        from another thread then.
    postgres
        Whether TOMs of this version are to use PostgreSQL; an environment without its driver gets it.
    bridge
        Whether TOMs of this version are to run a Django app of the bridge; an environment without what the bridge
        requires gets that, and not the bridge itself, which is this checkout's and differs from one to the next.

    Raises
    ------
    TomSetupError
        When the installation fails; the message ends with the log's last lines and its path.
    """
    wanted = {f"tomtoolkit=={version}", _GUNICORN}
    wanted |= {_POSTGRES_DRIVER} if postgres else set()
    wanted |= _base_requirements() if bridge else set()
    venv = cache_dir() / "venvs" / f"tom-{version}"
    python = venv / "bin" / "python"
    if not _missing(venv, wanted):
        return python
    _check_python()

    def waiting() -> None:
        say(f"waiting for another process that is installing TOM Toolkit {version}")

    with locked(venv.with_name(f"{venv.name}.lock"), waiting=waiting) as lock:
        if missing := _missing(venv, wanted):
            _install(venv, wanted, missing, title=f"TOM Toolkit {version}", lock=lock, say=say)
    return python


def ensure_toolkits(
    versions: Sequence[str] = TOM_VERSIONS, *, say: Callable[[str], None], postgres: bool = False
) -> dict[str, Path]:
    """Do what `ensure_toolkit` does for several versions at the same time; return version -> Python.

    `say` is called from several threads.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(versions)), thread_name_prefix="toolkit") as pool:
        jobs = {version: pool.submit(ensure_toolkit, version, say=say, postgres=postgres) for version in versions}
        return {version: job.result() for version, job in jobs.items()}


def _base_requirements() -> set[str]:
    """Return what ``pip install tom-bridge`` brings along: nothing of its extras."""
    return {requirement for requirement in requires(_DISTRIBUTION) or () if "extra ==" not in requirement}


def _check_python() -> None:
    lowest, highest = _PYTHONS
    if not lowest <= sys.version_info[:2] <= highest:
        found = ".".join(str(part) for part in sys.version_info[:2])
        raise TomSetupError(
            f"TOM Toolkit runs on Python {lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}, and this is {found}: "
            "run the bridge with one of those"
        )


def _missing(venv: Path, wanted: set[str]) -> set[str]:
    marker = venv / _MARKER
    installed = set(marker.read_text().splitlines()) if marker.exists() else set()
    # An environment is made of links to the interpreter it was made with, which may have been removed since.
    return wanted - installed if (venv / "bin" / "python").exists() else wanted


def _install(venv: Path, wanted: set[str], missing: set[str], *, title: str, lock: int, say: Callable[[str], None]) -> None:
    """Bring one environment up to `wanted`; the caller holds its lock."""
    log = venv.with_name(f"{venv.name}.log")
    log.unlink(missing_ok=True)
    marker = venv / _MARKER
    complete = wanted
    with progress(f"installing {title}", say=say):
        if missing == wanted:
            # Nothing there, or what an interrupted installation left behind, which is not worth trusting.
            if venv.exists():
                shutil.rmtree(venv)
            _run([sys.executable, "-m", "venv", str(venv)], log=log, title=title, lock=lock)
        else:
            complete = wanted | set(marker.read_text().splitlines())
            marker.unlink()
        # Compiling all of astropy and its like takes longer than compiling, at first use, what a TOM imports of it.
        options = ["--no-input", "--disable-pip-version-check", "--prefer-binary", "--no-compile", "--progress-bar=off"]
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", *options]
        _run([*pip, *sorted(complete)], log=log, title=title, lock=lock)
        written = marker.with_suffix(".new")
        written.write_text("".join(f"{requirement}\n" for requirement in sorted(complete)))
        written.replace(marker)


def _run(command: list[str], *, log: Path, title: str, lock: int) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            pass_fds=(lock,),  # so that nobody begins anew beside a pip that outlives us
            check=False,
        )
    if done.returncode:
        raise TomSetupError(f"installing {title} failed:\n{tail(log, 15)}\nThe whole log is {log}")
