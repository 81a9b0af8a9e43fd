"""What is wrong in the settings is told with file, section, key and fix; a secret is told nowhere."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bridge import settings as module
from bridge.errors import Misconfigured
from bridge.kafka.connection import connect_settings
from bridge.settings import ConsumerSettings, HermesEntry, Settings, StreamEntry, StreamTopic, TomEntry
from bridge.settings.entries import Section

SHARING: dict[str, Any] = {
    "share-stream": {"BASE_URL": "kafka://localhost:9092/", "USER_TOPICS": ["tom.shares"]},
    "other-stream": {"BASE_URL": "kafka://localhost:9093/"},
    "my-tom": {"BASE_URL": "https://my-tom.org/", "USERNAME": "u", "PASSWORD": "p"},
}
CONSUMER: dict[str, Any] = {"subscribe": ["share-stream:tom.shares"], "accept_sources": ["*"]}


def entries(key: str, **changed: Any) -> Settings:
    raw = {name: value for name, value in (SHARING.get(key, {}) | changed).items() if value is not None}
    return Settings(origin="f.toml", sharing=SHARING | {key: raw}, consumers={}, environment={"HOME": "/"})


def consuming(name: str = "my-tom", sharing: Mapping[str, Any] = SHARING, **changed: Any) -> Settings:
    raw = {key: value for key, value in (CONSUMER | changed).items() if value is not None}
    return Settings(origin="f.toml", sharing=sharing, consumers={name: raw}, environment={"HOME": "/"})


WRONG: dict[str, tuple[Settings, str]] = {
    "a misspelt key": (
        entries("my-tom", PASWORD="p"),
        "f.toml: [DATA_SHARING.my-tom] PASWORD: PASWORD is unknown; did you mean PASSWORD?",
    ),
    "a key in lower case": (entries("my-tom", username="u"), "username is unknown; did you mean USERNAME?"),
    "a key that resembles none": (entries("share-stream", X=1), "X is unknown; known are: DISPLAY_NAME, BASE_URL"),
    "no BASE_URL": (entries("my-tom", BASE_URL=None), "f.toml: [DATA_SHARING.my-tom] BASE_URL: missing; add it"),
    "a BASE_URL without scheme": (entries("my-tom", BASE_URL="my-tom.org"), "something like https://my-tom.org/"),
    "a TOM without login": (
        entries("my-tom", USERNAME=None),
        "f.toml: [DATA_SHARING.my-tom]: needs USERNAME and PASSWORD, or API_TOKEN",
    ),
    "an empty password": (entries("my-tom", PASSWORD=""), "needs USERNAME and PASSWORD, or API_TOKEN"),
    "an unset variable": (
        entries("my-tom", PASSWORD="${NOT_SET}"),
        "f.toml: [DATA_SHARING.my-tom] PASSWORD: the environment has no NOT_SET; set it",
    ),
    "a topic in the URL": (entries("share-stream", BASE_URL="kafka://h/tom.shares"), "name them in USER_TOPICS"),
    "a broker without host": (entries("share-stream", BASE_URL="kafka:///"), "BASE_URL: expected kafka://host[:port]/"),
    "a password in the URL": (entries("share-stream", BASE_URL="kafka://u:p@h/"), "BASE_URL: a password does not belong"),
    "a user without password": (entries("share-stream", USERNAME="u"), "USERNAME and PASSWORD go together"),
    "an unknown EMIT": (entries("share-stream", EMIT="sometimes"), "EMIT: Input should be 'continuous', 'all' or 'manual'"),
    "an entry that is a text": (
        Settings(origin="f.toml", sharing={"my-tom": "https://my-tom.org/"}, consumers={}, environment={}),
        "f.toml: [DATA_SHARING.my-tom]: has to be a table of keys and values",
    ),

    "a port that is no number": (entries("share-stream", BASE_URL="kafka://h:abc/"), "[DATA_SHARING.share-stream] BASE_URL: "),
    "no entries": (Settings(origin="f.toml", sharing={}, consumers={}, environment={}), "f.toml: DATA_SHARING: has no entries"),
    "no sources": (
        consuming(accept_sources=None),
        "f.toml: [consumers.my-tom] accept_sources: missing; add it",
    ),
    "empty sources": (consuming(accept_sources=[]), "accept_sources: List should have at least 1 item"),
    "a source that is no URL": (consuming(accept_sources=["my-tom"]), "accept_sources.0: not a TOM's URL"),
    "a misspelt option": (consuming(unmatchd="skip"), "unmatchd is unknown; did you mean unmatched?"),
    "a misspelt kind": (consuming(accept=["target"]), "[consumers.my-tom] accept.0: Input should be 'targets'"),
    "a topic without stream": (consuming(subscribe=["tom.shares"]), "'tom.shares' is not <stream>:<topic>, for instance"),
    "a topic with a blank": (consuming(subscribe=["share-stream:tom shares"]), "is not <stream>:<topic>"),
    "two streams": (
        consuming(subscribe=["share-stream:tom.shares", "other-stream:a"]),
        "all topics of one consumer have to be on one stream",
    ),
    "a topic that the stream does not have": (
        consuming(subscribe=["share-stream:tom.share"]),
        "f.toml: [DATA_SHARING.share-stream] USER_TOPICS: tom.share is unknown; did you mean tom.shares?",
    ),
    "an unknown stream": (consuming(subscribe=["share-steam:a"]), "share-steam is unknown; did you mean share-stream?"),
    "a TOM where a stream is needed": (
        consuming(subscribe=["my-tom:a"]),
        "f.toml: [DATA_SHARING.my-tom]: a stream is needed here; its BASE_URL has to be kafka://host[:port]/",
    ),
    "dead letters into what is read": (
        consuming(dead_letters="share-stream:tom.shares"),
        "dead_letters: must not be a topic that is subscribed",
    ),
    "dead letters to an unknown stream": (consuming(dead_letters="nowhere:a"), "nowhere is unknown"),
    "a start that is none": (consuming(start="soon"), "[consumers.my-tom] start: "),
    "a start without zone": (consuming(start="2026-11-01T00:00:00"), "for instance 2026-11-01T00:00:00Z"),
    "an unknown brace": (consuming(imported_list="From {tom}"), "imported_list: only {tom_name} may stand in braces"),
    "an open brace": (consuming(imported_list="From {"), "imported_list: only {tom_name} may stand in braces"),
    "an attribute in braces": (consuming(imported_list="{tom_name.url}"), "only {tom_name} may stand in braces"),
    "an item in braces": (consuming(imported_list="{tom_name[x]}"), "only {tom_name} may stand in braces"),
    "a limit of 0": (consuming(max_new_targets_per_hour=0), "max_new_targets_per_hour: Input should be greater"),
    "a consumer named after nothing": (
        consuming("my-tm"),
        "f.toml: [consumers.my-tm]: is named after no key of DATA_SHARING: my-tm is unknown; did you mean my-tom?",
    ),

    "a consumer named after a stream": (consuming("share-stream"), "a TOM is needed"),

    "a consumer whose name makes no topic": (
        consuming("Our TOM", SHARING | {"Our TOM": SHARING["my-tom"]}),
        "f.toml: [consumers.Our TOM]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_with_its_place_and_its_fix(name: str) -> None:
    settings, complaint = WRONG[name]
    found = list(settings.problems())

    assert complaint in "\n".join(found)
    assert len(found) == 1


def test_a_start_that_is_none_is_told_what_it_may_be() -> None:
    with pytest.raises(Misconfigured, match=r"earliest.*latest"):
        consuming(start="soon").consumer("my-tom")


def test_an_unset_variable_is_told_in_an_empty_environment_too(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[DATA_SHARING.a]\nBASE_URL = "https://a.org/"\nUSERNAME = "u"\nPASSWORD = "${NOT_SET}"\n')

    with pytest.raises(Misconfigured, match="NOT_SET"):
        Settings.from_toml(path, {}).tom("a")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[DATA_SHARNG.a]\n", r"\[DATA_SHARNG\]: DATA_SHARNG is unknown; did you mean DATA_SHARING\?"),
        ("[consumer.a]\n", r"\[consumer\]: consumer is unknown; did you mean consumers\?"),
        ("DATA_SHARING = 4\n", r"\[DATA_SHARING\]: has to be a table"),
        ("[DATA_SHARING\n", "not valid TOML: .*line 1"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)

    with pytest.raises(Misconfigured, match=f"^{re.escape(str(path))}: {complaint}"):
        Settings.from_toml(path, {})


def test_a_file_that_is_not_there_is_told_with_the_option_that_names_another(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"gone\.toml: cannot be read .*--config.*config/bridge\.toml"):
        Settings.from_toml(tmp_path / "gone.toml")


def test_bytes_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b'a = "\xff"')

    with pytest.raises(Misconfigured, match="not valid TOML"):
        Settings.from_toml(tmp_path / "f.toml")


def test_unknown_entries_and_consumers_are_told_with_the_known_ones() -> None:
    settings = consuming()

    with pytest.raises(Misconfigured, match=r"\[consumers\.x\]: x is unknown; known are: my-tom"):
        settings.consumer("x")
    with pytest.raises(Misconfigured, match=r"\[DATA_SHARING\.my-tm\]: my-tm is unknown; did you mean my-tom\?"):
        settings.entry("my-tm")
    with pytest.raises(Misconfigured, match="a TOM is needed here"):
        settings.tom("share-stream")
    with pytest.raises(Misconfigured, match=r"'x' is not <stream>:<topic>"):
        settings.stream_topic("x")


@pytest.mark.parametrize("topic", ["", "a b", "a/b", "ä", "x" * 250])
def test_a_topic_that_kafka_would_not_take_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="is not <stream>:<topic>"):
        StreamTopic.parse(f"s:{topic}")


CANARY = "c4nary-s3cret"
SECRETS: dict[str, BaseModel] = {
    "TOM password": TomEntry(BASE_URL="https://t.org", USERNAME="u", PASSWORD=CANARY),  # type: ignore[arg-type]
    "TOM token": TomEntry(BASE_URL="https://t.org", API_TOKEN=CANARY),  # type: ignore[arg-type]
    "SCRAM password": StreamEntry(BASE_URL="kafka://h/", USERNAME="u", PASSWORD=CANARY),  # type: ignore[arg-type]
    "Hermes key": HermesEntry(BASE_URL="https://h.org", HERMES_API_KEY=CANARY),  # type: ignore[arg-type]
    "old Hermes credentials": HermesEntry.model_validate(
        {"BASE_URL": "https://h.org", "CREDENTIAL_USERNAME": "u", "CREDENTIAL_PASSWORD": CANARY}
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_shown_by_no_model(name: str) -> None:
    model = SECRETS[name]

    assert CANARY not in f"{model!r} {model} {model.model_dump()} {model.model_dump_json()}"


def test_every_key_that_sounds_like_a_secret_is_masked() -> None:
    plain = [
        f"{model.__name__}.{name}"
        for model in (TomEntry, StreamEntry, HermesEntry, ConsumerSettings)
        for name, field in model.model_fields.items()
        if re.search("PASSWORD|TOKEN|KEY|SECRET", name) and "SecretStr" not in str(field.annotation)
    ]

    assert plain == []


def test_a_secret_is_shown_by_neither_settings_nor_connection() -> None:
    stream = {"BASE_URL": "kafka://h.org/", "USERNAME": "u", "PASSWORD": CANARY}
    settings = Settings(origin="f.toml", sharing={"s": stream}, consumers={}, environment={})
    connection = connect_settings("s", settings.stream("s"))

    assert CANARY not in f"{settings!r} {settings} {connection!r} {connection}"


@pytest.mark.parametrize(
    "raw",
    [
        {"BASE_URL": "https://t.org/", "USERNAME": "u", "PASSWORD": [CANARY]},
        {"BASE_URL": "https://t.org/", "PASSWORD": CANARY, "API_TOKN": CANARY},
        {"BASE_URL": f"https://u:{CANARY}@t.org/", "USERNAME": "u", "PASSWORD": CANARY},
        {"BASE_URL": f"kafka://u:{CANARY}@h.org/", "USERNAME": CANARY},
        {"BASE_URL": "kafka://h.org/", "PASSWORD": CANARY, "ALLOW_PLAINTEXT": CANARY},
        {"BASE_URL": ["https://h.org/"], "HERMES_API_KEY": CANARY},
    ],
)
def test_a_secret_is_repeated_by_no_complaint(raw: dict[str, Any]) -> None:
    settings = Settings(origin="f.toml", sharing={"a": raw}, consumers={}, environment={})
    with pytest.raises(Misconfigured) as refused:
        settings.entry("a")
    complaints = [str(refused.value), repr(refused.value.__cause__), repr(refused.value.__context__)]
    for model in (TomEntry, StreamEntry, HermesEntry):
        try:
            model.model_validate(raw)
        except ValidationError as error:
            complaints.append(str(error))

    assert CANARY not in " ".join(complaints)


def test_every_setting_is_described() -> None:
    sections = [model for model in vars(module).values() if isinstance(model, type) and issubclass(model, Section)]
    undescribed = [f"{s.__name__}.{n}" for s in sections for n, field in s.model_fields.items() if not field.description]

    assert undescribed == []
