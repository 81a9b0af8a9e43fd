"""What the documentation says of the code is true: generated pages, module names, commands, reasons, links."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bridge
from bridge.settings import (
    ConsumerSettings,
    EmitterSettings,
    GatewayClient,
    GatewaySettings,
    HermesEntry,
    Settings,
    StreamEntry,
    TomEntry,
)

PACKAGE = Path(bridge.__file__).parent
ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])

NAMED_AS = {"Rejected": 0, "refused": 0, "skipped": 0, "Poison": 0, "Halt": 0, "Failure": 1}
"""What takes a reason code -> which argument it is."""


def generator(name: str) -> ModuleType:
    """Load a script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls() -> Iterator[ast.Call]:
    for text in SOURCES.values():
        yield from (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def reasons() -> set[str]:
    """Return every reason code that the sources name."""
    found = set()
    for call in calls():
        place = NAMED_AS.get(getattr(call.func, "id", ""), len(call.args))
        if place < len(call.args):
            value = call.args[place]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
    return found


def prose(path: Path) -> str:
    """Return a page without its code blocks, which hold brackets of their own."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def is_a_test(path: Path, name: str) -> bool:
    return path.is_file() and re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), flags=re.MULTILINE) is not None


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["configuration", "cli", "metrics"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    script = generator(f"generate_{name}")

    assert script.page() == script.PATH.read_text(encoding="utf-8"), f"run: python docs/generate_{name}.py"


@pytest.mark.parametrize(
    "model",
    [TomEntry, StreamEntry, HermesEntry, ConsumerSettings, EmitterSettings, GatewaySettings, GatewayClient],
)
def test_every_key_of_the_settings_is_explained(model: type[Any]) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")

    assert [key for key in model.model_fields if f"| `{key}` |" not in page] == []
    assert [key for key, about in model.model_json_schema()["properties"].items() if not about.get("description")] == []


@pytest.mark.parametrize("model", [StreamEntry, ConsumerSettings, EmitterSettings, GatewaySettings, GatewayClient])
def test_every_key_of_the_settings_has_an_effect(model: type[Any]) -> None:
    used = {node.attr for text in SOURCES.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}

    assert set(model.model_fields) - used == set()


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.endswith("__init__.py") and "scripts/" not in name])
def test_the_architecture_names_every_module(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "architecture.md").read_text(encoding="utf-8")


def test_the_architecture_names_no_module_that_is_not_there() -> None:
    named = re.findall(r"^\| `([\w/]+\.py)` \|", (DOCS / "architecture.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert [name for name in named if name not in SOURCES] == []


def test_the_command_line_page_has_every_command_and_option() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    names = [name for name, _function in generator("generate_cli").commands()]
    commands = "".join(text for path, text in SOURCES.items() if path.startswith("cli/"))
    options = {name for name in re.findall(r'"(--?[a-z][a-z-]*)"', commands) if name not in {"--help", "-h"}}

    assert [name for name in names if f"\n## {name}\n" not in page] == []
    assert sorted(option for option in options if f"`{option}" not in page and f" {option}`" not in page) == []


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_operators_find_every_reason(reason: str) -> None:
    pages = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("operators.md", "hermes.md"))

    assert f"`{reason}`" in pages


def test_the_reasons_are_found_in_the_sources() -> None:
    """The test above would hold of nothing, too."""
    assert {"ambiguous_target", "unmatched", "unstorable", "tom_login", "bad_json", "summary"} <= reasons()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        there = (path.parent / name) if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)

    assert broken == []


def test_every_test_that_a_page_names_is_there() -> None:
    named = [test for path in PAGES for test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", path.read_text(encoding="utf-8"))]

    assert len(named) > 20
    assert [f"{file}::{name}" for file, name in named if not is_a_test(ROOT / file, name)] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "operators.md", DOCS / "sharing.md"], ids=lambda path: path.name)
def test_settings_shown_in_the_pages_are_valid(path: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        file = tmp_path / "bridge.toml"
        file.write_text(block, encoding="utf-8")
        environment = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "x")

        assert list(Settings.from_toml(file, environment).problems()) == []


def test_nobody_is_told_to_install_a_name_that_the_index_does_not_have() -> None:
    texts = SOURCES | {path.name: path.read_text(encoding="utf-8") for path in PAGES}

    assert [name for name, text in texts.items() if re.search(r"pip install '?tom-bridge\[", text)] == []


def test_administrators_find_every_check_every_wrapped_name_and_every_option() -> None:
    page = (DOCS / "tom-administrators.md").read_text(encoding="utf-8")
    checks = set(re.findall(r'id="(bridge_emitter\.\w+)"', SOURCES["emitter/checks.py"]))
    wrapped = set(re.findall(r'module="([\w.]+)",\s+name="(\w+)"', SOURCES["emitter/sharing.py"]))
    commands = [text for name, text in SOURCES.items() if name.startswith("emitter/management/commands/")]
    options = {option for text in commands for option in re.findall(r'"(--[a-z-]+)"', text)}

    assert len(checks) > 5
    assert len(wrapped) > 5
    assert [check for check in sorted(checks) if f"| `{check}` |" not in page] == []
    assert [".".join(name) for name in sorted(wrapped) if f"| `{'.'.join(name)}` |" not in page] == []
    assert [option for option in sorted(options) if option not in page] == []


def examples_of_a_toms_settings() -> list[str]:
    page = (DOCS / "tom-administrators.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    return [*shown, (ROOT / "config" / "emitter_settings.py").read_text(encoding="utf-8")]


@pytest.mark.parametrize("text", examples_of_a_toms_settings(), ids=["page", "config"])
def test_the_examples_of_a_toms_settings_are_valid(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARE_STREAM_PASSWORD", "x")
    given: dict[str, Any] = {}
    exec(text, given)  # as a TOM's settings.py does
    sharing = Settings(origin="settings.py", sharing=given["DATA_SHARING"], consumers={}, environment=None)

    assert sharing.stream("share-stream").SOURCE_URL
    EmitterSettings.model_validate(given.get("TOM_BRIDGE", {}))


def test_the_example_configuration_is_valid() -> None:
    path = ROOT / "config" / "bridge.toml"
    environment = dict.fromkeys(re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")), "x")

    assert list(Settings.from_toml(path, environment).problems()) == []
