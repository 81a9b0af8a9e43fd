"""The seed of the fault suite, and how long it takes: TOM_BRIDGE_FAULTS=full for all of it, a short form otherwise."""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import ApacheKafka
from tests.support.site import Site
from tests.support.world import Toms

SEEDS = 1_000_000
_ids = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-seed", type=int, default=None, help="what decides the randomness of the fault suite")


def _seed(config: pytest.Config) -> int:
    chosen = config.getoption("--faults-seed", default=None)
    if chosen is None:
        chosen = int(os.environ.setdefault("TOM_BRIDGE_FAULTS_SEED", str(random.SystemRandom().randrange(SEEDS))))
    return int(chosen)


def pytest_report_header(config: pytest.Config) -> str:
    form = "short" if is_short() else "full"
    return f"faults: seed {_seed(config)} (--faults-seed {_seed(config)} does it again), {form} form"


def is_short() -> bool:
    return os.environ.get("TOM_BRIDGE_FAULTS", "short") != "full"


@pytest.fixture(scope="session")
def short() -> bool:
    """Whether the short form is run."""
    return is_short()


@pytest.fixture
def faults_seed(pytestconfig: pytest.Config) -> int:
    """What decides the randomness; shown with a test that fails."""
    seed = _seed(pytestconfig)
    print(f"faults: seed {seed}")
    return seed


@pytest.fixture
def site(tmp_path: Path, toms: Toms, apache_kafka: ApacheKafka) -> Iterator[Callable[..., Site]]:
    """Make a site: ``site(version, partitions=..., door=..., consumer={...})``; its replicas end with the test."""
    made: list[Site] = []

    def make(version: str = "3.1.0", *, kafka: ApacheKafka | None = None, postgres: bool = False, **more: Any) -> Site:
        destination = more.pop("destination", None) or toms.get("destination", version, postgres=postgres)
        home = tmp_path / f"site-{next(_ids)}"
        made.append(Site.make(home, kafka=kafka or apache_kafka, destination=destination, **more))
        return made[-1]

    yield make
    for each in made:
        each.kill_all()


@pytest.fixture
def own_kafka(tmp_path: Path, apache_kafka: ApacheKafka) -> Iterator[ApacheKafka]:
    """Yield a Kafka that may be frozen, killed and restarted."""
    (tmp_path / "kafka").mkdir()
    kafka = ApacheKafka(tmp_path / "kafka", apache_kafka.libs)
    kafka.start()
    yield kafka
    kafka.kill()


SHORT: dict[str, dict[str, set[object]]] = {
    "test_consumers_killed_with_9": {},
    "test_a_broker_that_is_killed_and_restarted": {},
    "test_sigterm_under_load": {},
    "test_too_many_requests": {"door": {"3.1.0"}, "parallel": {2}},
    "test_every_third_answer_is_wrong": {"fault": {"500 after", "reset before", "HTML after", "another body before"}},
    "test_a_tom_that_fails_on_writes_while_it_takes_no_more_logins": {},
    "test_a_dead_letter_topic_that_refuses": {},
    "test_a_password_that_was_changed": {"version": {"3.1.0"}},
    "test_a_database_that_can_be_read_but_not_written": {"version": {"3.1.0"}},
    "test_one_writer_of_targets": {"version": {"3.1.0"}, "on_postgres": {False}},
    "test_the_whole_topic_twice_more": {"version": {"2.32.4"}},
}
"""What the short form runs, each with the values of its parameters; all the rest is for ``make faults``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not is_short():
        return
    for item in items:
        if "tests/faults/" not in item.path.as_posix():
            continue
        wanted = SHORT.get(getattr(item, "originalname", ""))
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if wanted is None or any(given[name] not in values for name, values in wanted.items()):
            item.add_marker(pytest.mark.skip(reason="in the full form: make faults"))
