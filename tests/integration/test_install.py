"""Installing the bridge into a TOM's environment adds packages and changes none that are there."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bridge
from bridge.demo.toms import TOM_VERSIONS, ensure_toolkit
from bridge.demo.venvs import child_environment

ROOT = Path(bridge.__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
OF_A_TOM = ("tomtoolkit", "gunicorn", "psycopg2-binary", "pip", "setuptools")
"""What an administrator installs, as far as it is there; what these require belongs to the TOM, too."""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of this project: pip's build leaves files beside the sources."""
    copy = tmp_path / "tom-bridge"
    shutil.copytree(ROOT / "bridge", copy / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.mark.parametrize("version", TOM_VERSIONS)
def test_installing_the_bridge_changes_no_package_of_a_tom(sources: Path, tmp_path: Path, version: str) -> None:
    python = ensure_toolkit(version, say=print)
    [packages] = (python.parent.parent / "lib").glob("python*/site-packages")
    installed = {canonicalize_name(found.name): found for found in distributions(path=[str(packages)])}
    of_the_tom = with_what_they_require(OF_A_TOM, installed)
    ours = {canonicalize_name(Requirement(text).name) for text in requires("tom-bridge") or () if "extra ==" not in text}

    would_be_installed = dry_run(python, environment_of(python, of_the_tom, tmp_path / "environment"), sources)

    assert {"tomtoolkit", "django", "requests"} <= of_the_tom.keys()
    assert would_be_installed.keys() >= {"tom-bridge"} | ours - of_the_tom.keys()
    changed = {name: (of_the_tom[name].version, new) for name, new in would_be_installed.items() if name in of_the_tom}
    assert changed == {}


@pytest.mark.parametrize("version", TOM_VERSIONS)
def test_an_environment_that_has_what_the_bridge_requires_is_sound(sources: Path, version: str) -> None:
    python = ensure_toolkit(version, say=print, bridge=True)

    assert dry_run(python, python, sources).keys() == {"tom-bridge"}
    assert "No broken requirements found" in pip(python, "check")


def with_what_they_require(names: tuple[str, ...], installed: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """Return the named packages and all that they require, however far, among the installed ones; extras included."""
    done, waiting = set(), {(canonicalize_name(name), frozenset({""})) for name in names if name in installed}
    while waiting:
        name, extras = package = waiting.pop()
        done.add(package)
        for requirement in map(Requirement, installed[name].requires or ()):
            needed = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
            required = (canonicalize_name(requirement.name), frozenset({"", *requirement.extras}))
            if needed and required[0] in installed and required not in done:
                waiting.add(required)
    return {name: installed[name] for name, _ in done}


def environment_of(python: Path, packages: Mapping[str, Distribution], directory: Path) -> Path:
    """Make an environment that has these packages as far as pip can see, and return its Python.

    TOMs share theirs, which may have got what the bridge requires already; installing another takes a minute. pip looks at
    nothing but what describes the packages.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", directory], env=child_environment(), check=True, timeout=60)
    [target] = (directory / "lib").glob("python*/site-packages")
    for package in packages.values():
        described = target / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(package.read_text("METADATA") or "", encoding="utf-8")
    return directory / "bin" / "python"


def dry_run(python: Path, environment: Path, sources: Path) -> dict[str, str]:
    """Return the names and versions of what a TOM's own pip would install into an environment."""
    options = ["--dry-run", "--quiet", "--report", "-", "--no-input", "--prefer-binary"]
    report: dict[str, Any] = json.loads(pip(python, "--python", str(environment), "install", *options, str(sources)))
    described = [item["metadata"] for item in report["install"]]
    return {canonicalize_name(metadata["name"]): metadata["version"] for metadata in described}


def pip(python: Path, *arguments: str) -> str:
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
