"""Every test of the page begins with a log of its own: one of the command line writes to what is closed by now."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    structlog.reset_defaults()
