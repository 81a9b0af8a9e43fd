"""A real TOM whose emitter shares with Hermes: TOM Toolkit's own entry and share pages, and a server that answers as Hermes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.demo.toms import TOM_VERSIONS, Tom
from tests.support.hermes_server import KEY, HermesServer, Scripted, hermes_server
from tests.support.ingest import Feedback, Ingest
from tests.support.relaying import next_datum
from tests.support.world import USERS, Toms, unique

TO = "hermes:hermes.test"
names = unique("SN 2045h")
COMMAND = """
import io
from django.core.management import CommandError, call_command
out, err = io.StringIO(), io.StringIO()
try:
    call_command(*arguments["words"], stdout=out, stderr=err)
except CommandError as error:
    err.write(f"CommandError: {error}")
result = [out.getvalue(), err.getvalue()]
"""


@pytest.fixture(scope="module")
def hermes() -> Iterator[HermesServer]:
    with hermes_server() as running:
        yield running


@pytest.fixture(scope="module", params=TOM_VERSIONS)
def tom(request: pytest.FixtureRequest, toms: Toms, hermes: HermesServer) -> Tom:
    """A TOM that names Hermes as TOM Toolkit 2.x does, and its own address beside that."""
    entry = {"BASE_URL": hermes.url, "HERMES_API_KEY": KEY, "DEFAULT_AUTHORS": "A. Author", "USER_TOPICS": ["hermes.test"]}
    return toms.get(
        "hermes",
        request.param,
        apps=["bridge.emitter"],
        settings={
            "DATA_SHARING": {"hermes": {**entry, "SOURCE_URL": "https://hermes-tom.example.org/"}},
            "TOM_BRIDGE": {"QUIET_SECONDS": 0.1},
        },
    )


@pytest.fixture
def ingest(tom: Tom, hermes: HermesServer) -> Iterator[Ingest]:
    hermes.script.clear()
    hermes.asked.clear()
    hermes.published.clear()
    with Ingest(tom, username="alice", password=USERS["alice"]) as found:
        found.run("allow_persistent_shares", user="alice")
        yield found


def relay(ingest: Ingest, *options: str) -> str:
    out, err = ingest.run_code(COMMAND, words=["bridge_relay", "--once", *options])
    return str(out or err)


def outbox(ingest: Ingest) -> dict[str, Any]:
    out, _err = ingest.run_code(COMMAND, words=["bridge_outbox", "--json"])
    (found,) = json.loads(out)["outbox"]
    return dict(found)


def new_target(ingest: Ingest, **more: object) -> tuple[int, str]:
    name = next(names)
    return int(ingest.run("create_target", **{"name": name, "ra": 10.5, "dec": -20.25, "owners": ["alice"], **more})), name


def share(ingest: Ingest, pk: int, message: str = "") -> list[Feedback]:
    """Share a target on its share page; the page of 2.x has a second button, with which a browser goes to Hermes."""
    values = {"share_destination": TO, "share_message": message, "share_title": "", "target": str(pk), "submitter": "alice"}
    return ingest.post_form(f"targets/{pk}/share/", values)


def messages(hermes: HermesServer) -> list[dict[str, Any]]:
    return [message for _uuid, message in hermes.published]


def test_a_continuous_share_reaches_hermes_and_no_request_to_the_tom_waits_for_it(hermes: HermesServer, ingest: Ingest) -> None:
    pk, name = new_target(ingest, aliases=["ZTF45h"], extras={"redshift": "0.05"})

    assert TO in [choice.value for choice in ingest.share_options(pk, persistent=True)]
    status, share = ingest.persistent_share(pk, TO)
    assert status == 201, share
    ingest.post_datum_by_api(pk, **next_datum())
    assert hermes.submitted == 0

    assert relay(ingest) == "published 2 events\n"
    target, datums = messages(hermes)
    assert (
        target["data"]["targets"][0] | {"name": name, "ra": 10.5, "dec": -20.25, "aliases": ["ZTF45h"], "redshift": 0.05}
        == (target["data"]["targets"][0])
    )
    (row,) = datums["data"]["photometry"]
    assert (row["target_name"], row["brightness"], row["brightness_error"], row["bandpass"]) == (name, 18.5, 0.25, "r")
    assert {(message["submitter"], message["authors"]) for message in (target, datums)} == {("alice", "A. Author")}
    assert datums["data"]["tom_bridge"]["tom"]["url"] == "https://hermes-tom.example.org/"


def test_the_share_page_shares_with_hermes_in_the_background(hermes: HermesServer, ingest: Ingest) -> None:
    pk, name = new_target(ingest)

    feedback = share(ingest, pk, message="Look.")
    assert [said.level for said in feedback] == ["success"], feedback
    assert hermes.submitted == 0

    relay(ingest)
    (message,) = messages(hermes)
    assert (message["data"]["targets"][0]["name"], message["message_text"]) == (name, "Look.")


def test_while_hermes_is_away_events_wait(hermes: HermesServer, ingest: Ingest) -> None:
    pk, _name = new_target(ingest)
    share(ingest, pk)
    hermes.script = [Scripted(502)] * 50

    assert "HTTP 502" in relay(ingest, "--patience", "2")
    assert outbox(ingest)["waiting"] == 1
    hermes.script.clear()
    assert relay(ingest) == "published 1 event\n"
    assert len(messages(hermes)) == 1


def test_what_hermes_refuses_is_set_aside_and_the_rest_goes_on(hermes: HermesServer, ingest: Ingest) -> None:
    nowhere, name = new_target(ingest, ra=None, dec=None)
    somewhere, other = new_target(ingest)
    for pk in (nowhere, somewhere):
        share(ingest, pk)

    assert relay(ingest) == "published 1 event\n"
    assert [message["data"]["targets"][0]["name"] for message in messages(hermes)] == [other]
    found = outbox(ingest)
    assert (found["waiting"], found["set_aside"]) == (0, 1)
    assert f"no_position: '{name}'" in found["last_error"]


def test_a_tom_whose_hermes_is_away_starts_and_offers_what_its_settings_name(hermes: HermesServer, ingest: Ingest) -> None:
    """TOM Toolkit 2.x asks Hermes for the topics while it is imported, and does not start without an answer."""
    if ingest.tom.version != TOM_VERSIONS[0]:
        pytest.skip("3.x does not ask")
    code = """
from django.conf import settings
from django.core.cache import cache
from django.test.utils import override_settings
from tom_dataproducts import sharing
result = []
for more in ({}, {"USER_TOPICS": []}, {"USER_TOPICS": [], "BASE_URL": "http://127.0.0.1:9/"}):
    cache.delete("hermes_writable_topics")
    with override_settings(DATA_SHARING={"hermes": settings.DATA_SHARING["hermes"] | more}):
        result.append(sharing.get_hermes_topics())
cache.delete("hermes_writable_topics")
"""
    assert ingest.run_code(code) == [["hermes.test"], hermes.writable_topics, []]
    assert hermes.asked == ["GET /api/v0/profile/"]
