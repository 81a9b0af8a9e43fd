"""Whatever is in a record is seen: share events, Hermes messages, or a line that says why not."""

import builtins
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.codecs import native
from bridge.codecs.record import ConsumedRecord, Record
from bridge.observe.sightings import Sighting, Unreadable, sightings
from bridge.schemas import example_events
from tests.support import poison
from tests.support.hermes_corpus import CASES, hermes_record

ADDRESS = "kafka://kafka.scimma.org/tomtoolkit.test"
WRITTEN = datetime(2026, 11, 25, 12, tzinfo=UTC)
EXAMPLES = example_events()


def consumed(record: Record, *, timestamp_ms: int = int(WRITTEN.timestamp() * 1000)) -> ConsumedRecord:
    return ConsumedRecord(record=record, topic="tomtoolkit.test", partition=1, offset=7, timestamp_ms=timestamp_ms)


def seen(record: Record, **about: Any) -> list[Sighting | Unreadable]:
    return list(sightings(consumed(record, **about), topic_address=ADDRESS))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_share_event_is_seen_as_it_was_published(name: str) -> None:
    [sighting] = seen(native.encode(EXAMPLES[name]))

    assert isinstance(sighting, Sighting)
    assert sighting.event == EXAMPLES[name]
    assert sighting.consumed.place == "tomtoolkit.test[1]@7"


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_hermes_message_makes_events_and_says_what_it_could_not_make(name: str) -> None:
    found = seen(CASES[name].record)

    assert found
    assert {each.event.source for each in found if isinstance(each, Sighting)} <= {ADDRESS}
    assert {each.event.time for each in found if isinstance(each, Sighting)} <= {WRITTEN}
    if "refused" in CASES[name].expected:
        refused = sorted([each.detail.split(": ")[0], each.reason] for each in found if isinstance(each, Unreadable))
        assert refused == sorted(CASES[name].expected["refused"])


@pytest.mark.parametrize("name", sorted(poison.CASES))
def test_poison_is_seen_and_never_raised(name: str) -> None:
    found = seen(poison.CASES[name].record)

    assert found
    assert all(each.reason and each.detail for each in found if isinstance(each, Unreadable))


def test_a_record_without_a_time_is_seen_too() -> None:
    message = {"title": "t", "submitter": "s", "data": {"targets": [{"name": "A", "ra": 1.0, "dec": 2.0}]}}
    [sighting] = seen(hermes_record(message), timestamp_ms=-1)

    assert isinstance(sighting, Sighting)
    assert sighting.event.time.year == 1970


def test_a_hermes_message_ends_nobody_who_cannot_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_astropy(name: str, *rest: Any) -> Any:
        if name == "bridge.codecs.hermes.reading":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_astropy)
    [unreadable] = seen(hermes_record({"title": "t", "submitter": "s", "data": {"targets": [{"name": "A"}]}}))

    assert isinstance(unreadable, Unreadable)
    assert unreadable.reason == "hermes_not_installed"
    assert "pip install '.[hermes]'" in unreadable.detail


@pytest.mark.parametrize(
    ("name", "count"), [("target_sidereal", 0), ("target_list", 0), ("reduced_datums", 5), ("data_product", 2)]
)
def test_datums_are_found_wherever_they_stand(name: str, count: int) -> None:
    assert len(EXAMPLES[name].body.datums_of()) == count
