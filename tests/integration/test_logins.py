"""A login that ends, or is being renewed, while several threads ask and write at a TOM that knows no tokens."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from bridge.settings import TomEntry
from bridge.tom.session import TomSession
from tests.support.living import SCRIPT as CHANGE_TARGETS
from tests.support.world import World, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
names = unique("SN 2047l")


@pytest.mark.parametrize("renewed_by_another", [False, True])
def test_what_was_answered_to_a_login_that_had_ended_is_asked_anew_whoever_renewed_it(
    world: Callable[..., World], renewed_by_another: bool
):
    between, name = world(THREE, TWO), next(names)
    pk = seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}})[name]
    end = [["end_sessions", "", None]]
    with between.at_destination() as session, ThreadPoolExecutor(1) as another:
        assert session.get(f"api/targets/{pk}/").ok
        assert session.prove()
        between.destination.run_script(CHANGE_TARGETS, end)
        assert session.get(f"api/targets/{pk}/").status == 404, "as to a visitor"
        if renewed_by_another:
            assert not another.submit(session.prove).result(60.0)

        assert not session.prove(max_age_seconds=60.0 if renewed_by_another else 0.0)

        assert session.get(f"api/targets/{pk}/").ok
        assert session.prove()


def test_who_has_the_right_to_write_never_waits_for_one_who_logs_in_and_waits_for_that_right(world: Callable[..., World]):
    between, right, waits = world(THREE, TWO), threading.RLock(), threading.Event()

    @contextmanager
    def guard(_method: str, _path: str) -> Iterator[None]:
        if not right.acquire(blocking=False):
            waits.set()
            assert right.acquire(timeout=60.0)
        try:
            yield
        finally:
            right.release()

    entry = TomEntry.model_validate(between.settings()["DATA_SHARING"]["destination"])
    with TomSession("destination", entry, guard=guard) as session, ThreadPoolExecutor(1) as another:
        with right:
            logs_in = another.submit(session.get, "api/targets/", {"limit": 1})
            assert waits.wait(60.0)
            assert session.get("api/targets/", {"limit": 1}).ok
        assert logs_in.result(60.0).ok
