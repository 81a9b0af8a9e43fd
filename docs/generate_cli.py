"""Write docs/cli.md from the command line itself: ``python docs/generate_cli.py``."""  # noqa: INP001

import inspect
import json
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from bridge.cli import app

__all__ = ["commands", "option_names", "page"]

PATH = Path(__file__).with_name("cli.md")

HEAD = """\
# The command line

<!-- Written by docs/generate_cli.py from bridge/cli. Do not edit. -->

`tom-bridge` comes with `pip install '.[cli]'` from a clone. Results go to stdout; progress, warnings and log lines to stderr.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | the work failed: a broker or a TOM refuses or is away, an event is wrong, `check` found something wrong |
| 2 | usage or configuration: a person must change a command or a setting |
| 130 | interrupted with Ctrl-C |

Destinations and topics are written as TOM Toolkit writes them: `<key>` is a TOM of `DATA_SHARING`, `<key>:<topic>` a topic
of a stream. `--config` and `--django-settings` say where the settings are; see [configuration](configuration.md). Every
command has `--help`, and `tom-bridge --version` prints the version.
"""

Command = tuple[str, Callable[..., Any]]
Parameter = tuple[inspect.Parameter, ArgumentInfo | OptionInfo]


def commands(application: typer.Typer = app, prefix: str = "tom-bridge") -> Iterator[Command]:
    """Yield every command: its full name, and the function behind it."""
    for command in application.registered_commands:
        function = command.callback
        if function is not None:
            yield f"{prefix} {command.name or function.__name__.replace('_', '-')}", function
    for group in application.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance, f"{prefix} {group.name}")


def option_names(parameter: inspect.Parameter, info: OptionInfo) -> list[str]:
    """Return an option's names as they are typed, the long one first."""
    # Inside Annotated, typer keeps the first name where the default would be.
    first = [info.default] if isinstance(info.default, str) else []
    return [*first, *(info.param_decls or ())] or [f"--{parameter.name.replace('_', '-')}"]


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(f"\n{_command(name, function)}" for name, function in commands())


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        for extra in getattr(hints[parameter.name], "__metadata__", ()):
            if isinstance(extra, ArgumentInfo | OptionInfo):
                yield parameter, extra


def _command(name: str, function: Callable[..., Any]) -> str:
    found = list(_parameters(function))
    usage = [name]
    rows = []
    for parameter, info in sorted(found, key=lambda item: isinstance(item[1], OptionInfo)):
        if isinstance(info, ArgumentInfo):
            shown = _argument(parameter, info)
            usage.append(shown)
            rows.append((f"`{shown}`", info.help or ""))
            continue
        names = option_names(parameter, info)
        value = "" if isinstance(parameter.default, bool) else f" {info.metavar or _metavar(parameter)}"
        if parameter.default is inspect.Parameter.empty:
            usage.append(f"{names[0]}{value}")
        rows.append((", ".join(f"`{option}{value}`" for option in names), (info.help or "") + _more(parameter, info)))
    if any(isinstance(info, OptionInfo) for _parameter, info in found):
        usage.append("[OPTIONS]")
    about = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    lines = [f"## {name}", "", about, "", "```", " ".join(usage), "```"]
    if rows:
        lines += ["", "| | |", "| --- | --- |", *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _argument(parameter: inspect.Parameter, info: ArgumentInfo) -> str:
    shown = info.metavar or parameter.name.upper()
    if "list" in str(parameter.annotation):
        shown += "..."
    return shown if parameter.default is inspect.Parameter.empty else f"[{shown}]"


def _metavar(parameter: inspect.Parameter) -> str:
    if isinstance(parameter.default, int):
        return "INTEGER"
    return "PATH" if "Path" in str(parameter.annotation) else "TEXT"


def _more(parameter: inspect.Parameter, info: OptionInfo) -> str:
    text = ""
    if parameter.default not in (inspect.Parameter.empty, None, "", False):
        text += f" Default: {json.dumps(parameter.default)}."
    if info.envvar:
        text += f" Environment: `{info.envvar}`."
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
