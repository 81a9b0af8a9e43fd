"""What a TOM's answer means: the table of facts/tom-api.md, section 2.9, with the bodies that real TOMs send."""

from typing import Any

import pytest

from bridge.errors import Away, BridgeError, Halt, Rejected, Retryable
from bridge.verdict import Answer, field_errors, is_from_a_tom, judge, says_already_exists, says_invisible_target


def answer(status: int, body: Any = None, **about: Any) -> Answer:
    return Answer(method="POST", path="/api/targets/", status=status, body=body, is_json=body is not None, **about)


VERDICTS: dict[str, tuple[Answer, type[BridgeError], str]] = {
    "2.x, wrong password": (answer(302, location="/accounts/login/?next=/api/targets/"), Halt, "tom_login"),
    "3.x, wrong password": (answer(401, {"detail": "Invalid username/password."}), Halt, "tom_login"),
    "locked TOM, empty body": (answer(403), Halt, "tom_login"),
    "missing slash, or http for https": (answer(301, location="https://tom.example.org/api/targets/"), Halt, "tom_redirects"),
    "a proxy that moves": (answer(308, location="https://elsewhere.example.org/"), Halt, "tom_redirects"),
    "HTML for a success": (answer(200), Halt, "not_a_tom"),
    "HTML for a creation": (answer(201), Halt, "not_a_tom"),
    "missing fields": (answer(400, {"ra": ["required"], "dec": ["required"]}), Rejected, "refused_by_tom"),
    "HTML for a bad request": (answer(400), Rejected, "refused_by_tom"),
    "no such target": (answer(404, {"detail": "No Target matches the given query."}), Rejected, "refused_by_tom"),
    "wrong method": (answer(405, {"detail": 'Method "PUT" not allowed.'}), Rejected, "refused_by_tom"),
    "too large": (answer(413), Rejected, "refused_by_tom"),
    "wrong content type": (answer(415, {"detail": "Unsupported media type"}), Rejected, "refused_by_tom"),
    "an exception in the TOM": (answer(500), Rejected, "tom_error"),
    "processing failed": (answer(500, {"Data processing error": "bad file"}), Rejected, "tom_error"),
    "not implemented": (answer(501), Rejected, "tom_error"),
}
BUSY = [408, 425, 429, 502, 503, 504]


@pytest.mark.parametrize("case", VERDICTS)
def test_an_answer_is_judged_by_who_must_act(case: str) -> None:
    given, kind, reason = VERDICTS[case]
    verdict = judge(given)

    assert type(verdict) is kind
    assert verdict.reason == reason  # type: ignore[attr-defined]
    assert "POST /api/targets/" in str(verdict)


@pytest.mark.parametrize("status", BUSY)
def test_a_tom_that_is_busy_or_away_is_asked_again_when_it_says(status: int) -> None:
    verdict = judge(answer(status, retry_after=17.0))

    assert type(verdict) is Away
    assert verdict.retry_after == 17.0
    assert type(judge(answer(status))) is Away


@pytest.mark.parametrize("status", [500, 501, 505, 599])
def test_a_tom_that_fails_on_a_mere_question_is_asked_again_for_a_time(status: int) -> None:
    verdict = judge(Answer(method="GET", path="api/targets/", status=status, retry_after=5.0))

    assert type(verdict) is Retryable  # whether it is away as a whole, a probe has to tell
    assert (verdict.reason, verdict.retry_after) == ("tom_error", None)  # a wait that is asked for would have no limit
    assert "GET api/targets/" in verdict.detail


def test_what_may_succeed_later_says_what_it_is_if_it_does_not() -> None:
    assert Retryable("it fails").reason == "retries_exhausted"
    assert Away("busy", 3.0).retry_after == 3.0


@pytest.mark.parametrize("body", [None, {"detail": "x"}])
def test_every_status_is_judged_and_only_busy_ones_are_retried(body: Any) -> None:
    retried = [status for status in range(100, 600) if isinstance(judge(answer(status, body)), Retryable)]

    assert retried == BUSY


@pytest.mark.parametrize(
    ("status", "is_json", "ok"),
    [(200, True, True), (201, True, True), (200, False, False), (302, True, False), (400, True, False)],
)
def test_only_a_success_in_json_can_be_believed(status: int, is_json: bool, ok: bool) -> None:
    assert Answer(method="GET", path="/", status=status, is_json=is_json).ok is ok


def test_a_refusal_names_the_fields() -> None:
    verdict = judge(answer(400, {"name": ["This field is required."], "aliases": {"0": {"name": ["may not be blank."]}}}))

    assert "name: This field is required.; aliases: 0: name: may not be blank." in str(verdict)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"ra": ["a", "b"]}, "ra: a; ra: b"),
        (["Alias 'x' conflicts with the name"], "Alias 'x' conflicts with the name"),
        ("text", "text"),
        (None, "no reason given"),
        ({}, "no reason given"),
        ({"a": [{"b": ["c"]}, {}]}, "a: b: c"),
    ],
)
def test_field_errors_are_one_line(body: Any, text: str) -> None:
    assert field_errors(body) == text


def test_a_very_long_complaint_is_cut() -> None:
    assert len(field_errors({"a": ["x" * 10_000]})) == 300
    assert len(str(judge(answer(400, {"a": ["x" * 10_000]})))) < 400


NAME_TAKEN = {"name": ["target with this Name already exists."]}
ALIAS_TAKEN = {"aliases": {"0": {"name": ["target name with this Alias already exists."]}}}
PRODUCT_TAKEN = {"product_id": ["data product with this product id already exists."]}


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        (NAME_TAKEN, ("name",), True),
        (ALIAS_TAKEN, ("aliases",), True),
        (ALIAS_TAKEN, ("name",), False),
        (NAME_TAKEN, ("aliases",), False),
        (PRODUCT_TAKEN, ("product_id",), True),
        ({"name": ["This field may not be blank."]}, ("name",), False),
        (["Alias 'x' conflicts"], ("name",), False),
        (None, ("name",), False),
        ("already exists", ("name",), False),
    ],
)
def test_what_exists_already_is_told_by_the_field_that_says_so(body: Any, path: tuple[str, ...], says: bool) -> None:
    assert says_already_exists(body, *path) is says


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(404, {"detail": "No Target matches the given query."}), True),
        (answer(400, {"target": ['Invalid pk "41" - object does not exist.']}), True),
        (answer(400, {"target": ["This field is required."]}), False),
        (answer(400, {"data_product": ['Invalid pk "41" - object does not exist.']}), False),
        (answer(400, ["Invalid pk"]), False),
        (answer(201, {"target": ["Invalid pk"]}), False),
    ],
)
def test_a_target_that_is_not_ours_to_change_is_told(given: Answer, says: bool) -> None:
    assert says_invisible_target(given) is says


def test_an_answers_repr_shows_no_body() -> None:
    assert repr(answer(200, {"token": "s3cret"})) == "<Answer POST /api/targets/: 200>"


@pytest.mark.parametrize(
    ("method", "path", "body", "is_one"),
    [
        ("GET", "/api/targets/", {"count": 0, "results": []}, True),
        ("GET", "/api/targets/", {"status": "ok"}, False),
        ("GET", "/api/targets/", [], False),
        ("GET", "/api/targets/7/", {"id": 7, "name": "x"}, True),
        ("GET", "/api/targets/7/", {"results": []}, False),
        ("POST", "/api/targets/", {"id": 7, "name": "x"}, True),
        ("POST", "/api/targets/", {"status": "ok"}, False),
        ("PATCH", "/api/targets/7/", {"id": 7, "name": "x"}, True),
        ("PATCH", "/api/targets/7/", None, False),
        ("POST", "/api/reduceddatums/", {"data_type": "photometry", "message": "x"}, True),
        ("POST", "/api/reduceddatums/", {"already_exists": True}, True),
        ("POST", "/api/reduceddatums/", {"id": 7}, False),
        ("POST", "/api/dataproducts/", {"id": 7}, True),
        ("POST", "/api/dataproducts/", "ok", False),
    ],
)
def test_a_success_that_is_json_but_not_a_toms_is_recognised(method: str, path: str, body: Any, *, is_one: bool) -> None:
    assert is_from_a_tom(Answer(method=method, path=path, status=200, body=body, is_json=True)) is is_one
