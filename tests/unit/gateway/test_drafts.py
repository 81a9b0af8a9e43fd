"""Drafts are few, small and short-lived, whatever clients store."""

import pytest

from bridge.gateway.clients import Client
from bridge.gateway.drafts import LIFE_SECONDS, MOST_BYTES, MOST_DRAFTS, Drafts

MINE, OTHER = (Client(name=name, sender=name, topics=("t",), digest=b"canary") for name in ("mine", "other"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def drafts(clock: Clock) -> Drafts:
    return Drafts(clock=clock)


def test_the_oldest_of_the_same_client_makes_room_when_there_are_many(drafts: Drafts) -> None:
    others = drafts.add(OTHER, {}, size=1)
    first, *rest = (drafts.add(MINE, {}, size=1) for _each in range(MOST_DRAFTS + 1))

    assert drafts.get(first.key) is None
    assert all(drafts.get(draft.key) is draft for draft in rest)
    assert drafts.get(others.key) is others, "one client's drafts never cost another its own"


def test_the_oldest_of_the_same_client_make_room_when_they_are_large(drafts: Drafts) -> None:
    others = drafts.add(OTHER, {}, size=MOST_BYTES)
    small = [drafts.add(MINE, {}, size=MOST_BYTES // 4) for _each in range(4)]

    large = drafts.add(MINE, {}, size=MOST_BYTES // 2)

    assert [drafts.get(draft.key) is not None for draft in small] == [False, False, True, True]
    assert drafts.get(large.key) is large
    assert drafts.get(others.key) is others


def test_what_is_over_is_forgotten(drafts: Drafts, clock: Clock) -> None:
    for _each in range(10):
        drafts.add(MINE, {}, size=1)
    clock.now = LIFE_SECONDS

    drafts.add(OTHER, {}, size=1)

    assert len(drafts) == 1


def test_a_published_draft_keeps_its_id_and_nothing_else(drafts: Drafts) -> None:
    draft = drafts.add(MINE, {"title": "t"}, size=5)

    drafts.done(draft)

    assert draft.published
    assert (draft.document, draft.size) == (None, 0)
    assert drafts.get(draft.key) is draft


def test_no_two_drafts_have_a_key_or_token_in_common_and_none_shows_them(drafts: Drafts) -> None:
    found = [drafts.add(MINE, {"title": "canary"}, size=1) for _each in range(20)]

    secrets = {secret for draft in found for secret in (draft.key, draft.token)}
    assert len(secrets) == 40
    assert min(map(len, secrets)) >= 43, "256 bits"
    assert not [secret for secret in (*secrets, "canary") if secret in repr(found)]
