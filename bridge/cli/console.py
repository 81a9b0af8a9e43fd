"""What every command needs: options, settings, and how things are printed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bridge.settings import Settings
from bridge.settings.files import DEFAULT_FILES, settings_file
from bridge.telemetry import printable

__all__ = [
    "ConfigOption", "DjangoOption", "JsonOption", "counted", "err", "now", "out", "print_json", "progress", "read_settings",
    "warn",
]  # fmt: skip

out = Console(soft_wrap=True, emoji=False)  # a name with ":bomb:" in it has no bomb in it
err = Console(stderr=True, soft_wrap=True, emoji=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TOM_BRIDGE_CONFIG", help=f"TOML file; default: {' or '.join(DEFAULT_FILES)}."),
]
DjangoOption = Annotated[
    str | None,
    typer.Option("--django-settings", help="Read DATA_SHARING from this Django settings module instead of a file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def read_settings(config: Path | None, django_settings: str | None) -> Settings:
    """Read the settings that the options name."""
    if django_settings:
        return Settings.from_django(django_settings)
    return Settings.from_toml(settings_file(config))


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """Show a progress bar on a terminal, on stderr; yields the function that moves it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def counted(count: int, thing: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def warn(text: str) -> None:
    """Say something that a person should know, on stderr; one line, whatever others wrote that is in it."""
    line = printable(text).replace("\n", "\\n")
    err.print(f"[yellow]warning:[/] {escape(line)}", highlight=False)


def print_json(document: object, indent: int | None = None) -> None:
    """Print JSON on stdout."""
    print(json.dumps(document, ensure_ascii=False, indent=indent))  # noqa: T201  results go to stdout


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)
