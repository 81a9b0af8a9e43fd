"""The page of a draft: it shows what would be published, publishes it once, and nobody without its key can misuse it."""

import html
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.codecs.record import header
from bridge.errors import Retryable
from bridge.gateway.drafts import LIFE_SECONDS
from tests.unit.gateway.doubles import OTHER_KEY, Gateway, message, photometry

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"


def preload(gateway: Gateway, document: Any, **more: Any) -> str:
    answer = gateway.submit(document, "preload/", **more)
    assert answer.status_code == 201
    assert answer.json is not None
    return str(answer.json["key"])


def look(gateway: Gateway, key: str) -> Any:
    return gateway.ask("GET", f"/submit-message?id={key}", key=None)


def fields(page: str) -> dict[str, str]:
    return {
        name: html.unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    }


def publish(gateway: Gateway, form: dict[str, str], **more: Any) -> Any:
    return gateway.ask("POST", "/submit-message", key=None, data=form, **more)


def test_the_page_shows_the_draft_and_publishes_nothing_by_being_looked_at(gateway: Gateway) -> None:
    key = preload(gateway, message(authors="A, B"))

    answers = [look(gateway, key) for _each in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for shown in (
        "Updated data",
        "tom.shares",
        "alice",
        "A, B",
        "SN 2024abc",
        "150.25",
        "ZTF24aaa",
        "18.125",
        "Sinistro",
        "AB mag",
    ):
        assert shown in answers[0].text
    assert "Publish to tom.shares</button>" in answers[0].text
    assert gateway.records == []


def test_the_button_publishes_it_with_the_clients_sender(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)

    answer = publish(gateway, form)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"submit-message?id={form['id']}", "relative: the gateway may stand below a path"
    (record,) = gateway.published
    assert header(record.headers, "_sender") == b"My TOM"
    after = look(gateway, form["id"])
    assert "Published" in after.text
    assert "<form" not in after.text


def test_it_is_published_once_however_often_the_button_is_pressed(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)

    assert [publish(gateway, form).status_code for _each in range(3)] == [303, 303, 303]
    assert len(gateway.published) == 1


def test_what_the_broker_does_not_confirm_stays_a_draft_and_goes_out_later_under_the_same_id(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)
    gateway.errors.append(Retryable("broker:9092 timed out"))

    answer = publish(gateway, form)

    assert answer.status_code == 503
    assert "Not published" in answer.text
    assert "does not count as published" in answer.text
    assert "broker:9092" not in answer.text
    assert fields(answer.text) == form
    gateway.posting._trouble = None
    assert publish(gateway, form).status_code == 303
    (record,) = gateway.published
    uuid = header(record.headers, "_id")
    assert uuid is not None
    assert uuid.hex() in look(gateway, form["id"]).text.replace("-", "")


@pytest.mark.parametrize("change", [{"token": ""}, {"token": "x"}, {"token": None}, {"token": "\u00e9"}])
def test_a_form_without_the_pages_token_publishes_nothing(gateway: Gateway, change: dict[str, Any]) -> None:
    form = fields(look(gateway, preload(gateway, message())).text) | change

    answer = publish(gateway, {name: value for name, value in form.items() if value is not None})

    assert answer.status_code == 403
    assert gateway.records == []


def test_a_token_of_another_draft_will_not_do(gateway: Gateway) -> None:
    one, other = (fields(look(gateway, preload(gateway, message())).text) for _each in range(2))

    assert publish(gateway, one | {"token": other["token"]}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_form_that_comes_from_elsewhere_publishes_nothing(gateway: Gateway, site: str) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)

    assert publish(gateway, form, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert publish(gateway, form, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize("key", ["", "x", "../x", "a" * 10_000])
def test_an_unknown_key_is_404_whatever_is_asked(gateway: Gateway, key: str) -> None:
    preload(gateway, message())

    answers = [look(gateway, key), publish(gateway, {"id": key, "token": ""}), gateway.ask("GET", "/submit-message", key=None)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "no such draft" in answers[0].text


def test_a_draft_lives_for_a_quarter_of_an_hour(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)
    gateway.now += LIFE_SECONDS - 1
    assert look(gateway, form["id"]).status_code == 200
    gateway.now += 1

    assert look(gateway, form["id"]).status_code == 404
    assert publish(gateway, form).status_code == 404
    assert gateway.records == []


def test_nothing_of_a_draft_is_taken_for_html_or_for_a_template(gateway: Gateway) -> None:
    row = photometry(observer=EVIL, target_name=EVIL) | {EVIL: EVIL}
    target = {"name": EVIL, "ra": 1, "dec": 2, EVIL: EVIL}
    words = dict.fromkeys(("title", "submitter", "authors", "message_text", "topic"), EVIL)
    for document in (
        message(**words, data={"targets": [target], "photometry": [row], EVIL: EVIL, "extra": {EVIL: [EVIL]}}),
        message(data={"targets": EVIL, "photometry": [EVIL], "spectroscopy": {EVIL: EVIL}}),
        message(data=EVIL),
        {EVIL: EVIL},
    ):
        page = look(gateway, preload(gateway, document)).text

        assert "<script" not in page
        assert "<img" not in page
        assert "49" not in re.sub(r"[\w-]{20,}", "", page)


def test_the_browser_may_neither_run_nor_fetch_nor_frame_nor_keep_anything(gateway: Gateway) -> None:
    answer = look(gateway, preload(gateway, message()))

    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["base-uri"] == "'none'"
    nonce = policy["style-src"].removeprefix("'nonce-").removesuffix("'")
    assert f'<style nonce="{nonce}">' in answer.text
    assert "script-src" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer", "the address is the key"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"(src|href)=", answer.text)


def test_what_cannot_be_published_has_no_button_and_says_why(gateway: Gateway) -> None:
    wrong = look(gateway, preload(gateway, message(title=""))).text
    elsewhere = look(gateway, preload(gateway, message(topic="tomtoolkit.test"))).text

    assert "title: This field may not be blank." in wrong
    assert "this TOM may publish to tom.shares, tom.tests only" in elsewhere
    assert "<form" not in wrong + elsewhere


def test_a_forged_form_of_what_cannot_be_published_is_refused_by_the_rules(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message())).text)
    for document, status in ((message(title=""), 400), (message(topic="x"), 403)):
        key = preload(gateway, document)
        draft = next(iter(d for d in gateway.drafts._drafts.values() if d.key == key))

        answer = publish(gateway, form | {"id": key, "token": draft.token})

        assert answer.status_code == status
    assert gateway.records == []


def test_rows_that_cannot_be_published_may_be_left_out(gateway: Gateway) -> None:
    """tom_hermes sends all that a target has, and what cannot go would keep the rest back for good."""
    rows = [photometry(), photometry(brightness=0.0), photometry(bandpass="g")]
    key = preload(gateway, message(data=message()["data"] | {"photometry": rows}))
    page = look(gateway, key).text

    assert "data.photometry[1].brightness: brightness or limiting_brightness are required" in page
    assert "Publish to tom.shares without 1 row</button>" in page
    assert publish(gateway, fields(page)).status_code == 303
    (record,) = gateway.published
    assert record.value.count(b'"bandpass"') == 2


def test_a_draft_of_one_client_is_published_with_its_rights_alone(gateway: Gateway) -> None:
    form = fields(look(gateway, preload(gateway, message(topic="tom.tests"), key=OTHER_KEY)).text)
    assert publish(gateway, form).status_code == 303

    page = look(gateway, preload(gateway, message(), key=OTHER_KEY)).text
    assert "this TOM may publish to tom.tests only" in page


def test_a_large_draft_makes_no_large_page(gateway: Gateway) -> None:
    rows = [photometry(observer="x" * 500) for _each in range(2_000)]
    spectrum = {
        "target_name": "SN 2024abc",
        "date_obs": "60000",
        "telescope": "t",
        "flux": [1] * 9999,
        "wavelength": [2] * 9999,
    }
    document = message(message_text="y" * 100_000, data=message()["data"] | {"photometry": rows, "spectroscopy": [spectrum]})

    page = look(gateway, preload(gateway, document)).text

    assert len(page) < 200_000
    assert "photometry (2,000)" in page
    assert "and 1,900 more" in page
    assert "9,999 numbers" in page


@pytest.mark.parametrize("document", [[], "x", 5])
def test_what_is_no_message_makes_no_draft(gateway: Gateway, document: Any) -> None:
    assert gateway.submit(document, "preload/").status_code == 400


def test_keys_of_drafts_are_in_no_log_line(gateway: Gateway) -> None:
    with capture_logs() as logs:
        form = fields(look(gateway, preload(gateway, message())).text)
        publish(gateway, form | {"token": "x"})
        publish(gateway, form)
        look(gateway, "nothing")

    assert [(line["asked"], line["outcome"]) for line in logs] == [
        ("preload", "drafted"), ("draft", "shown"), ("publish", "forged"), ("publish", "published"), ("draft", "no_draft"),
    ]  # fmt: skip
    assert {line["client"] for line in logs[:4]} == {"my-tom"}
    assert form["id"] not in str(logs)
    assert form["token"] not in str(logs)
