"""A pipeline that runs beside a test, around doubles of its doors, and what is to be true of it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bridge.consumer.outcome import Outcome, refused
from bridge.consumer.pipeline import Pipeline
from bridge.errors import Abandoned, Away
from tests.unit.consumer.doubles import Clock, World, target_record, until

__all__ = ["AWAY", "NO", "PLACE", "WRITTEN", "assert_in_order", "committed", "quickly", "running", "targets", "until_cancelled"]

AWAY = Away("the TOM does not answer")
WRITTEN = Outcome(end="written")
NO = refused("refused_by_tom", "HTTP 400")
PLACE = ("tom.shares", 0)


def targets(count: int, *, name: str | None = None) -> list[Any]:
    return [target_record(number, name=name) for number in range(count)]


def assert_in_order(world: World, *, needs_none: tuple[int, ...] = ()) -> None:
    """At every commit all before the offset was written, a dead letter, or (``needs_none``) neither."""
    ended = set(needs_none)
    for what, about in world.journal:
        if what == "write":
            ended.add(about)
        elif what == "letter":
            ended.add(about[0])
        elif what == "commit":
            assert set(range(about[PLACE])) <= ended


def committed(world: World) -> int:
    """Return how many records will not come again."""
    return world.committed.get(PLACE, 0)


@contextmanager
def running(world: World, pipeline: Pipeline | None = None, *, drain: bool = False) -> Iterator[tuple[Pipeline, Future[Any]]]:
    """Run a pipeline beside the test; it is stopped at the end."""
    made = pipeline or world.pipeline()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(made.run, drain=drain)
        try:
            yield made, future
        finally:
            made.stop.set()
        until(future.done)


def until_cancelled(world: World) -> Callable[..., Outcome]:
    """Return what the destination does that notices between two requests that the event is to be given up."""

    def write(_so_far: object) -> Outcome:
        until(world.current.is_cancelled)
        raise Abandoned("given up")

    return write


def quickly(world: World, clock: Clock, seconds: float = 0.25) -> None:
    """Let time pass by each look at an empty topic."""

    def tick() -> None:
        clock.seconds += seconds

    world.on_empty = tick
