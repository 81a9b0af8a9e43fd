"""A gateway for each test, and a log that no other test has set up."""

from collections.abc import Iterator

import pytest
import structlog

from tests.unit.gateway.doubles import Gateway


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Commands set the log up for the stderr of their time, which is closed when the next test writes to it."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    with found.posting:
        yield found
