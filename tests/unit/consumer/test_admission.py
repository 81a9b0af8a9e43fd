"""Which events a consumer acts on."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge import schemas
from bridge.codecs.native import new_event
from bridge.consumer.admission import admit, admit_label
from bridge.events import ShareBody
from bridge.settings import ConsumerSettings

URL = "https://not-my-tom.org/"
SOURCE = "https://tom.example.org/"
BODIES = {name: event.body for name, event in schemas.example_events().items()}


def passed_over(body: ShareBody, **settings: Any) -> str | None:
    chosen = {"subscribe": ["s:t"], "accept_sources": [SOURCE]} | settings
    event = new_event(body, now=datetime(2026, 11, 23, tzinfo=UTC))
    outcome = admit(event, name="not-my-tom", url=URL, settings=ConsumerSettings.model_validate(chosen))
    if outcome is None:
        return None
    assert outcome.end == "skipped"
    assert not outcome.is_dead_letter
    return outcome.reason


def body(name: str = "target_sidereal", **changed: Any) -> ShareBody:
    return BODIES[name].model_copy(update=changed)


def from_tom(url: str) -> ShareBody:
    return body(tom=BODIES["target_sidereal"].tom.model_copy(update={"url": url}))


TABLE: dict[str, tuple[ShareBody, dict[str, Any], str | None]] = {
    "a target of a source that is accepted": (body(), {}, None),
    "datums": (body("reduced_datums"), {}, None),
    "a product": (body("data_product"), {}, None),
    "a list's summary": (body("target_list"), {}, "summary"),
    "what the destination itself shared": (from_tom(URL), {"accept_sources": ["*"]}, "own_event"),
    "what has been through the destination": (body(hops=("https://a.org/", URL)), {}, "echo"),
    "what has been elsewhere": (body(hops=("https://a.org/",)), {}, None),
    "another source": (from_tom("https://evil.example.org/"), {}, "source_not_accepted"),
    "a source that begins alike": (from_tom("https://tom.example.org/evil/"), {}, "source_not_accepted"),
    "any source, where all are accepted": (from_tom("https://evil.example.org/"), {"accept_sources": ["*"]}, None),
    "a kind that is not accepted": (body("data_product"), {"accept": ["targets"]}, "kind_not_accepted"),
    "the only kind that is": (body(), {"accept": ["targets"]}, None),
    "nothing is accepted": (body(), {"accept": []}, "kind_not_accepted"),
    "addressed to others": (body(destinations=("their-tom",)), {}, "other_destination"),
    "addressed to nobody": (body(destinations=()), {}, "other_destination"),
    "addressed to us by name": (body(destinations=("their-tom", "not-my-tom")), {}, None),
    "addressed to us by URL": (body(destinations=(URL,)), {}, None),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_is_acted_on_and_what_is_passed_over(case: str) -> None:
    event_body, settings, reason = TABLE[case]

    assert passed_over(event_body, **settings) == reason


@pytest.mark.parametrize("case", TABLE)
def test_a_label_tells_no_other_story_than_its_event(case: str) -> None:
    event_body, settings, reason = TABLE[case]
    chosen = ConsumerSettings.model_validate({"subscribe": ["s:t"], "accept_sources": [SOURCE]} | settings)

    why = admit_label(event_body.tom.url, event_body.TYPE, url=URL, settings=chosen)

    by_label = {"own_event", "source_not_accepted", "kind_not_accepted"}
    assert (why.reason if why else None) == (reason if reason in by_label else None)


LABELS = {
    "another source, and a type that nobody knows": ("https://evil.example.org/", "tom.else.v7", "source_not_accepted"),
    "a type that nobody knows": (SOURCE, "tom.else.v7", None),
    "a type that is reserved": (SOURCE, "tom.target.withdrawn.v1", "reserved_type"),
    "another source that is not spelt as it should be": ("https://EVIL.example.org", "tom.target.shared.v1", None),
    "no URL": ("evil", "tom.target.shared.v1", None),
    "a URL with a password": ("https://a:hunter2@evil.example.org/", "tom.target.shared.v1", None),
}


@pytest.mark.parametrize("case", LABELS)
def test_what_of_a_label_takes_a_reader_to_complain_of_is_left_to_one(case: str) -> None:
    source, event_type, reason = LABELS[case]

    why = admit_label(source, event_type, url=URL, settings=ConsumerSettings(subscribe=["s:t"], accept_sources=[SOURCE]))

    assert (why.reason if why else None) == reason


def test_an_address_is_compared_in_its_normal_form() -> None:
    spelt = type(body()).model_validate({**body().model_dump(), "destinations": ("https://NOT-MY-TOM.org",)})

    assert passed_over(spelt) is None


def test_the_four_kinds_are_those_of_the_settings() -> None:
    kinds = {BODIES[name].ACCEPTED_AS for name in BODIES}

    assert kinds == set(ConsumerSettings(subscribe=["s:t"], accept_sources=["*"]).accept)
