"""DATA_SHARING and the consumers: what is accepted, from a file and from a Django settings module."""

import re
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import Misconfigured
from bridge.settings import ConsumerSettings, HermesEntry, Settings, StreamEntry, StreamTopic, TomEntry

EXAMPLE = """
[DATA_SHARING.share-stream]
BASE_URL = "kafka://localhost:9092/"
USER_TOPICS = ["tom.shares"]

[DATA_SHARING.not-my-tom]
BASE_URL = "https://not-my-tom.org/"
USERNAME = "${NOT_MY_TOM_USERNAME}"
PASSWORD = "${NOT_MY_TOM_PASSWORD}"

[consumers.not-my-tom]              # one consumer service; the name is the destination's key
subscribe = ["share-stream:tom.shares"]
accept_sources = ["https://other-tom.org/"]   # source TOMs, no default; "*" for all, said with a warning
accept = ["targets", "target_lists", "reduced_datums", "data_products"]
start = "earliest"                  # where a new consumer begins: earliest | latest | a time
unmatched = "skip"                  # datums and products whose target is not here: skip | hold | create
imported_list = "Imported from {tom_name}"
imported_list_for = "new"           # new | all
source_name = "tom"                 # tom (the submitter, as the seed says) | original
groups = ["Collaboration"]          # who at the destination sees new targets; never taken from an event
permissions = "PRIVATE"             # of new targets: PRIVATE | OPEN | PUBLIC
max_new_targets_per_hour = 1000     # per source; beyond it the consumer holds and says so
dead_letters = "share-stream:tom.shares.not-my-tom.dead-letters"
"""
"""The one in design.md, letter by letter."""
ENVIRONMENT = {"NOT_MY_TOM_USERNAME": "bridge", "NOT_MY_TOM_PASSWORD": "s3cret"}
CONSUMER: dict[str, Any] = {"subscribe": ["s:tom.shares"], "accept_sources": ["https://other-tom.org"]}


def from_text(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_toml(path, ENVIRONMENT)


def test_the_example_of_the_design_loads_with_nothing_to_complain_about(tmp_path: Path) -> None:
    settings = from_text(tmp_path, EXAMPLE)
    consumer, tom = settings.consumer("not-my-tom"), settings.tom("not-my-tom")

    assert list(settings.problems()) == []
    assert settings.entry_names == ["share-stream", "not-my-tom"]
    assert settings.consumer_names == ["not-my-tom"]
    assert (tom.USERNAME, tom.PASSWORD.get_secret_value()) == ("bridge", "s3cret")
    assert (consumer.stream, consumer.topics) == ("share-stream", ["tom.shares"])
    assert consumer.groups == ["Collaboration"]
    assert consumer.consumer_group("not-my-tom") == "tom-bridge.not-my-tom"
    assert consumer.writer_group("not-my-tom") == "tom-bridge.not-my-tom.writer"


def test_what_the_example_writes_out_are_the_defaults(tmp_path: Path) -> None:
    written = from_text(tmp_path, EXAMPLE).consumer("not-my-tom")
    default = ConsumerSettings(subscribe=written.subscribe, accept_sources=written.accept_sources, groups=written.groups)

    assert written.model_copy(update={"dead_letters": None}) == default
    assert written.dead_letter_topic("not-my-tom") == default.dead_letter_topic("not-my-tom")


def test_the_file_in_config_loads_and_is_complete() -> None:
    path = Path(__file__).parents[2] / "config" / "bridge.toml"
    named = re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8"))

    assert list(Settings.from_toml(path, dict.fromkeys(named, "x")).problems()) == []


def test_who_runs_one_consumer_needs_only_its_secrets(tmp_path: Path) -> None:
    other = '\n[DATA_SHARING.other]\nBASE_URL = "https://o.org/"\nUSERNAME = "u"\nPASSWORD = "${NOT_SET_HERE}"\n'

    assert from_text(tmp_path, EXAMPLE + other).consumer("not-my-tom").topics == ["tom.shares"]


def test_a_variable_may_stand_within_a_value_and_in_a_list(tmp_path: Path) -> None:
    text = EXAMPLE.replace('["tom.shares"]', '["tom.${NOT_MY_TOM_USERNAME}"]')

    assert from_text(tmp_path, text).stream("share-stream").USER_TOPICS == ["tom.bridge"]


def test_what_a_variable_holds_is_not_expanded_again(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    settings = Settings.from_toml(path, ENVIRONMENT | {"NOT_MY_TOM_PASSWORD": "pa${HOME}ss"})

    assert settings.tom("not-my-tom").PASSWORD.get_secret_value() == "pa${HOME}ss"


DJANGO = """
DATA_SHARING = {
    "my-kafka": {"BASE_URL": "kafka://localhost/", "DISPLAY_NAME": "Ours", "SOURCE_URL": "https://my-tom.org/", "EMIT": "all"},
    "hermes": {
        "DISPLAY_NAME": "hermes", "BASE_URL": "https://hermes.lco.global/", "HERMES_API_KEY": "key",
        "DEFAULT_AUTHORS": "", "USER_TOPICS": ["hermes.test"],
        "DATA_CONVERTER_CLASS": "tom_dataproducts.alertstreams.hermes.HermesDataConverter",
    },
    "tom-demo": {"DISPLAY_NAME": "TOM Demo", "BASE_URL": "http://tom-demo.lco.global/", "USERNAME": "u", "PASSWORD": "${p}"},
}
BRIDGE_CONSUMERS = {"tom-demo": {"subscribe": ["my-kafka:tom.shares"], "accept_sources": ["*"]}}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_a_django_settings_module_is_read_as_it_is(module: Any) -> None:
    settings = Settings.from_django(module("tom_settings_whole", DJANGO))

    assert list(settings.problems()) == []
    assert settings.stream("my-kafka").EMIT == "all"
    assert settings.tom("tom-demo").PASSWORD.get_secret_value() == "${p}"
    assert settings.consumer("tom-demo").accept_sources == ["*"]


def test_a_module_without_consumers_has_none(module: Any) -> None:
    settings = Settings.from_django(module("tom_settings_plain", DJANGO.partition("BRIDGE_CONSUMERS")[0]))

    assert settings.consumer_names == []


def test_a_module_that_cannot_be_imported_is_told_with_what_to_do() -> None:
    with pytest.raises(Misconfigured, match=r"no_such_tom\.settings: cannot be imported .* the TOM's own python"):
        Settings.from_django("no_such_tom.settings")


def test_a_module_without_data_sharing_is_told(module: Any) -> None:
    name = module("tom_settings_empty", "DEBUG = True\n")

    with pytest.raises(Misconfigured, match=f"{name}: DATA_SHARING: missing"):
        Settings.from_django(name)


@pytest.mark.parametrize("text", ["DATA_SHARING = {", "import os\nDATA_SHARING = {'a': os.environ['NOT_SET_ANYWHERE']}\n"])
def test_a_module_that_breaks_while_it_is_imported_is_told(module: Any, text: str) -> None:
    name = module(f"tom_settings_broken_{len(text)}", text)

    with pytest.raises(Misconfigured, match=name):
        Settings.from_django(name)


HERMES = [
    {"BASE_URL": "https://hermes.lco.global/", "HERMES_API_KEY": "k", "DEFAULT_AUTHORS": "a", "USER_TOPICS": []},
    {"BASE_URL": "https://hermes.lco.global/", "CREDENTIAL_USERNAME": "u", "CREDENTIAL_PASSWORD": "p", "USER_TOPICS": ["t"]},
    {"BASE_URL": "https://hermes.lco.global/", "HERMES_API_KEY": "k", "DATA_CONVERTER_CLASS": "a.b.C"},
]


@pytest.mark.parametrize("entry", HERMES)
def test_a_hermes_entry_of_any_generation_is_accepted(entry: dict[str, Any]) -> None:
    raw = {"DISPLAY_NAME": "hermes"} | entry
    settings = Settings(origin="settings", sharing={"hermes": raw}, consumers={}, environment={})

    assert isinstance(settings.entry("hermes"), HermesEntry)
    assert list(settings.problems()) == []


def _secret_of(key: str, value: str) -> str:
    entries = {
        "HERMES_API_KEY": {"BASE_URL": "https://h.org/"},
        "CREDENTIAL_USERNAME": {"BASE_URL": "https://h.org/", "CREDENTIAL_PASSWORD": "p"},
        "CREDENTIAL_PASSWORD": {"BASE_URL": "https://h.org/", "CREDENTIAL_USERNAME": "u"},
        "API_TOKEN": {"BASE_URL": "https://t.org/"},
    }
    settings = Settings(origin="f", sharing={"x": entries[key] | {key: value}}, consumers={}, environment=None)
    found = getattr(settings.entry("x"), key)
    return str(found) if isinstance(found, str) else str(found.get_secret_value())


in_headers = pytest.mark.parametrize("key", ["HERMES_API_KEY", "CREDENTIAL_USERNAME", "CREDENTIAL_PASSWORD", "API_TOKEN"])


@in_headers
def test_white_space_around_what_travels_in_a_header_is_none_of_it(key: str) -> None:
    """As a file or a shell leaves it there."""
    assert _secret_of(key, " canary-0123456789\n") == "canary-0123456789"


@in_headers
@pytest.mark.parametrize("value", ["canary\r\nX-Other: y", "canary\x00", "canary\u20ac", "canary\u00e9", "ca\nnary"])
def test_what_cannot_travel_in_a_header_is_said_at_once_and_not_shown(key: str, value: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        _secret_of(key, value)

    assert f"[DATA_SHARING.x] {key}: expected printable ASCII, on one line; copy it anew" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("http://hermes.example.org/", True), ("https://hermes.example.org/", False), ("http://localhost:8000/", False),
        ("http://127.0.0.1:8000/", False), ("http://127.8.8.8/", False), ("http://[::1]:8000/", False),
        ("http://192.168.1.4/", True), ("http://[2001:db8::1]/", True), ("http://127.0.0.1.example.org/", True),
    ],
)  # fmt: skip
def test_a_login_is_exposed_by_plain_http_beyond_this_machine(url: str, exposed: bool) -> None:
    assert HermesEntry.model_validate({"BASE_URL": url}).is_exposed is exposed
    assert TomEntry.model_validate({"BASE_URL": url, "API_TOKEN": "t"}).is_exposed is exposed


def test_a_tom_is_known_by_password_or_token() -> None:
    assert TomEntry(BASE_URL="https://t.org", USERNAME="u", PASSWORD="p").BASE_URL == "https://t.org/"  # type: ignore[arg-type]
    assert TomEntry(BASE_URL="https://t.org/", API_TOKEN="t").API_TOKEN is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "bootstrap"),
    [
        ("kafka://localhost:9092/", "localhost:9092"),
        ("kafka://localhost", "localhost:9092"),
        ("kafka://kafka.scimma.org/", "kafka.scimma.org:9092"),
        ("kafka://alice-123@kafka.scimma.org:9094/", "kafka.scimma.org:9094"),
        ("kafka://[2001:db8::1]:9094/", "[2001:db8::1]:9094"),
    ],
)
def test_kafka_urls_are_written_as_hop_writes_them(url: str, bootstrap: str) -> None:
    assert StreamEntry(BASE_URL=url).bootstrap == bootstrap


def test_the_user_may_stand_in_the_url_percent_encoded() -> None:
    assert StreamEntry(BASE_URL="kafka://alice%40org@kafka.scimma.org/").username == "alice@org"
    assert StreamEntry(BASE_URL="kafka://a@b.org/", USERNAME="c", PASSWORD="p").username == "c"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("[::1]", True),
        ("kafka.example.org", False),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert StreamEntry(BASE_URL=f"kafka://{host}:9092/").is_loopback is loopback


def test_dead_letters_go_to_a_topic_of_the_consumers_own() -> None:
    consumer = ConsumerSettings(subscribe=["s:tom.shares", "s:more"], accept_sources=["*"])

    assert consumer.dead_letter_topic("my-tom") == StreamTopic("s", "tom.shares.my-tom.dead-letters")
    assert str(consumer.dead_letter_topic("my-tom")) == "s:tom.shares.my-tom.dead-letters"


def test_accepted_sources_are_compared_in_their_normal_form() -> None:
    assert ConsumerSettings(**CONSUMER).accept_sources == ["https://other-tom.org/"]
