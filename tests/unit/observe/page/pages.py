"""The page's parts, put together without a broker."""

from collections.abc import Callable, Sequence
from typing import Any

from bridge.codecs.record import ConsumedRecord
from bridge.errors import BridgeError
from bridge.observe.page.dossiers import Dossiers
from bridge.observe.page.state import State
from bridge.observe.page.streams import Streams
from tests.unit.observe.page.seen import NOW_MS, TOPIC, address


class Topics:
    """Stands for topics that are followed: gives records, raises errors, then nothing."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.trouble: BridgeError | None = None
        self.total = len(steps)
        self.is_closed = False
        self.began_at: dict[tuple[str, int], int] = {}
        self.positions: dict[tuple[str, int], int] = {}

    @property
    def drained(self) -> bool:
        return not self.steps

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            self.positions[step.topic, step.partition] = step.next_offset
        return step

    def go_on(self, positions: dict[tuple[str, int], int]) -> None:
        self.began_at, self.positions = dict(positions), dict(positions)

    def close(self) -> None:
        self.is_closed = True


class Offsets:
    """Stands for a broker that is asked for offsets."""

    def extents(self, topics: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
        return {(name, 0): (2, 9) for name in topics}

    def committed(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return dict.fromkeys(places, 5)


def make_state(*, now: Callable[[], float] = lambda: NOW_MS / 1000, title: str = "Our stream") -> State:
    dossiers = Dossiers(begin=Topics, address=address)
    return State(stream="share-stream", title=title, topics=[TOPIC], dossiers=dossiers, address=address, now=now)


def make_streams(state: State, **more: Any) -> Streams:
    return Streams(state, **more)
