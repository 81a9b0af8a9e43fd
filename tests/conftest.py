"""Real parts for tests. Where one can't be had its tests are skipped, with the reason; TOM_BRIDGE_REQUIRE_REAL=1 fails them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.kafka import ApacheKafka, KafkaUnavailable, ensure_kafka
from tests.support.postgres import Postgres, PostgresUnavailable, ensure_postgres


def _not_here(reason: str) -> NoReturn:
    if os.environ.get("TOM_BRIDGE_REQUIRE_REAL") == "1":
        pytest.fail(f"required, but not to be had: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A running Apache Kafka."""
    try:
        libs = ensure_kafka(print)
    except KafkaUnavailable as error:
        _not_here(str(error))
    kafka = ApacheKafka(Path(tmp_path_factory.mktemp("kafka")), libs)
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    try:
        programs = ensure_postgres(print)
    except PostgresUnavailable as error:
        _not_here(str(error))
    cluster = Postgres(programs)
    cluster.start()
    yield cluster
    cluster.stop()
