"""``serve`` says what is wrong before it opens anything."""

import builtins
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bridge.cli import app
from bridge.errors import Misconfigured

CONFIG = """\
[DATA_SHARING.share-stream]
BASE_URL = "kafka://127.0.0.1:9/"

[DATA_SHARING.not-my-tom]
BASE_URL = "https://not-my-tom.org/"

[consumers.not-my-tom]
subscribe = ["share-stream:tom.shares"]
accept_sources = ["*"]
"""


def serve(tmp_path: Path, *arguments: str) -> Result:
    config = tmp_path / "bridge.toml"
    config.write_text(CONFIG, encoding="utf-8")
    return CliRunner().invoke(app, ["serve", *arguments, "--config", str(config)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is unknown; known are: share-stream, not-my-tom"),
        (["not-my-tom"], "DATA_SHARING.not-my-tom"),
        (["share-stream", "--http", "localhost"], "is not HOST:PORT"),
        (["share-stream", "--consumer-http", "127.0.0.1:9464"], "expected CONSUMER=HOST:PORT"),
        (["share-stream", "--consumer-http", "another=127.0.0.1:9464"], "known are: not-my-tom"),
        (["share-stream", "--consumer-http", "not-my-tom=9464"], "is not HOST:PORT"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = serve(tmp_path, *arguments)

    assert isinstance(result.exception, Misconfigured)
    assert said in str(result.exception)


def test_what_has_to_be_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_flask(name: str, *rest: Any, **more: Any) -> Any:
        if name == "bridge.observe.page.app":
            raise ModuleNotFoundError("No module named 'flask'")
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_flask)
    result = serve(tmp_path, "share-stream")

    assert "pip install '.[serve]'" in str(result.exception)
