"""The structure that design.md draws: imports point down, one outside library behind one door, honest ``__all__``."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

ROOT = Path(bridge.__file__).parent

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "errors",
        "events",
        "settings",
        "codecs translate verdict ledger",
        "hopskotch blobs metrics hermes_api stopping telemetry wsgi",
        "kafka tom hermes_publisher",
        "consumer",
        "emitter observe gateway",
        "health publishing",
        "subscribing",
        "schemas",
        "check",
        "demo",
        "cli",
        "__main__",
    )
)
"""What may import what, low to high. hop's credentials and files' bytes are doors that other doors open."""

DOORS = {
    "confluent_kafka": {"kafka"},
    "requests": {"tom.transport", "blobs", "hermes_api"},
    "hop": {"hopskotch"},
    "fsspec": {"blobs"},
    "typer": {"cli", "demo"},
    "rich": {"cli", "demo"},
    "prometheus_client": {"metrics", "observe.page.scrape"},
    "pyarrow": {"observe.parquet"},
    "matplotlib": {"observe.plot"},
    "django": {"emitter"},
    "guardian": {"emitter"},
    "flask": {"gateway", "observe.page.app"},
    "werkzeug": {"gateway", "observe.page.app"},
    "waitress": {"wsgi"},
    "tom_targets": {"emitter"},
}
"""Outside library -> the modules, or whole packages, that may import it."""


def module_names() -> dict[str, Path]:
    """Return every module of the package below ``bridge``, by its name there; scripts that run in a TOM are none."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[:2] != ("demo", "scripts"):
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = module_names()


def imports(name: str) -> Iterator[str]:
    """Yield what a module imports, wherever in it: absolute names, of our own down to the module."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} uses a relative import"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix("bridge.")
                yield f"bridge.{inner}" if module.split(".")[0] == "bridge" and inner in MODULES else module


def own_imports(name: str) -> set[str]:
    """Return our modules that a module imports, without ``bridge.`` and without the package itself."""
    ours = {found.removeprefix("bridge.") for found in imports(name) if found.startswith("bridge.")}
    return {found for found in ours if found in MODULES and found != name}


def part_of(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def layer_of(name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part_of(name) in layer)


def may_import(name: str, other: str) -> bool:
    return layer_of(other) < layer_of(name) or part_of(name) == part_of(other)


NAMES = sorted(set(MODULES) - {""})
EXPORTING = [name for name in NAMES if len(ast.parse(MODULES[name].read_text(encoding="utf-8")).body) > 1]
"""Modules with more than a docstring."""


@pytest.mark.parametrize("name", NAMES)
def test_every_module_has_its_place_in_a_layer(name: str) -> None:
    assert any(part_of(name) in layer for layer in LAYERS), f"{name}: give it a layer here and in design.md"


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down_the_layers(name: str) -> None:
    upward = {other for other in own_imports(name) if not may_import(name, other)}

    assert upward == set()


def test_the_package_itself_loads_nothing_before_it_is_asked_for() -> None:
    loads = "import bridge, sys; print(*(name for name in sys.modules if name.partition('.')[0] in {sys.argv[1], sys.argv[2]}))"
    command = [sys.executable, "-c", loads, "bridge", "confluent_kafka"]

    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split() == ["bridge"]


def test_imports_form_no_cycle() -> None:
    edges = {name: own_imports(name) for name in NAMES}
    done: set[str] = set()
    while ready := {name for name in edges if name not in done and edges[name] <= done}:
        done |= ready

    assert set(edges) - done == set()


@pytest.mark.parametrize("library", sorted(DOORS))
def test_an_outside_library_stands_behind_its_door_alone(library: str) -> None:
    users = {name for name in NAMES if any(part_of(found) == library for found in imports(name))}

    assert users, f"nothing imports {library} any more: take it off the list and out of pyproject.toml"
    assert {name for name in users if name not in DOORS[library] and part_of(name) not in DOORS[library]} == set()


@pytest.mark.parametrize("name", EXPORTING)
def test_all_is_sorted_and_everything_in_it_exists(name: str) -> None:
    exported, there = exports(name)

    assert list(exported) == sorted(exported, key=ruff_order)
    assert [item for item in exported if item not in there] == []
    assert len(set(exported)) == len(exported)


def exports(name: str) -> tuple[list[str], set[str]]:
    """Return what a module exports, and what it has; a module that only a TOM can import is read instead."""
    if part_of(name) != "emitter":
        module = importlib.import_module(f"bridge.{name}")
        return list(module.__all__), set(dir(module))
    defined: dict[str, ast.expr | None] = {}
    for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            defined[node.name] = None
        elif isinstance(node, ast.Assign):
            defined |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
    exported = defined.get("__all__")
    assert exported is not None, f"{name} has no __all__"
    return list(ast.literal_eval(exported)), set(defined)


def ruff_order(item: str) -> tuple[int, str]:
    """Sort as ruff's RUF022 does: constants, then classes, then the rest."""
    kind = 0 if item.isupper() else 1 if item.lstrip("_")[:1].isupper() else 2
    return kind, item


def test_the_words_can_be_had_without_kafka_http_or_a_command_line() -> None:
    """Who only wants to read or write share events does not load the doors' libraries."""
    reached, waiting = set(), {"events", "codecs.native", "settings", "verdict", "translate.dialect"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= own_imports(name) - reached
    outside = {part_of(found) for name in reached for found in imports(name)} - sys.stdlib_module_names - {"bridge"}

    assert outside == {"pydantic"}
