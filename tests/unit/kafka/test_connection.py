"""How a stream's entry becomes a librdkafka configuration, and its errors ours."""

from typing import Any

import certifi
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from bridge.errors import BridgeError, Halt, Misconfigured, Retryable
from bridge.kafka.connection import Connection, connect_settings, open_client, translate_error
from bridge.settings import StreamEntry

HERE = Connection("share-stream", "kafka.example.org:9092", "alice (DATA_SHARING)", {})


@pytest.fixture(autouse=True)
def _no_hop_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_user_and_password_mean_scram_over_tls() -> None:
    entry = StreamEntry(
        BASE_URL="kafka://kafka.example.org/",
        USERNAME="alice",
        PASSWORD="s3cret",  # type: ignore[arg-type]
        SSL_CA_LOCATION=certifi.where(),
    )
    connection = connect_settings("share-stream", entry)
    security = {key: value for key, value in connection.config.items() if key.startswith(("sasl", "ssl", "security"))}

    assert connection.credential == "alice (DATA_SHARING)"
    assert connection.config["bootstrap.servers"] == "kafka.example.org:9092"
    assert security == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": "s3cret",
        "ssl.ca.location": certifi.where(),
    }


def test_a_password_is_never_sent_in_plain_text_not_even_on_this_machine() -> None:
    entry = StreamEntry(BASE_URL="kafka://localhost/", USERNAME="a", PASSWORD="b", ALLOW_PLAINTEXT=True)  # type: ignore[arg-type]

    assert connect_settings("s", entry).config["security.protocol"] == "SASL_SSL"


def test_the_user_may_stand_in_the_url() -> None:
    entry = StreamEntry(BASE_URL="kafka://alice@kafka.example.org/", PASSWORD="s3cret")  # type: ignore[arg-type]

    assert connect_settings("s", entry).config["sasl.username"] == "alice"


@pytest.mark.parametrize("url", ["kafka://localhost/", "kafka://127.0.0.1:9093/", "kafka://[::1]:9092/"])
def test_plain_text_is_fine_on_this_machine(url: str) -> None:
    connection = connect_settings("s", StreamEntry(BASE_URL=url))

    assert "security.protocol" not in connection.config
    assert connection.credential == "none (plain text)"


def test_plain_text_beyond_this_machine_is_refused_with_the_two_ways_out() -> None:
    with pytest.raises(Misconfigured, match=r"\[DATA_SHARING\.s\]: no USERNAME and PASSWORD.*ALLOW_PLAINTEXT = true"):
        connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.example.org/"))


def test_plain_text_beyond_this_machine_can_be_asked_for() -> None:
    connection = connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.example.org/", ALLOW_PLAINTEXT=True))

    assert "security.protocol" not in connection.config


def test_a_user_whose_password_is_nowhere_is_refused_even_with_plain_text_allowed() -> None:
    with pytest.raises(Misconfigured, match=r"PASSWORD: there is none for alice.*hop auth add"):
        connect_settings("s", StreamEntry(BASE_URL="kafka://alice@kafka.example.org/", ALLOW_PLAINTEXT=True))


def test_topics_are_never_created_by_asking_for_them() -> None:
    assert connect_settings("s", StreamEntry(BASE_URL="kafka://localhost/")).config["allow.auto.create.topics"] is False


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (KafkaError._AUTHENTICATION, Halt, "refuses the login of alice"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, Halt, "broker_login"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Halt, "broker_permission.*ask for the ACL"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, Halt, "broker_permission"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, Misconfigured, "tom-bridge topics create"),
        (KafkaError._AUTO_OFFSET_RESET, Halt, "expired_offset.*events are lost"),
        (KafkaError.OFFSET_OUT_OF_RANGE, Halt, "expired_offset"),
        (KafkaError.MSG_SIZE_TOO_LARGE, Halt, "too_large_for_topic"),
        (KafkaError._TRANSPORT, Retryable, "doing it"),
        (KafkaError._ALL_BROKERS_DOWN, Retryable, "share-stream"),
        (KafkaError._MSG_TIMED_OUT, Retryable, "kafka.example.org:9092"),
        (KafkaError.NOT_ENOUGH_REPLICAS, Retryable, "doing it"),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, Retryable, "doing it"),
    ],
)
def test_librdkafkas_errors_become_ours_by_who_must_act(code: int, kind: type[BridgeError], says: str) -> None:
    for error in (KafkaError(code), KafkaException(KafkaError(code))):
        ours = translate_error(error, HERE, "doing it")

        assert type(ours) is kind
        with pytest.raises(kind, match=says):
            raise ours
        assert "stream share-stream (kafka.example.org:9092), doing it" in str(ours)


def test_every_error_that_librdkafka_knows_becomes_one_of_ours() -> None:
    codes = [value for name, value in vars(KafkaError).items() if name.isupper() and isinstance(value, int)]

    assert len(codes) > 100
    assert all(isinstance(translate_error(KafkaError(code), HERE, "doing it"), BridgeError) for code in codes)


@pytest.mark.parametrize(
    "said",
    [
        KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED, "OAuth token not set within 10 seconds timeout"),
        KafkaError(KafkaError._AUTHENTICATION, "Failed to acquire SASL OAUTHBEARER token: s3cret"),
    ],
)
def test_a_login_by_token_that_has_none_was_not_refused(said: KafkaError) -> None:
    ours = translate_error(said, HERE, "doing it")

    assert type(ours) is Retryable
    assert str(ours).endswith("no token for alice (DATA_SHARING): its token_command or token_endpoint gives none")


def test_what_librdkafka_takes_for_impossible_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(Misconfigured, match=r'stream share-stream \(kafka\.example\.org:9092\): Invalid value "no" for'):
        open_client(Producer, {"security.protocol": "no"}, HERE)
