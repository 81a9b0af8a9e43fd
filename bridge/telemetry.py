"""Logging: structlog on stderr, for people on a terminal, as JSON elsewhere."""

import logging
import sys

import structlog

__all__ = ["set_up_logging"]


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
