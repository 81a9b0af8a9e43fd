"""What a TOM's directory begins with: TOM Toolkit's generated project, and the settings laid over it."""

from __future__ import annotations

import ast
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from bridge.demo.venvs import TomSetupError, child_environment, locked, progress

__all__ = ["PROJECT", "add_apps", "call", "copy_project", "is_ours", "settings_text"]

PROJECT = "tom_site"
"""The generator's name for the project. Every TOM has it, so that one generated project can be copied for all."""

_PACKAGE = Path(__file__).parents[1]
"""This very package's folder: of the checkout that runs, wherever it is installed from."""

_CALL_SECONDS = 900.0
_SETUP_ANSWERS = "y\n\n1\nn\n"
"""To ``tom_setup``: go on, name the app as proposed (custom_code), sidereal targets by default, no hints."""

_SERVE_STATIC_FILES = """

# runserver would do this by itself: without it, gunicorn serves pages that have no style.
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler

if settings.DEBUG:
    application = StaticFilesHandler(application)
"""


def call(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output.

    Raises
    ------
    TomSetupError
        When it fails or takes too long; the message ends with its output.
    """
    shown = " ".join(str(word) for word in command[:4])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=_CALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TomSetupError(f"{shown} in {cwd} took more than {_CALL_SECONDS:.0f} s") from error
    if done.returncode:
        output = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}".strip()
        raise TomSetupError(f"{shown} in {cwd} failed with {done.returncode}:\n{output}")
    return done.stdout


def copy_project(directory: Path, *, version: str, python: Path, with_database: bool, say: Callable[[str], None]) -> None:
    """Put a generated project into an empty directory, with a migrated SQLite database if wanted.

    The project is generated once for each environment and kept in it, so that it goes when the environment goes.
    """
    venv = python.parent.parent
    kept = venv / PROJECT

    def waiting() -> None:
        say(f"waiting for another process that is generating a TOM {version}")

    if not kept.exists():
        with locked(venv.with_name(f"{venv.name}.lock"), waiting=waiting):
            if not kept.exists():
                _generate(kept, version=version, python=python, say=say)
    leave_out = shutil.ignore_patterns("__pycache__", *(() if with_database else ("db.sqlite3",)))
    shutil.copytree(kept, directory, ignore=leave_out, dirs_exist_ok=True)


def _generate(kept: Path, *, version: str, python: Path, say: Callable[[str], None]) -> None:
    scratch = tempfile.TemporaryDirectory(dir=kept.parent, prefix="project-")
    with progress(f"generating and migrating a TOM {version}", say=say), scratch as parent:
        project = Path(parent) / PROJECT
        project.mkdir()
        env = child_environment()
        # The generator refuses a name that can be imported from where it runs, and here it could.
        call([python, "-m", "django", "startproject", PROJECT, project], cwd=Path("/"), env=env)
        settings = project / PROJECT / "settings.py"
        text = settings.read_text()
        settings.write_text(text.replace("INSTALLED_APPS = [", "INSTALLED_APPS = ['tom_setup',", 1))
        call([python, "manage.py", "tom_setup"], cwd=project, env=env, stdin=_SETUP_ANSWERS)
        (project / "db.sqlite3").unlink(missing_ok=True)  # migrated by tom_setup, but without the TOM's own apps
        with (project / PROJECT / "wsgi.py").open("a") as wsgi:
            wsgi.write(_SERVE_STATIC_FILES)
        call([python, "manage.py", "migrate", "--noinput", "--verbosity", "0"], cwd=project, env=env)
        project.rename(kept)


def is_ours(app: str) -> bool:
    """Say whether a Django app is one of this package."""
    return app.split(".", maxsplit=1)[0] == _PACKAGE.name


def add_apps(directory: Path, apps: Sequence[str]) -> None:
    """Add Django apps to a copied project: at the end of its settings, where an administrator would write them.

    For apps of this package, the package's folder is linked into the project's, which is on the TOM's path. So the TOM
    runs this checkout, and sees none of our other packages.
    """
    if any(is_ours(app) for app in apps):
        (directory / _PACKAGE.name).symlink_to(_PACKAGE, target_is_directory=True)
        number = version_of("tom-bridge")
        # What an installation would have left: the package asks for its own version.
        described = directory / f"tom_bridge-{number}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tom-bridge\nVersion: {number}\n")
    with (directory / PROJECT / "settings.py").open("a") as settings:
        settings.write(f"\nINSTALLED_APPS += {list(apps)!r}\n")


def settings_text(
    directory: Path, *, name: str, database: str | None, cheap_passwords: bool, settings: Mapping[str, object]
) -> str:
    """Return a TOM's ``local_settings.py``: what makes it this TOM, then `settings`, which have the last word."""
    mine: dict[str, object] = {
        "TOM_NAME": name,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DEBUG": True,  # as generated; it also is what makes a TOM serve its data products' files
        "ALLOWED_HOSTS": ["127.0.0.1", "localhost"],
        # As generated, all TOMs of a machine would share one cache directory.
        "CACHES": {
            "default": {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": str(directory / "tmp" / "cache"),
            }
        },
    }
    if database is not None:
        mine["DATABASES"] = {"default": _database(database)}
    if cheap_passwords:
        mine["PASSWORD_HASHERS"] = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return "".join(f"{key} = {_literal(key, value)}\n" for key, value in (mine | dict(settings)).items())


def _literal(key: str, value: object) -> str:
    text = repr(value)
    try:
        same = bool(ast.literal_eval(text) == value)
    except (SyntaxError, ValueError):
        same = False
    if not (same and key.isidentifier() and key.isupper()):
        raise TomSetupError(f"the setting {key} is not an upper-case name with a value of plain Python literals")
    return text


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise TomSetupError("a TOM's database is a postgres://user:password@host:port/name URL, or None for SQLite")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or parse_qs(parts.query).get("host", [""])[0],
        "PORT": str(parts.port or ""),
    }
