"""What a client is answered: 2xx only for what is done, errors as Hermes gives them, and a log line without secrets."""

import io
import json
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from bridge.codecs.hermes.message import parse_message
from bridge.codecs.hermes.reading import read_message
from bridge.codecs.record import header
from bridge.errors import Halt, Misconfigured, Retryable
from bridge.gateway.app import MAX_BODY_BYTES
from tests.support.hermes_corpus import TIME
from tests.unit.gateway.doubles import KEY, OTHER_KEY, TOPIC, Gateway, message, photometry


def test_the_profile_says_where_a_client_may_write_and_never_its_key(gateway: Gateway) -> None:
    answer = gateway.ask("GET", "/api/v0/profile/")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["writable_topics"] == [TOPIC, "tom.tests"]
    assert answer.json["credential_name"] == "My TOM"
    assert "canary" not in answer.text
    assert gateway.ask("GET", "/api/v0/topics/").json == {"topics": [TOPIC, "tom.tests"]}


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        (None, "Authentication credentials were not provided."),
        ("", "Authentication credentials were not provided."),
        ("Token", "Invalid token."),
        ("Token None", "Invalid token."),
        (f"Token {KEY}x", "Invalid token."),
        (f"Token {KEY[:-1]}", "Invalid token."),
        (f"Bearer {KEY}", "Invalid token."),
        (f"Basic {KEY}", "Invalid token."),
        (KEY, "Invalid token."),
        (f"Token {KEY} {KEY}", "Invalid token."),
        (f"Token {KEY}, {OTHER_KEY}", "Invalid token."),
        ("Token \xff\xfe", "Invalid token."),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v0/profile/"),
        ("GET", "/api/v0/topics/"),
        ("POST", "/api/v0/submit_message/"),
        ("POST", "/api/v0/submit_message/validate/"),
        ("POST", "/api/v0/submit_message/preload/"),
    ],
)
def test_without_a_known_key_nothing_is_answered_or_even_read(
    gateway: Gateway, method: str, path: str, authorization: str | None, said: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = gateway.ask(method, path, key=None, headers=headers, data=b"{", content_type="application/json")

    assert (answer.status_code, answer.json) == (401, {"detail": said})
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert gateway.records == []


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN"])
def test_the_scheme_may_be_written_in_any_case(gateway: Gateway, scheme: str) -> None:
    answer = gateway.ask("GET", "/api/v0/profile", key=None, headers={"Authorization": f"{scheme}  {KEY} "})

    assert answer.status_code == 200


def test_a_message_is_published_in_hermes_wire_form_and_its_id_is_told(gateway: Gateway) -> None:
    answer = gateway.submit(message())

    assert answer.status_code == 200
    assert answer.json is not None
    (record,) = gateway.published
    uuid = UUID(answer.json["uuid"])
    assert record.key is None
    assert record.headers == (
        ("topic", b"tom.shares"), ("_id", uuid.bytes), ("_format", b"json"), ("title", b"Updated data"), ("_sender", b"My TOM"),
    )  # fmt: skip
    assert json.loads(record.value) == {key: value for key, value in answer.json.items() if key != "uuid"}
    assert record.value.isascii()


def test_a_reader_of_the_bridge_understands_it(gateway: Gateway) -> None:
    gateway.submit(message())

    (record,) = gateway.published
    reading = read_message(parse_message(record), topic_address="kafka://h/tom.shares", name_from="submitter", time=TIME)
    target, datums = (event.body for event in reading.events)
    assert target.target.aliases == ("ZTF24aaa",)  # type: ignore[union-attr]
    assert datums.datums[0].brightness == 18.125  # type: ignore[union-attr]
    assert reading.refused == ()


def test_a_form_with_the_message_in_its_field_data_will_do(gateway: Gateway) -> None:
    answer = gateway.ask(
        "POST", "/api/v0/submit_message/", data={"data": json.dumps(message())}, content_type="multipart/form-data"
    )

    assert answer.status_code == 200
    assert len(gateway.published) == 1


def test_a_large_field_data_will_do_too(gateway: Gateway) -> None:
    large = json.dumps(message(message_text="x" * 2_000_000))
    body = f'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n{large}\r\n--b--\r\n'

    answer = gateway.ask("POST", "/api/v0/submit_message/", data=body, content_type="multipart/form-data; boundary=b")

    assert answer.status_code == 200


def test_files_are_refused_rather_than_dropped(gateway: Gateway) -> None:
    form = {"data": json.dumps(message()), "files": (io.BytesIO(b"x"), "a.fits")}

    answer = gateway.ask("POST", "/api/v0/submit_message/", data=form, content_type="multipart/form-data")

    assert answer.status_code == 400
    assert answer.json is not None
    assert "takes no files" in answer.json["error"]
    assert gateway.published == []


def test_what_hermes_rules_refuse_is_400_with_the_fields(gateway: Gateway) -> None:
    answer = gateway.submit(message(title="", data={"targets": [{"name": "A"}]}))

    assert answer.status_code == 400
    assert answer.json is not None
    assert set(answer.json) == {"title", "data"}
    assert gateway.published == []


@pytest.mark.parametrize("topic", ["hermes.test", "tom.shares.other", "TOM.SHARES", "tom.shares\n", "../tom.shares"])
def test_a_topic_that_is_not_the_clients_is_403(gateway: Gateway, topic: str) -> None:
    answer = gateway.submit(message(topic=topic))

    if topic.strip() == TOPIC:
        assert answer.status_code == 200, "white space around a text is none of it, as Hermes has it"
        return
    assert answer.status_code == 403
    assert answer.json is not None
    assert "your topics are tom.shares, tom.tests" in answer.json["detail"]
    assert gateway.records == []


def test_one_clients_topics_are_not_anothers(gateway: Gateway) -> None:
    assert gateway.submit(message(), key=OTHER_KEY).status_code == 403
    assert gateway.submit(message(topic="tom.tests"), key=OTHER_KEY).status_code == 200
    ((_topic, record),) = gateway.records
    assert header(record.headers, "_sender") == b"other-tom"


def test_validate_answers_200_with_the_errors_and_publishes_nothing(gateway: Gateway) -> None:
    good, bad, elsewhere = (gateway.submit(each, "validate/") for each in (message(), message(title=""), message(topic="x")))

    assert [answer.status_code for answer in (good, bad, elsewhere)] == [200, 200, 200]
    assert good.json == {}
    assert bad.json == {"title": ["This field may not be blank."]}
    assert elsewhere.json is not None
    assert list(elsewhere.json) == ["topic"]
    assert gateway.records == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON parse error - Expecting value"),
        (b"{", "JSON parse error"),
        (b"\xff\xfe\x00", "JSON parse error"),
        (b'{"title": NaN}', "a number that JSON does not have"),
        (b'{"title": -Infinity}', "a number that JSON does not have"),
        (b'{"title": 1e999}', "a number that JSON does not have"),
        (b'{"title": ' + b"9" * 5000 + b"}", "a number that JSON does not have"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_400(gateway: Gateway, body: bytes, said: str) -> None:
    answer = gateway.ask("POST", "/api/v0/submit_message/", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json is not None
    assert said in answer.json["detail"]


def test_deeply_nested_extra_data_breaks_nothing(gateway: Gateway) -> None:
    body = json.dumps(message()).replace('"extra_data": {}', '"extra_data": ' + "[" * 700 + "]" * 700)

    answer = gateway.ask("POST", "/api/v0/submit_message/", data=body, content_type="application/json")

    assert answer.status_code in {200, 400}


def test_other_kinds_of_content_are_415(gateway: Gateway) -> None:
    answer = gateway.ask("POST", "/api/v0/submit_message/", data="title=x", content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 415
    assert answer.json == {"detail": 'Unsupported media type "application/x-www-form-urlencoded" in request.'}


def test_a_form_without_data_is_400(gateway: Gateway) -> None:
    answer = gateway.ask("POST", "/api/v0/submit_message/", data={"dta": "{}"}, content_type="multipart/form-data")

    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_more_than_ten_megabytes_is_413(gateway: Gateway, kind: str) -> None:
    answer = gateway.ask("POST", "/api/v0/submit_message/", data=b"x" * (MAX_BODY_BYTES + 1), content_type=kind)

    assert answer.status_code == 413
    assert answer.json is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Retryable("stream s (broker:9092), publishing to t: Local: Message timed out"), 503),
        (Halt("broker_permission", "stream s (broker:9092): login is not allowed to"), 503),
        (Halt("broker_login", "stream s (broker:9092): the broker refuses the login"), 503),
        (Misconfigured("stream s (broker:9092): the topic does not exist"), 503),
        (Halt("too_large_for_topic", "stream s (broker:9092): larger than max.message.bytes"), 413),
    ],
)
def test_what_the_broker_has_not_confirmed_is_never_2xx(gateway: Gateway, error: Exception, status: int) -> None:
    gateway.errors.append(error)  # type: ignore[arg-type]

    with capture_logs() as logs:
        answer = gateway.submit(message())

    assert answer.status_code == status
    assert answer.json is not None
    assert list(answer.json) == ["error"]
    assert "broker:9092" not in answer.text, "where the broker is concerns nobody outside"
    assert ("Retry-After" in answer.headers) == (status == 503)
    if status == 503:
        assert any("broker:9092" in line.get("why", "") for line in logs), "but the operator"
    assert gateway.published == []


def test_a_fault_of_ours_is_500_and_says_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(gateway.posting._producer, "send", fail)

    with capture_logs() as logs:
        answer = gateway.submit(message())

    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert [line["log_level"] for line in logs] == ["error", "warning"]


def test_each_request_is_one_line_of_the_log_and_no_line_has_a_key(gateway: Gateway) -> None:
    with capture_logs() as logs:
        gateway.submit(message())
        gateway.submit(message(title=""))
        gateway.submit(message(), key="canary-wrong")
        gateway.submit(message(), "preload/")
        gateway.ask("GET", "/api/v0/nowhere?canary=1")
        gateway.ask("DELETE", "/api/v0/submit_message/")
        gateway.ask("GET", "/healthz")

    assert [(line["outcome"], line["status"]) for line in logs] == [
        ("published", 200),
        ("invalid", 400),
        ("unknown_key", 401),
        ("drafted", 201),
        ("no_such_page", 404),
        ("no_such_page", 405),
    ]
    assert logs[0]["client"] == "my-tom"
    assert logs[0]["topic"] == TOPIC
    assert UUID(logs[0]["uuid"])
    assert "canary" not in str(logs)


def test_health_is_that_of_the_broker(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/healthz", key=None).json == {"ok": True}
    gateway.probe = _away
    gateway.errors.append(Retryable("x"))
    gateway.submit(message(data={"targets": [{"name": "SN 2024abc", "ra": 1, "dec": 2}], "photometry": [photometry()]}))

    answer = gateway.ask("GET", "/healthz", key=None)

    assert (answer.status_code, answer.json) == (503, {"ok": False})


def _away() -> None:
    raise Retryable("still away")
