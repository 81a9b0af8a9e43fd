"""Logging: structlog on stderr, for people on a terminal, as JSON elsewhere."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

__all__ = ["printable", "set_up_logging"]


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: control characters are written as Python writes them."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _harmless(_log: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make the texts of a log line printable: names and titles come from other people's events."""
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = printable(value)
        elif isinstance(value, list):
            line[key] = [printable(item) if isinstance(item, str) else item for item in value]
    return line


def set_up_logging(*, verbose: bool = False) -> None:
    """Send log lines to stderr: one for each event at its end, and whatever a person has to know.

    Parameters
    ----------
    verbose
        Whether debug lines are shown, too.
    """
    on_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
