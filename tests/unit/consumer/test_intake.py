"""What of a record a consumer acts on: told without reading it, or where it is a Hermes message that is read in part."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.codecs.native import encode
from bridge.codecs.record import Record
from bridge.consumer.intake import Taken
from bridge.settings import ConsumerSettings
from tests.support.hermes_corpus import hermes_record
from tests.unit.consumer.doubles import EVENTS, intake

TOPIC = "kafka://kafka.example.org/hermes.test"
GOOD, BAD = {"name": "A", "ra": 10.5, "dec": -3.0}, {"name": "B", "ra": "over there", "dec": -3.0}
ROW = {"target_name": "A", "date_obs": "2023-04-09", "brightness": 18.5}
BAD_ROW = {**ROW, "date_obs": "some day"}
DATA = ["reduced_datums"]


def take(targets: list[Any], photometry: list[Any], *, source: str = TOPIC, **settings: Any) -> Taken:
    chosen = ConsumerSettings.model_validate({"subscribe": ["s:hermes.test"], "accept_sources": [source], **settings})
    message = {"title": "t", "submitter": "s", "data": {"targets": targets, "photometry": photometry}}
    return intake(chosen).take(hermes_record(message), topic="hermes.test", time=datetime(2026, 11, 23, tzinfo=UTC))


TABLE: dict[str, tuple[Taken, str, list[str]]] = {
    "all of it": (take([GOOD, BAD], [ROW, BAD_ROW]), "", ["targets[1]", "photometry[1]"]),
    "targets alone": (take([GOOD, BAD], [ROW, BAD_ROW], accept=["targets"]), "", ["targets[1]"]),
    "data alone": (take([GOOD, BAD], [ROW, BAD_ROW], accept=DATA), "", ["photometry[1]"]),
    "nothing that can be read": (take([], [BAD_ROW]), "bad_date", []),
    "no datum that can be read, and no target is wanted": (take([GOOD], [BAD_ROW], accept=DATA), "bad_date", []),
    "nothing that is wanted": (take([GOOD, BAD], [BAD_ROW], accept=["data_products"]), "kind_not_accepted", []),
    "nothing that is wanted, nor can be read": (take([BAD], [], accept=DATA), "kind_not_accepted", []),
    "another topic": (take([GOOD], [BAD_ROW], source="kafka://kafka.example.org/others"), "source_not_accepted", []),
    "another topic, unreadable": (take([], [BAD_ROW], source="kafka://kafka.example.org/others"), "source_not_accepted", []),
    "any topic": (take([], [BAD_ROW], source="*"), "bad_date", []),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_cannot_be_read_counts_where_it_would_have_been_acted_on(case: str) -> None:
    taken, reason, unread = TABLE[case]

    assert [failure.item for failure in taken.unread] == unread
    assert (taken.outcome.reason if taken.outcome else "") == reason
    if taken.outcome is not None:
        assert taken.outcome.end == ("refused" if reason.startswith("bad_") else "skipped")


TARGET = encode(EVENTS["target_sidereal"])
SOURCE, OTHER, OURS = "https://tom.example.org/", "https://other.example.org/", "https://not-my-tom.org/"


def from_source(source: str) -> Record:
    """Return the record with another ``ce_source``."""
    return replace(TARGET, headers=tuple((n, source.encode() if n == "ce_source" else v) for n, v in TARGET.headers))


def saying(**body: Any) -> Record:
    """Return the record with something else in its body."""
    return replace(TARGET, value=json.dumps({**json.loads(TARGET.value or b""), **body}).encode())


AT_A_GLANCE: dict[str, tuple[Record, str]] = {
    "what is accepted": (TARGET, ""),
    "what another source sent": (from_source(OTHER), "source_not_accepted"),
    "another source, with a body that nobody can read": (replace(from_source(OTHER), value=b"{"), "source_not_accepted"),
    "another source, with no body": (replace(from_source(OTHER), value=None), "source_not_accepted"),
    "what we sent": (from_source(OURS), "own_event"),
    "a source that is no URL": (from_source("elsewhere"), ""),
    "a source that is no text": (replace(TARGET, headers=(*TARGET.headers[:3], ("ce_source", b"\xff"))), ""),
    "what nobody can read": (replace(TARGET, value=b"{"), ""),
    "what has no body": (replace(TARGET, value=None), ""),
    "what is for others": (saying(destinations=["their-tom"]), "other_destination"),
    "what is for others, and wrong otherwise": (saying(destinations=["their-tom"], target=7), "other_destination"),
    "what is for us": (saying(destinations=["their-tom", "not-my-tom"]), ""),
    "what is for us, by URL": (saying(destinations=["https://NOT-MY-TOM.org"]), ""),
    "what has been here": (saying(destinations=["not-my-tom"], hops=[OURS]), "echo"),
    "no share event": (Record(key=None, value=b"{}", headers=()), ""),
}


@pytest.mark.parametrize("case", AT_A_GLANCE)
def test_what_concerns_others_is_told_without_reading_it(case: str) -> None:
    record, reason = AT_A_GLANCE[case]
    outcome = intake(ConsumerSettings(subscribe=["s:t"], accept_sources=[SOURCE])).glance(record)

    assert (outcome.reason if outcome else "") == reason
    assert outcome is None or outcome.end == "skipped"


def test_of_sources_that_somebody_makes_up_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.consumer.intake.MOST_LABELS", 3)
    consumer = intake(ConsumerSettings(subscribe=["s:t"], accept_sources=[SOURCE]))
    reasons = {consumer.glance(from_source(f"https://{n}.example.org/")).reason for n in range(20)}  # type: ignore[union-attr]

    assert reasons == {"source_not_accepted"}
    assert consumer._judge.cache_info().currsize == 3
    assert consumer.glance(TARGET) is None


def test_who_says_that_an_event_is_of_one_who_is_accepted_is_not_believed() -> None:
    consumer = intake(ConsumerSettings(subscribe=["s:t"], accept_sources=[SOURCE]))
    lie = saying(tom={"name": "Other", "url": OTHER})
    taken = consumer.take(lie, topic="t", time=datetime(2026, 11, 23, tzinfo=UTC))

    assert consumer.glance(lie) is None
    assert taken.outcome is not None
    assert (taken.outcome.end, taken.outcome.reason) == ("refused", "source_mismatch")
