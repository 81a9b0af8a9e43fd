"""A real TOM that reads Hermes topics as TOMs do without the bridge: tom-alertstreams, with Hermes' own handler."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.demo.projects import add_apps
from bridge.demo.toms import Tom, create_tom
from bridge.demo.venvs import TomSetupError, cache_dir, child_environment, ensure_toolkit, locked, progress, tail

__all__ = ["HANDLERS", "ReadingTom", "ensure_readers", "reading_tom"]

TWO, THREE = "2.32.4", "3.1.0"
HANDLERS = {
    TWO: "tom_dataproducts.alertstreams.hermes.hermes_alert_handler",
    THREE: "tom_hermes.alertstreams.ingester.hermes_alert_handler",
}
"""Version of TOM Toolkit -> its handler of Hermes messages."""
_READER = "tom-alertstreams[hopskotch]==1.3.0"
_HOP = ("hop-client==0.13.0", "six==1.17.0")
_PACKAGES = {TWO: (_READER, *_HOP), THREE: (_READER, *_HOP, "tom-hermes==0.2.1")}
_APPS = {TWO: ("tom_alertstreams",), THREE: ("tom_alertstreams", "tom_hermes")}
_INSTALL_SECONDS = 600
_MARKER = "installed.json"


def ensure_readers(version: str, *, say: Callable[[str], None]) -> Path:
    """Return the Python of an environment with TOM Toolkit and what reads Hermes topics, made when it is missing.

    It lies over the environment of that version, whose packages it sees and does not change.
    """
    below = ensure_toolkit(version, say=say)
    venv = cache_dir() / "venvs" / f"tom-{version}-readers"
    python, marker = venv / "bin" / "python", venv / _MARKER
    wanted = json.dumps([str(below.resolve()), *_PACKAGES[version]])
    if marker.exists() and marker.read_text() == wanted and python.exists():
        return python
    title = f"tom-alertstreams for TOM Toolkit {version}"
    with locked(venv.with_name(f"{venv.name}.lock"), waiting=lambda: say(f"waiting for {title}")):
        if not (marker.exists() and marker.read_text() == wanted and python.exists()):
            with progress(f"installing {title}", say=say):
                _install(venv, below, _PACKAGES[version], title=title)
            marker.write_text(wanted)
    return python


def _install(venv: Path, below: Path, packages: tuple[str, ...], *, title: str) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    log = venv.with_name(f"{venv.name}.log")
    log.unlink(missing_ok=True)
    _run(below, "-m", "venv", "--without-pip", venv, log=log, title=title)
    [seen] = below.parent.parent.glob("lib/python*/site-packages")
    [own] = venv.glob("lib/python*/site-packages")
    (own / "below.pth").write_text(f"{seen}\n")  # pip counts what is there as installed, and leaves it alone
    options = ["--no-input", "--disable-pip-version-check", "--prefer-binary", "--no-compile", "--progress-bar=off"]
    into = ("-m", "pip", "--python", venv / "bin" / "python", "install")
    _run(below, *into, *options, *packages, log=log, title=title)


def _run(*command: str | Path, log: Path, title: str) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(),
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    if done.returncode:
        raise TomSetupError(f"installing {title} failed:\n{tail(log, 15)}\nThe whole log is {log}")


@dataclass(frozen=True)
class ReadingTom:
    """A TOM with ``readstreams``, and the topic that it reads."""

    tom: Tom
    topic: str

    def reading(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run ``readstreams``."""
        return self.tom.managing("readstreams", log=self.log)

    @property
    def log(self) -> Path:
        """What it has written."""
        return self.tom.dir / "readstreams.log"


def reading_tom(
    directory: Path,
    *,
    version: str,
    topic: str,
    stream: Mapping[str, Any],
    authorities: Path,
    say: Callable[[str], None] = print,
) -> ReadingTom:
    """Make a TOM that reads a topic of a stream.

    Parameters
    ----------
    directory
        For the TOM.
    version
        Of TOM Toolkit.
    topic
        What to read, from its beginning.
    stream
        ``URL``, ``USERNAME``, ``PASSWORD`` and ``GROUP_ID``.
    authorities
        Whose certificate the broker has.
    say
        Told what happens when it takes long.
    """
    options = {**stream, "TOPIC_HANDLERS": {topic: HANDLERS[version]}, "START_POSITION": "EARLIEST"}
    streams = [{"ACTIVE": True, "NAME": "tom_alertstreams.alertstreams.hopskotch.HopskotchAlertStream", "OPTIONS": options}]
    tom = create_tom(
        directory,
        version=version,
        name=f"Reader {version}",
        users={"alice": "alice-canary-pw", "bridge": "bridge-canary-pw"},
        superusers={"admin": "admin-pw"},
        settings={"ALERT_STREAMS": streams},
        cheap_passwords=True,
        say=say,
    )
    # tom-alertstreams trusts certifi's authorities and no others, so that a TOM adds its own to those.
    (directory / "certifi.py").write_text(f"def where():\n    return {str(authorities)!r}\n")
    add_apps(directory, _APPS[version])
    tom.python = ensure_readers(version, say=say)
    tom.manage("migrate", "--noinput")
    return ReadingTom(tom=tom, topic=topic)
