"""The page over WSGI: what it answers, to whom, and what it lets a browser do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bridge.observe.page import app as module
from bridge.observe.page.app import make_app
from bridge.observe.page.state import State
from tests.unit.observe.page.pages import make_state, make_streams
from tests.unit.observe.page.seen import consumed, record, shared

STATIC = Path(module.__file__).parent / "static"
PATHS = ["/", "/target?name=A", "/api/overview", "/api/target?name=A", "/healthz", "/static/page.css", "/nowhere"]
HOSTILE = '<img src=x onerror=alert(1)>"\u202e\x1b\x00'


def get(
    path: str, state: State | None = None, method: str = "GET", hosts: tuple[str, ...] = (), **headers: str
) -> TestResponse:
    state = state or make_state()
    client = make_app(state=state, streams=make_streams(state), hosts=hosts).test_client()
    names = {name.replace("_", "-"): value for name, value in ({"Host": "127.0.0.1:8972"} | headers).items()}
    return client.open(path, method=method, headers=names, buffered=not path.startswith("/events"))


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_tells_the_browser_to_run_and_fetch_nothing_of_others(path: str) -> None:
    headers = get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))

    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["connect-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'self'", "'none'", "'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/", "/target?name=A"])
def test_a_page_names_nothing_from_elsewhere_and_everything_it_names_is_there(path: str) -> None:
    text = get(path).text
    named = re.findall(r'(?:src|href|action)="([^"#]+)"', text)

    assert named
    assert [name for name in named if "://" in name or name.startswith("//")] == []
    assert [name for name in named if get(f"/{name.removeprefix('./')}").status_code != 200] == []
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_the_scripts_make_no_markup_of_texts_and_name_no_other_place() -> None:
    for path in STATIC.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|srcdoc", text
        ), path
        assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}, path
    assert "url(" not in (STATIC / "page.css").read_text(encoding="utf-8")
    assert "@import" not in (STATIC / "page.css").read_text(encoding="utf-8")


def test_the_overview_has_the_events_and_everything_else() -> None:
    state = make_state()
    state.saw(consumed(record(shared(HOSTILE.replace("\x00", "")))))
    answer = get("/api/overview", state)

    assert answer.content_type == "application/json"
    assert answer.json is not None
    assert (answer.json["mark"][-2:], answer.json["events"][0]["target"]) == ("-1", HOSTILE.replace("\x00", ""))
    assert answer.json["overview"]["stream"] == "share-stream"


def test_a_name_from_the_address_is_never_part_of_the_page() -> None:
    answer = get("/target?name=%3Cscript%3Ealert(1)%3C/script%3E")

    assert "alert(1)" not in answer.text
    assert answer.text == get("/target").text


def test_a_browser_goes_on_where_the_overview_ended() -> None:
    state = make_state()
    state.saw(consumed(record(shared("A"))))
    streams = make_streams(state)
    client = make_app(state=state, streams=streams).test_client()
    mark = client.get("/api/overview").json["mark"]
    state.saw(consumed(record(shared("B")), 1))
    answer = client.get(f"/events?after={mark}", buffered=False)
    chunks = answer.iter_encoded()
    next(chunks)

    assert b'"events": [{' in (told := next(chunks))
    assert (b'"B"' in told, b'"A"' in told) == (True, False)
    answer.close()


@pytest.mark.parametrize("after", ["9" * 5000, "1", "x" * 5000])
def test_what_is_no_mark_is_told_to_begin_anew(after: str) -> None:
    answer = get(f"/events?after={after}")
    chunks = answer.iter_encoded()
    next(chunks)

    assert next(chunks).startswith(b"event: anew")
    answer.close()


@pytest.mark.parametrize("name", ["", "%20", "x" * 501])
def test_what_is_no_name_is_refused(name: str) -> None:
    answer = get(f"/api/target?name={name}")

    assert (answer.status_code, answer.content_type) == (400, "application/json")


def test_a_target_that_was_asked_for_is_waited_for() -> None:
    answer = get("/api/target?name=SN%202013dx")

    assert answer.json is not None
    assert (answer.json["name"], answer.json["read"]["state"], answer.json["points"]) == ("SN 2013dx", "waiting", [])


@pytest.mark.parametrize("path", PATHS[:-1])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    answer = get(path, method=method)

    assert answer.status_code == 405
    assert "POST" not in answer.headers["Allow"]


@pytest.mark.parametrize(
    "host", ["localhost:8972", "127.0.0.1", "127.0.0.9:1", "[::1]:8972", "my.localhost", "page.example.org"]
)
def test_the_page_answers_to_its_own_names(host: str) -> None:
    assert get("/", hosts=("Page.example.org",), Host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.example.org:8972", "localhost.evil.org", "10.0.0.1"])
@pytest.mark.parametrize("path", ["/", "/api/overview", "/static/page.css"])
def test_another_name_that_leads_here_is_refused(host: str, path: str) -> None:
    """DNS rebinding: a page of somebody else whose name points to this machine would read what stands here."""
    answer = get(path, Host=host)

    assert answer.status_code == 421
    assert "--allow-host" in answer.text


def test_open_to_the_network_it_answers_to_any_name() -> None:
    state = make_state()
    client = make_app(state=state, streams=make_streams(state), any_host=True).test_client()

    assert client.get("/", headers={"Host": "page.example.org"}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/api/overview", 403), ("/events", 403), ("/", 200), ("/target?name=A", 200)])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_others_may_lead_here_and_read_nothing(path: str, status: int, site: str) -> None:
    assert get(path, Sec_Fetch_Site=site).status_code == status


def test_events_are_streamed_and_no_proxy_holds_them_back() -> None:
    state = make_state()
    state.saw(consumed(record(shared())))
    streams = make_streams(state)
    answer = make_app(state=state, streams=streams).test_client().get(f"/events?after={streams.mark(0)}", buffered=False)
    chunks = answer.iter_encoded()

    assert answer.content_type.startswith("text/event-stream")
    assert (answer.headers["X-Accel-Buffering"], answer.headers["Cache-Control"]) == ("no", "no-store")
    assert next(chunks) == b"retry: 2000\n\n"
    assert b"event: shared\n" in next(chunks)
    answer.close()


def test_a_place_is_free_again_when_a_browser_goes_away() -> None:
    state = make_state()
    streams = make_streams(state, most=1)
    client = make_app(state=state, streams=streams).test_client()
    first = client.get("/events", buffered=False)
    second = client.get("/events", buffered=False)

    assert (second.status_code, second.headers["Retry-After"]) == (503, "30")
    assert client.head("/events").status_code == 503
    first.close()
    assert streams.count == 0
    assert client.head("/events").status_code == 200
    assert streams.count == 0


def test_health_follows_the_broker() -> None:
    state = make_state()
    assert (get("/healthz", state).status_code, get("/healthz", state).json) == (200, {"ok": True})
    state.note(trouble="away", caught_up=False)

    assert (get("/healthz", state).status_code, get("/healthz", state).json) == (503, {"ok": False})


def test_a_fault_of_the_page_is_no_secret_and_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    state = make_state()
    monkeypatch.setattr(state, "overview", lambda: 1 / 0)
    answer = get("/api/overview", state)

    assert (answer.status_code, answer.text) == (500, "The page failed; its log has the reason.\n")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def light(colour: str) -> float:
        digits = colour.removeprefix("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_and_marks_stand_out_from_what_is_behind_them(theme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", (STATIC / "page.css").read_text(encoding="utf-8"), flags=re.DOTALL)[theme]
    colours: dict[str, Any] = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block))
    behind = [colours["bg"], colours["card"]]

    for name in ("ink", "soft", "accent", "good", "waiting", "bad"):
        assert min(contrast(colours[name], ground) for ground in behind) >= 4.5, name
    for name in ("edge", "others", *(f"c{number}" for number in range(8))):
        assert min(contrast(colours[name], ground) for ground in behind) >= 3, name
    assert contrast(colours["accent"], colours["accent-ink"]) >= 4.5
    assert min(contrast(colours[name], colours["fresh"]) for name in ("ink", "soft", "accent")) >= 4.5


def test_json_is_never_taken_for_a_page() -> None:
    for path in ("/api/overview", "/api/target?name=A"):
        assert get(path).content_type == "application/json"
        json.loads(get(path).text)
