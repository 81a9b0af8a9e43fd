"""Real parts for tests. Where one can't be had its tests are skipped, with the reason; TOM_BRIDGE_REQUIRE_REAL=1 fails them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser

from bridge.kafka.embedded import EmbeddedBroker
from tests.support.browser import BrowserUnavailable, chromium, ensure_chromium
from tests.support.emitting import Emitters
from tests.support.kafka import ApacheKafka, KafkaUnavailable, ensure_kafka
from tests.support.places import pytest_collection_modifyitems, pytest_configure, pytest_report_header  # noqa: F401
from tests.support.postgres import Postgres, PostgresUnavailable, ensure_postgres
from tests.support.world import Toms, World


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    try:
        ensure_chromium()
    except BrowserUnavailable as error:
        _not_here(str(error))
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def toms(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Toms]:
    """Real TOMs, each made when first asked for; a database of PostgreSQL is made only then, too."""

    def database(name: str) -> str:
        cluster: Postgres = request.getfixturevalue("postgres")
        return cluster.create_database(name)

    found = Toms(tmp_path_factory.mktemp("toms"), database)
    yield found
    found.close()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A broker's URL, and what makes a topic there: Apache Kafka, or the embedded broker where that can't be had."""
    try:
        kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
    except pytest.skip.Exception:
        with EmbeddedBroker() as embedded:
            yield embedded.url, embedded.create_topic
    else:
        yield f"kafka://{kafka.bootstrap}/", kafka.create_topic


@pytest.fixture(scope="session")
def emitters(toms: Toms, broker: tuple[str, Callable[[str], None]]) -> Emitters:
    """TOMs with ``bridge.emitter``."""
    return Emitters(toms, *broker)


@pytest.fixture
def world(tmp_path: Path, toms: Toms, broker: tuple[str, Callable[[str], None]]) -> Callable[..., World]:
    """Make a topic between two real TOMs: ``world(source_version, destination_version, postgres=...)``."""

    def make(source: str, destination: str, *, postgres: bool = False, **consumer: Any) -> World:
        url, create_topic = broker
        return World(
            home=tmp_path,
            stream_url=url,
            create_topic=create_topic,
            source=toms.get("source", source),
            destination=toms.get("destination", destination, postgres=postgres),
            consumer=consumer,
        )

    return make
