"""Creates real TOMs and finds them again: what the demo and the tests share between.

A TOM lives in a directory of its own: the project as TOM Toolkit's generator makes it, the database (unless it is
PostgreSQL's), the data products' files in ``data/``, ``gunicorn.log``, and ``tom.json``, from which `load_tom` finds it
again. The generator and the migrations run once for each version; further TOMs begin as copies of what they made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bridge.demo.installation import RESULT_MARKER, SCRIPTS, Tom
from bridge.demo.ports import free_port
from bridge.demo.projects import add_apps, copy_project, is_ours, settings_text
from bridge.demo.venvs import TOM_VERSIONS, TomSetupError, cache_dir, ensure_toolkit, ensure_toolkits

__all__ = [
    "RESULT_MARKER",
    "SCRIPTS",
    "TOM_VERSIONS",
    "Tom",
    "TomSetupError",
    "cache_dir",
    "create_tom",
    "ensure_toolkit",
    "ensure_toolkits",
    "load_tom",
]

_TOM_FILE = "tom.json"
_KEPT = ("name", "version", "port", "admin", "admin_password", "users", "database")


def _quiet(_line: str) -> None:
    """Tell nobody."""


def create_tom(
    directory: Path,
    *,
    version: str,
    name: str,
    users: Mapping[str, str],
    superusers: Mapping[str, str],
    groups: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, object] | None = None,
    apps: Sequence[str] = (),
    port: int | None = None,
    database: str | None = None,
    cheap_passwords: bool = False,
    say: Callable[[str], None] = _quiet,
) -> Tom:
    """Create a TOM that has users and no targets, and is not started.

    Parameters
    ----------
    directory
        A directory that is empty or not there.
    version
        The version of TOM Toolkit, which is installed if it is not yet.
    name
        TOM_NAME.
    users, superusers
        Name -> password. There has to be a superuser; the first becomes `Tom.admin`.
    groups
        Group name -> names of its members, who are among the users.
    settings
        Settings over those of TOM Toolkit's template and ours: plain Python values, such as a ``DATA_SHARING``.
    apps
        Django apps over those of TOM Toolkit's template, which are migrated, too. One of this package, such as
        ``"bridge.emitter"``, runs from this checkout; any other has to be in the TOM's environment.
    port
        On 127.0.0.1; a free one if not given.
    database
        The ``postgres://user:password@host:port/name`` URL of an empty database; SQLite if not given.
    cheap_passwords
        Whether to hash passwords so that checking one costs nothing: for tests, and wrong for benchmarks.
    say
        Told what happens when it takes long.

    Raises
    ------
    TomSetupError
        When something is missing or fails.
    """
    directory = directory.resolve()
    groups, everybody = groups or {}, {**superusers, **users}
    if not superusers:
        raise TomSetupError(f"{name} needs a superuser")
    if unknown := {member for members in groups.values() for member in members} - everybody.keys():
        raise TomSetupError(f"groups of {name} have members that are not its users: {', '.join(sorted(unknown))}")
    if wrong := [app for app in apps if not all(part.isidentifier() for part in app.split("."))]:
        raise TomSetupError(f"apps of {name} have to be importable names: {', '.join(wrong)}")
    if directory.exists() and any(directory.iterdir()):
        raise TomSetupError(f"cannot create {name} in {directory}: it is not empty (remove it, or choose another)")
    text = settings_text(directory, name=name, database=database, cheap_passwords=cheap_passwords, settings=settings or {})
    ours = any(is_ours(app) for app in apps)
    python = ensure_toolkit(version, say=say, postgres=database is not None, bridge=ours)
    copy_project(directory, version=version, python=python, with_database=database is None, say=say)
    if apps:
        add_apps(directory, apps)
    _write_private(directory / "local_settings.py", text)
    admin, admin_password = next(iter(superusers.items()))
    tom = Tom(
        dir=directory,
        name=name,
        version=version,
        port=port or free_port(),
        admin=admin,
        admin_password=admin_password,
        users=everybody,
        python=python,
        database=database,
    )
    people = {"superusers": dict(superusers), "users": dict(users)}
    memberships = {group: list(members) for group, members in groups.items()}
    migrate = database is not None or bool(apps)  # the copied database knows TOM Toolkit's own apps alone
    tom.run_script(SCRIPTS / "setup_tom.py", {"migrate": migrate, **people, "groups": memberships})
    kept = {key: getattr(tom, key) for key in _KEPT} | {"python": str(python)}
    _write_private(directory / _TOM_FILE, json.dumps(kept, indent=2) + "\n")  # last: where it is, the TOM is complete
    return tom


def load_tom(directory: Path) -> Tom:
    """Return the TOM that `create_tom` made in this directory.

    Raises
    ------
    TomSetupError
        When there is none, or it was never finished.
    """
    path = directory.resolve() / _TOM_FILE
    if not path.exists():
        raise TomSetupError(f"{directory} has no complete TOM (no {_TOM_FILE})")
    kept = json.loads(path.read_text())
    return Tom(dir=path.parent, **(kept | {"python": Path(kept["python"])}))


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
