"""The marks on a consumer's requests: which event, and the TOMs that it has been through, its source last."""

from datetime import UTC, datetime
from uuid import UUID

from bridge.codecs.echo import echo_headers
from bridge.codecs.native import new_event
from bridge.events import Target, TargetShared, TomIdentity

ID = UUID("12345678-1234-4678-9234-567812345678")


def headers(source: str, *hops: str) -> dict[str, str]:
    body = TargetShared(tom=TomIdentity(name="A", url=source), hops=hops, target=Target(name="SN 1", type="SIDEREAL"))
    return echo_headers(new_event(body, now=datetime(2026, 1, 1, tzinfo=UTC), event_id=ID))


def test_a_request_says_which_event_it_writes_for() -> None:
    assert headers("https://a.org/")["X-Tom-Bridge-Event"] == str(ID)


def test_the_source_comes_after_the_toms_that_the_event_had_been_through_before() -> None:
    assert headers("https://c.org/", "https://a.org/", "https://b.org/tom/")["X-Tom-Bridge-Hops"] == (
        "https://a.org/ https://b.org/tom/ https://c.org/"
    )


def test_an_address_that_no_header_can_hold_is_escaped() -> None:
    text = headers("https://ä.org/tom é/")["X-Tom-Bridge-Hops"]

    assert text.isascii()
    assert " " not in text
