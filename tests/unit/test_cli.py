"""The command line: help that explains itself, results on stdout, complaints with file, key and fix on stderr."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bridge import __version__, schemas
from bridge.cli import app, run
from bridge.codecs.native import to_structured
from bridge.errors import BridgeError, Poison
from bridge.events import EVENT_TYPES

RUNNER = CliRunner()
EVENTS = [to_structured(event) for event in schemas.example_events().values()]


def commands() -> dict[tuple[str, ...], typer.core.TyperCommand]:
    """Return every command by its words."""
    found = {}
    waiting = [((), typer.main.get_command(app))]
    while waiting:
        words, command = waiting.pop()
        for name, inner in getattr(command, "commands", {}).items():
            waiting.append(((*words, name), inner))
        if words and not hasattr(command, "commands"):
            found[words] = command
    return found


COMMANDS = commands()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text('[DATA_SHARING.s]\nBASE_URL = "kafka://127.0.0.1:1/"\nUSER_TOPICS = ["tom.shares"]\n')
    return path


def test_the_commands_are_these() -> None:
    assert {" ".join(words) for words in COMMANDS} >= {
        "check", "publish", "consume", "share", "demo", "topics list", "topics create", "topics describe",
        "schema list", "schema show", "schema validate", "schema write",
    }  # fmt: skip


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_help_says_what_a_command_does_and_what_each_option_is(words: tuple[str, ...]) -> None:
    result = RUNNER.invoke(app, [*words, "--help"])
    command = COMMANDS[words]
    unexplained = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]

    assert result.exit_code == 0
    assert command.help
    assert command.help.split("\n")[0].endswith((".", "do.", ":"))
    assert unexplained == []


def test_without_arguments_help_is_shown() -> None:
    result = RUNNER.invoke(app, [])

    assert "Share targets and data between TOMs" in result.output


def test_the_version_is_told() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"tom-bridge {__version__}\n"


def test_types_are_listed_with_what_they_are() -> None:
    lines = RUNNER.invoke(app, ["schema", "list"]).stdout.splitlines()

    assert [line.split()[0] for line in lines] == list(EVENT_TYPES)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_schema_is_shown_as_json(event_type: str) -> None:
    assert json.loads(RUNNER.invoke(app, ["schema", "show", event_type]).stdout) == schemas.json_schema(event_type)


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    result = RUNNER.invoke(app, ["schema", "show", "tom.target"])

    assert isinstance(result.exception, BridgeError)
    assert "tom.target.shared.v1" in str(result.exception)


def test_schemas_are_written_and_then_up_to_date(tmp_path: Path) -> None:
    folder = str(tmp_path / "schemas")

    assert RUNNER.invoke(app, ["schema", "write", folder]).exit_code == 0
    assert RUNNER.invoke(app, ["schema", "write", folder, "--check"]).exit_code == 0
    (tmp_path / "schemas" / "asyncapi.json").write_text("{}")
    assert isinstance(RUNNER.invoke(app, ["schema", "write", folder, "--check"]).exception, Poison)


def test_a_file_of_events_is_validated(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n\n".join(EVENTS) + "\n", encoding="utf-8")

    assert RUNNER.invoke(app, ["schema", "validate", str(path)]).stdout == "5 events, all valid\n"


def test_standard_input_is_a_file_too() -> None:
    assert RUNNER.invoke(app, ["schema", "validate", "-"], input="\n".join(EVENTS)).stdout == "5 events, all valid\n"


WRONG_LINES = {
    "no JSON": "{",
    "no object": "[]",
    "no event": "{}",
    "a body that is none": EVENTS[0].replace('"SIDEREAL"', '"PLANET"'),
    "a type for later": EVENTS[0].replace("tom.target.shared.v1", "tom.target.withdrawn.v1"),
    "too large": EVENTS[0].replace("SN 2024abc", "x" * 950_000),
}


@pytest.mark.parametrize("case", WRONG_LINES)
def test_a_wrong_line_is_named_and_nothing_is_published(tmp_path: Path, config: Path, case: str) -> None:
    """The broker of these settings does not exist: the complaint comes before anything is sent."""
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([*EVENTS[:2], WRONG_LINES[case], EVENTS[3]]), encoding="utf-8")
    result = RUNNER.invoke(app, ["publish", str(path), "--to", "s:tom.shares", "--config", str(config)])

    assert isinstance(result.exception, Poison)
    assert f"{path}, line 3: " in str(result.exception)
    assert "published" not in result.stdout


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int | str | None
    stdout: str
    stderr: str


class Shell:
    """Runs the command line as ``tom-bridge`` does, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["tom-bridge", *arguments])
        with pytest.raises(SystemExit) as end:
            run()
        written = self._capsys.readouterr()
        return Done(end.value.code, written.out, written.err)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOM_BRIDGE_CONFIG", raising=False)
    return Shell(monkeypatch, capsys)


MISTYPED = '[DATA_SHARING.s]\nBASE_URL = "kafka://h/"\nUSER_TOPIC = []\n'
MISTAKES = {
    "no file": ("", ["check"], "bridge.toml: cannot be read"),
    "a misspelt key": (
        MISTYPED,
        ["publish", "x", "--to", "s:t"],
        "[DATA_SHARING.s] USER_TOPIC: USER_TOPIC is unknown; did you mean USER_TOPICS?",
    ),
    "an unknown stream": ("[DATA_SHARING]\n", ["topics", "list", "s"], "[DATA_SHARING.s]: s is unknown"),
    "an unknown consumer": ("[consumers]\n", ["consume", "x"], "[consumers.x]: x is unknown"),
    "an unknown TOM": (MISTYPED.replace("TOPIC ", "TOPICS "), ["share", "my-tom", "a", "--to", "s:t"], "my-tom is unknown"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_misconfiguration_ends_with_2_and_a_sentence_on_stderr(shell: Shell, tmp_path: Path, case: str) -> None:
    text, arguments, complaint = MISTAKES[case]
    if text:
        (tmp_path / "bridge.toml").write_text(text)
    done = shell(*arguments)

    assert done.code == 2
    assert done.stderr.startswith("tom-bridge: bridge.toml: ")
    assert complaint in done.stderr
    assert done.stdout == ""


def test_work_that_fails_ends_with_1(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("{")
    done = shell("schema", "validate", "events.jsonl")

    assert done.code == 1
    assert done.stderr.startswith("tom-bridge: bad_json: events.jsonl, line 1: ")
    assert done.stdout == ""


def test_a_check_that_finds_something_wrong_ends_with_1_and_says_what_on_stdout(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(MISTYPED)
    done = shell("check", "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.code == 1
    assert [(finding["what"], finding["level"]) for finding in findings] == [("configuration", "wrong")]
    assert "did you mean USER_TOPICS?" in findings[0]["detail"]


def test_an_unknown_option_is_a_usage_error(shell: Shell) -> None:
    done = shell("check", "--confg", "x")

    assert done.code == 2
    assert "--confg" in done.stderr


def test_a_file_that_cannot_be_read_is_named(shell: Shell) -> None:
    assert "gone.jsonl: cannot be read" in shell("schema", "validate", "gone.jsonl").stderr


def test_the_module_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "bridge", "check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("tom-bridge: bridge.toml: cannot be read")
    assert "--config" in done.stderr
    assert done.stdout == ""
