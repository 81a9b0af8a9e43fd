"""Waiting for what another process is to bring about."""

import time
from collections.abc import Callable

__all__ = ["PATIENCE_SECONDS", "wait_for"]

PATIENCE_SECONDS = 120.0


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS, every: float = 0.1) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every)
