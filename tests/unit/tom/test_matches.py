"""What is remembered of matches, and for how long it is believed."""

from datetime import UTC, datetime

import pytest

from bridge.events import TargetIdentity
from bridge.tom import matches
from bridge.tom.matches import BELIEVE_SECONDS, REMEMBER_SECONDS, Match, Matches
from bridge.translate.targets import KnownTarget

NAMES = frozenset({"a", "b"})


class Clock:
    """Time that moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def known(target_id: int = 1) -> KnownTarget:
    identity = TargetIdentity(name="a", type="SIDEREAL")
    created = datetime(2024, 1, 1, tzinfo=UTC)
    return KnownTarget(id=target_id, identity=identity, numbers={}, extras={}, created=created, shared_from="")


def test_a_match_is_believed_for_a_while_then_asked_for_and_then_forgotten() -> None:
    clock = Clock()
    found = Matches(clock=clock)
    match = Match(1, clock.now, NAMES)
    found.remember(NAMES, match)
    found.saw(NAMES, known(), at=clock.now)
    assert found.believed(NAMES) == known()

    clock.now += BELIEVE_SECONDS + 0.1

    assert found.believed(NAMES) is None
    assert found.remembered(NAMES) == match
    found.saw(NAMES, known(), at=clock.now)
    assert found.believed(NAMES) == known()

    clock.now += REMEMBER_SECONDS

    assert found.remembered(NAMES) is None, "its target was seen meanwhile, but all its names were not asked for"
    assert found.believed(NAMES) is None


def test_a_match_that_is_forgotten_or_replaced_is_not_believed_either() -> None:
    clock = Clock()
    found = Matches(clock=clock)
    found.remember(NAMES, Match(1, clock.now, NAMES))
    found.saw(NAMES, known(), at=clock.now)

    found.remember(NAMES, Match(2, clock.now, NAMES))

    assert found.remembered(NAMES) == Match(2, clock.now, NAMES)
    assert found.believed(NAMES) is None
    found.saw(NAMES, known(2), at=clock.now)

    found.forget(NAMES)

    assert found.remembered(NAMES) is None
    assert found.believed(NAMES) is None


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "REMEMBER_TARGETS", 3)
    monkeypatch.setattr(matches, "BELIEVE_TARGETS", 2)
    clock = Clock()
    found = Matches(clock=clock)
    keys = [frozenset({name}) for name in "abcd"]
    for number, key in enumerate(keys):
        found.remember(key, Match(number, clock.now, key))
        found.saw(key, known(number), at=clock.now)

    assert [found.remembered(key) is not None for key in keys] == [False, True, True, True]
    assert [found.believed(key) is not None for key in keys] == [False, False, True, True]
