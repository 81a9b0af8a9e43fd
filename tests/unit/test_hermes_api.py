"""The door to the Hermes API, and publishing through it, against a real HTTP server that answers as Hermes does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge import hermes_publisher
from bridge.codecs.hermes.losses import Lost
from bridge.codecs.hermes.writing import hermes_messages
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.errors import Away, BridgeError, Halt, Misconfigured, Rejected, Retryable
from bridge.events import OtherDatum, PhotometryDatum, ReducedDatumsShared, Target, TargetListShared, TargetShared, TomIdentity
from bridge.hermes_api import CONNECT_SECONDS, READ_SECONDS, HermesApi, HermesProfile
from bridge.hermes_publisher import MOST_WAITING, HermesPublisher
from bridge.settings import HermesEntry
from tests.support.hermes_server import CREDENTIAL, KEY, HermesServer, Scripted, hermes_server
from tests.support.waiting import wait_for

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
TOPIC = "tomtoolkit.test"
BROKER = "Error posting message to kafka: "


@pytest.fixture(scope="module")
def server() -> Iterator[HermesServer]:
    with hermes_server() as running:
        yield running


@pytest.fixture
def hermes(server: HermesServer) -> HermesServer:
    server.script.clear()
    server.asked.clear()
    server.published.clear()
    server.credential_name = "alice-1"
    return server


def entry(hermes: HermesServer, **more: Any) -> HermesEntry:
    return HermesEntry.model_validate({"BASE_URL": hermes.url, "HERMES_API_KEY": KEY} | more)


@pytest.fixture
def api(hermes: HermesServer) -> Iterator[HermesApi]:
    with closing(HermesApi("hermes", entry(hermes), read_seconds=0.3)) as found:
        yield found


def target(name: str, **more: Any) -> Record:
    return encode(new_event(TargetShared(tom=TOM, target=Target(name=name, type="SIDEREAL", ra=1.0, dec=2.0, **more)), now=NOW))


def message(name: str = "A", **more: Any) -> dict[str, Any]:
    body = TargetShared(tom=TOM, target=Target(name=name, type="SIDEREAL", ra=1.0, dec=2.0))
    (found,) = hermes_messages(new_event(body, now=NOW), topic=TOPIC).messages
    return {**found, **more}


def test_the_profile_says_who_we_are_and_where_we_may_write(api: HermesApi) -> None:
    assert api.profile() == HermesProfile(credential_name="alice-1", writable_topics=("hermes.test", "tomtoolkit.test"))


def test_a_message_is_published_under_the_id_that_hermes_gives_it(hermes: HermesServer, api: HermesApi) -> None:
    uuid = api.submit(message())

    assert [found for found, _message in hermes.published] == [uuid]
    assert hermes.published[0][1]["data"]["targets"][0]["name"] == "A"


def test_the_credentials_of_2022_still_log_in(hermes: HermesServer) -> None:
    name, password = CREDENTIAL
    old = entry(hermes, HERMES_API_KEY="", CREDENTIAL_USERNAME=name, CREDENTIAL_PASSWORD=password)
    with closing(HermesApi("hermes", old)) as api:
        assert api.profile().credential_name == "alice-1"


@pytest.mark.parametrize("more", [{}, {"CREDENTIAL_USERNAME": "u"}, {"CREDENTIAL_PASSWORD": "p"}])
def test_without_a_key_the_setting_is_named(hermes: HermesServer, more: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match=r"\[DATA_SHARING.hermes\] HERMES_API_KEY: missing; Hermes shows it"):
        HermesApi("hermes", entry(hermes, HERMES_API_KEY="", **more))


@pytest.mark.parametrize("path", ["", "api/v0/", "api/v0"])
def test_the_address_may_be_that_of_the_site_or_of_its_api(hermes: HermesServer, path: str) -> None:
    with closing(HermesApi("hermes", entry(hermes, BASE_URL=hermes.url + path))) as api:
        api.profile()

    assert hermes.asked == ["GET /api/v0/profile/"]


def test_validation_answers_200_in_any_case_and_what_it_says_counts(api: HermesApi) -> None:
    wrong = message()
    wrong["data"]["photometry"] = [
        {"target_name": "A", "date_obs": "60000.5", "telescope": "x", "bandpass": "r", "brightness": 18.0},
        {"target_name": "A", "date_obs": "60000.5", "telescope": "x", "bandpass": "", "brightness": 18.0},
    ]

    assert api.validate(message()) == ()
    assert api.validate(wrong) == ("data.photometry[1].bandpass: may not be blank",)


def test_a_200_with_an_error_is_a_failure(hermes: HermesServer, api: HermesApi) -> None:
    """Hermes says so of an account without a SCiMMA credential; TOM Toolkit takes it for published."""
    hermes.credential_name = ""

    with pytest.raises(Halt, match=r"hermes_credential: .*does not have an associated SCIMMA auth credential"):
        api.submit(message())


def test_a_refusal_names_the_fields(api: HermesApi) -> None:
    with pytest.raises(Rejected, match=r"refused_by_hermes: .*HTTP 400: title: may not be blank"):
        api.submit(message(title=""))


BROKER_SIZE = 'KafkaError{code=MSG_SIZE_TOO_LARGE,val=10,str="Broker: Message size too large"}'
BROKER_ACL = 'KafkaError{code=TOPIC_AUTHORIZATION_FAILED,val=29,str="Topic authorization failed"}'
BROKER_AWAY = 'KafkaError{code=_TRANSPORT,val=-195,str="Failed to get metadata: Local: Broker transport failure"}'


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Scripted(401, {"detail": "Invalid token."}), Halt, "hermes_login: .*HTTP 401.*Invalid token"),
        (Scripted(403, {"detail": "No."}), Halt, "hermes_login: .*HTTP 403"),
        (Scripted(302, b"", {"Location": "https://elsewhere.example.org/"}), Halt, "no_hermes_api: .*redirects elsewhere"),
        (Scripted(404, b"<html>", {"Content-Type": "text/html"}), Halt, "no_hermes_api: .*is BASE_URL the address"),
        (Scripted(200, b"<html>", {"Content-Type": "text/html"}), Halt, "no_hermes_api"),
        (Scripted(200, {"hello": 1}), Halt, "no_hermes_api"),
        (Scripted(200, b"[" * 20_000_000), Halt, "no_hermes_api"),
        (Scripted(200, b"[" * 100_000), Halt, "no_hermes_api"),
        (Scripted(400, {"error": BROKER + BROKER_SIZE}), Rejected, "too_large_for_topic"),
        (Scripted(413, b"<html>"), Rejected, "too_large_for_topic"),
        (Scripted(400, {"error": BROKER + BROKER_ACL}), Halt, "hermes_permission: .*does not let the account write"),
        (Scripted(400, {"error": BROKER + BROKER_AWAY}), Retryable, "Broker transport failure"),
        (Scripted(400, {"error": "Files a.fits referenced in message"}), Rejected, "refused_by_hermes: .*Files a.fits"),
        (Scripted(400, {"non_field_errors": ["x" * 2000]}), Rejected, r"refused_by_hermes: .*x\.\.\.$"),
        (Scripted(500, b"<h1>Server Error (500)</h1>"), Retryable, "in trouble .HTTP 500"),
        (Scripted(502, b""), Away, "busy or away .HTTP 502"),
        (Scripted(429, {"detail": "throttled"}, {"Retry-After": "17"}), Away, "HTTP 429"),
        (Scripted(200, {}, after_seconds=1.0), Away, "does not answer"),
    ],
)
def test_every_answer_has_its_meaning(
    hermes: HermesServer, api: HermesApi, answer: Scripted, kind: type[BridgeError], said: str
) -> None:
    hermes.script = [answer]

    with pytest.raises(BridgeError, match=said) as caught:
        api.submit(message())

    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert getattr(caught.value, "retry_after", None) == (17.0 if answer.status == 429 else None)


def test_nothing_listening_is_away() -> None:
    with closing(HermesApi("hermes", HermesEntry(BASE_URL="http://127.0.0.1:9/", HERMES_API_KEY=KEY))) as api:  # type: ignore[arg-type]
        with pytest.raises(Away, match="cannot be reached"):
            api.profile()
        assert KEY not in repr(api)


class Publishing:
    """A publisher, and what came of what it was given."""

    def __init__(self, hermes: HermesServer) -> None:
        self.told: list[tuple[str, str]] = []
        self.slept: list[float] = []
        self.ends: list[BridgeError | None] = []
        api = HermesApi("hermes", entry(hermes), read_seconds=0.5)
        self.publisher = HermesPublisher(api, authors="A. Author", told=self._note, sleep=self.slept.append)

    def _note(self, subject: str, lost: Any) -> None:
        self.told += [(subject, str(found)) for found in lost]

    def send(self, *records: Record) -> None:
        for record in records:
            while not self.publisher.send(TOPIC, record, self.ends.append):
                self.publisher.serve(0.1)

    def settle(self, count: int) -> None:
        for _ in range(100):
            if len(self.ends) >= count:
                return
            self.publisher.serve(0.1)
        pytest.fail(f"{len(self.ends)} of {count} events were reported")


@pytest.fixture
def publishing(hermes: HermesServer) -> Iterator[Publishing]:
    found = Publishing(hermes)
    yield found
    found.publisher.abandon()


def names(hermes: HermesServer) -> list[str]:
    return [found["data"]["targets"][0]["name"] for _uuid, found in hermes.published]


def test_events_are_published_in_order_once_hermes_would_take_them_all(hermes: HermesServer, publishing: Publishing) -> None:
    delivered: list[int] = []
    count = publishing.publisher.publish(TOPIC, map(target, "ABC"), on_delivered=delivered.append)

    assert (count, delivered, names(hermes)) == (3, [1, 2, 3], ["A", "B", "C"])
    assert [path.rpartition("/v0/")[2] for path in hermes.asked] == ["submit_message/validate/"] * 3 + ["submit_message/"] * 3
    assert {found["authors"] for _uuid, found in hermes.published} == {"A. Author"}


def test_if_hermes_would_refuse_one_nothing_is_published(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [
        Scripted(200, {}),
        Scripted(200, {"data": {"targets": [{"ra": ["Must be in a format astropy understands"]}]}}),
    ]

    with pytest.raises(Rejected, match=r"nothing was published: 'B': data.targets\[0\].ra: Must be in a format"):
        publishing.publisher.publish(TOPIC, map(target, "ABC"))
    assert hermes.submitted == 0


def test_what_hermes_cannot_carry_is_left_out_and_told(hermes: HermesServer, publishing: Publishing) -> None:
    nowhere = encode(new_event(TargetShared(tom=TOM, target=Target(name="B", type="SIDEREAL")), now=NOW))
    a_list = encode(new_event(TargetListShared(tom=TOM, name="Nearby"), now=NOW))
    count = publishing.publisher.publish(TOPIC, [target("A", parallax=1.5), nowhere, a_list])

    assert (count, names(hermes)) == (1, ["A"])
    assert publishing.told == [
        (
            "A",
            (
                "target.parallax: Hermes has no field for it; it goes along in data.tom_bridge, where anybody can see it, and "
                "only the bridge reads it"
            ),
        ),
        ("B", "event: 'B': Hermes takes a target only with a right ascension and a declination"),
    ]


def test_what_may_succeed_later_is_tried_again_after_growing_pauses(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(502), Scripted(200, {}), Scripted(429, {}, {"Retry-After": "30"}), Scripted(500)]

    assert publishing.publisher.publish(TOPIC, [target("A")]) == 1
    assert publishing.slept == [1.0, 30.0, 4.0]
    assert names(hermes) == ["A"]


def test_what_does_not_succeed_is_said_in_the_end(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(502)] * 10

    with pytest.raises(Away, match="HTTP 502"):
        publishing.publisher.publish(TOPIC, [target("A")])
    assert publishing.slept == [1.0, 4.0, 16.0]


def test_an_answer_that_is_lost_may_put_a_message_on_the_topic_twice(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(200, {}), Scripted(200, {}, after_seconds=1.0, published=True)]

    assert publishing.publisher.publish(TOPIC, [target("A")]) == 1
    assert names(hermes) == ["A", "A"]


def test_events_that_are_handed_over_are_reported_when_hermes_has_published_them(
    hermes: HermesServer, publishing: Publishing
) -> None:
    publishing.send(*map(target, "ABC"))
    publishing.settle(3)

    assert publishing.ends == [None] * 3
    assert names(hermes) == ["A", "B", "C"]
    assert "validate" not in "".join(hermes.asked)


def test_handing_over_waits_for_nobody_and_takes_only_so_many(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(502, after_seconds=0.3)]
    taken = [
        publishing.publisher.send(TOPIC, target(f"N{number}"), publishing.ends.append) for number in range(MOST_WAITING + 5)
    ]

    assert taken[:MOST_WAITING] == [True] * MOST_WAITING
    assert not taken[-1]
    assert publishing.ends == []


def test_after_a_failure_nothing_later_overtakes(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(200, {"topic": TOPIC}), Scripted(502)]
    publishing.send(*map(target, "ABCD"))
    publishing.settle(4)

    assert publishing.ends[0] is None
    assert [type(error) for error in publishing.ends[1:]] == [Away] * 3
    assert hermes.submitted == 2


def test_a_refusal_names_the_event(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(400, {"title": ["This field may not be blank."]})]
    publishing.send(target("A"))
    publishing.settle(1)

    assert isinstance(publishing.ends[0], Rejected)
    assert "'A': Hermes hermes" in publishing.ends[0].detail


def test_an_event_without_anything_for_hermes_is_not_handed_over(publishing: Publishing) -> None:
    body = ReducedDatumsShared(
        tom=TOM,
        target=Target(name="A", type="SIDEREAL", ra=1.0, dec=2.0).identity(),
        datums=(OtherDatum(data_type="radial_velocity", timestamp=NOW, value=1.5),),
    )
    with pytest.raises(Rejected, match="nothing_for_hermes"):
        publishing.send(encode(new_event(body, now=NOW)))


def test_a_target_list_is_done_at_once(hermes: HermesServer, publishing: Publishing) -> None:
    publishing.send(encode(new_event(TargetListShared(tom=TOM, name="Nearby"), now=NOW)))
    publishing.settle(1)

    assert publishing.ends == [None]
    assert hermes.asked == []


def test_what_is_given_up_is_reported_and_the_one_under_way_is_waited_for(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [Scripted(200, {"topic": TOPIC}, after_seconds=0.3, published=True)]
    publishing.send(*map(target, "ABC"))
    for _ in range(100):
        if hermes.submitted:
            break
        threading.Event().wait(0.01)
    publishing.publisher.abandon()

    assert [str(error) for error in publishing.ends] == ["given up", "given up", "None"]
    assert names(hermes) == ["A"]


def test_what_is_given_up_is_reported_at_once_however_long_hermes_takes(
    hermes: HermesServer, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hermes_publisher, "LAST_ANSWER_SECONDS", 0.0)
    hermes.script = [Scripted(200, {"topic": TOPIC}, after_seconds=0.4)]
    publishing.send(*map(target, "ABC"))
    wait_for(lambda: hermes.submitted, "the first is under way", seconds=10)
    publishing.publisher.abandon()

    assert [str(error) for error in publishing.ends] == ["given up"] * 2


def test_an_answer_is_waited_for_as_long_as_hermes_may_take() -> None:
    assert hermes_publisher.LAST_ANSWER_SECONDS > CONNECT_SECONDS + READ_SECONDS


TOO_LARGE = Scripted(400, {"error": BROKER + BROKER_SIZE})


def of_brightnesses(*magnitudes: float) -> Record:
    datums = [PhotometryDatum(timestamp=NOW, brightness=one, bandpass="r", telescope="x", unit="AB mag") for one in magnitudes]
    about = Target(name="A", type="SIDEREAL", ra=1.0, dec=2.0).identity()
    return encode(new_event(ReducedDatumsShared(tom=TOM, target=about, datums=tuple(datums)), now=NOW))


def brightnesses(hermes: HermesServer) -> list[list[float]]:
    return [[row["brightness"] for row in found["data"]["photometry"]] for _uuid, found in hermes.published]


def test_what_is_too_large_for_its_topic_goes_in_halves(hermes: HermesServer, publishing: Publishing) -> None:
    """Hermes does not say how much a topic takes."""
    hermes.script = [TOO_LARGE, TOO_LARGE]
    publishing.send(of_brightnesses(16.0, 17.0, 18.0, 19.0))
    publishing.settle(1)

    assert publishing.ends == [None]
    assert brightnesses(hermes) == [[16.0], [17.0], [18.0, 19.0]]


def test_publish_sends_halves_too_and_none_of_them_twice(hermes: HermesServer, publishing: Publishing) -> None:
    valid, first = Scripted(200, {}), Scripted(200, {"topic": TOPIC}, published=True)
    hermes.script = [valid, TOO_LARGE, first, Scripted(502)]

    assert publishing.publisher.publish(TOPIC, [of_brightnesses(16.0, 17.0)]) == 1
    assert brightnesses(hermes) == [[16.0], [17.0]]


def test_a_row_that_is_alone_too_large_is_refused(hermes: HermesServer, publishing: Publishing) -> None:
    hermes.script = [TOO_LARGE] * 3
    publishing.send(of_brightnesses(16.0, 17.0))
    publishing.settle(1)

    (error,) = publishing.ends
    assert isinstance(error, Rejected)
    assert error.reason == "too_large_for_topic"


def test_an_event_of_several_messages_is_reported_once(hermes: HermesServer, publishing: Publishing) -> None:
    datums = [
        PhotometryDatum(timestamp=NOW, brightness=18.0, bandpass="r", telescope="x", unit=unit) for unit in ("AB", "", "mJy")
    ]
    body = ReducedDatumsShared(
        tom=TOM, target=Target(name="A", type="SIDEREAL", ra=1.0, dec=2.0).identity(), datums=tuple(datums)
    )
    publishing.send(encode(new_event(body, now=NOW)))
    publishing.settle(1)

    assert publishing.ends == [None]
    assert hermes.submitted == 3


def test_a_fault_of_ours_leaves_no_event_waiting(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_message: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(publishing.publisher._api, "submit", fail)
    publishing.send(target("A"))
    publishing.settle(1)

    assert str(publishing.ends[0]) == "internal error on 'A' (KeyError); please report it"


def test_losses_read_like_sentences() -> None:
    assert str(Lost("datum.unit", "is not said", (1, 2))) == "datum.unit of 2 datums: is not said"


def call(ask: Callable[[], object]) -> None:
    with suppress(BridgeError):
        ask()


def test_no_secret_is_in_any_request_line(hermes: HermesServer, api: HermesApi) -> None:
    call(api.profile)
    call(lambda: api.submit(message()))

    assert KEY not in "".join(hermes.asked)
