"""Where tests can run with several kinds of TOM: with one of them, chosen anew for each run, or with all of them.

``TOM_BRIDGE_PLACES=all`` is for all; a number does again what a run with that number in its header did.
"""

import os
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from bridge.demo.toms import TOM_VERSIONS

__all__ = ["pytest_collection_modifyitems", "pytest_configure", "pytest_report_header"]

INTEGRATION = Path(__file__).parents[1] / "integration"
VARIABLE = "TOM_BRIDGE_PLACES"


def pytest_configure() -> None:
    # Before the workers of pytest-xdist begin, which have to choose the same.
    os.environ[VARIABLE] = os.environ.get(VARIABLE) or str(random.SystemRandom().randrange(1_000_000))


def pytest_report_header() -> str:
    chosen = os.environ[VARIABLE]
    what = "all kinds of TOM" if chosen == "all" else f"one kind of TOM each, by {VARIABLE}={chosen}; {VARIABLE}=all is for all"
    return f"integration tests: {what}"


@pytest.hookimpl(trylast=True)  # of what -k and the like have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = os.environ[VARIABLE]
    if chosen == "all":
        return
    here = (item for item in items if isinstance(item, pytest.Function) and INTEGRATION in item.path.parents)
    left_out = set[pytest.Item]()
    for choice, places in _alternatives(item for item in here if hasattr(item, "callspec")).items():
        first = choice if isinstance(choice, str) else min(item.nodeid for several in places.values() for item in several)
        kept = random.Random(f"{chosen} {first}").choice(sorted(places))
        left_out.update(item for place in places.keys() - {kept} for item in places[place])
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def _alternatives(items: Iterable[pytest.Function]) -> dict[str | tuple[str, int], dict[str, list[pytest.Function]]]:
    """Return, for each choice of a kind of TOM, the tests with each.

    Where the file's fixture has the kinds, it is one choice for the file as a whole, by its name: what its tests share is made
    once. Else it is one for each test and what else it is given.
    """
    found = defaultdict[str | tuple[str, int], dict[str, list[pytest.Function]]](dict)
    others_of = defaultdict[str, list[dict[str, object]]](list)
    for item in items:
        test, values = item.nodeid.partition("[")[0], item.callspec.params
        own = {name for mark in item.iter_markers("parametrize") for name in _names(mark.args[0])}
        shared = {name for name in values.keys() - own if _is_kind(values[name])}
        kinds = shared or {"version", "on_postgres"} & values.keys()
        choice: str | tuple[str, int] = test.partition("::")[0]
        if not shared:
            others = {name: value for name, value in values.items() if name not in kinds}
            if others not in others_of[test]:
                others_of[test].append(others)
            choice = test, others_of[test].index(others)
        place = str([(name, str(values[name])) for name in sorted(kinds)])
        found[choice].setdefault(place, []).append(item)
    return found


def _names(names: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


def _is_kind(value: object) -> bool:
    return value in TOM_VERSIONS or (isinstance(value, tuple) and value[0] in TOM_VERSIONS)
