"""How events get to a destination: which publisher for which entry, and what is said of what Hermes does not carry."""

import logging
from typing import Any

import pytest

from bridge.codecs.hermes.losses import Lost
from bridge.emitter.configuration import Stream
from bridge.emitter.ways import _Told, open_way, place_of
from bridge.errors import Misconfigured
from bridge.events import TomIdentity
from bridge.hermes_publisher import HermesPublisher
from bridge.kafka.hermes import WirePublisher
from bridge.kafka.publisher import Publisher
from bridge.settings import HermesEntry, StreamEntry

TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
KAFKA: dict[str, Any] = {"BASE_URL": "kafka://127.0.0.1:1/"}


def stream(entry: StreamEntry | HermesEntry) -> Stream:
    return Stream(key="s", entry=entry, tom=TOM)


HERMES = stream(HermesEntry(BASE_URL="https://hermes.lco.global", HERMES_API_KEY="k"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kind", "place"),
    [
        (stream(StreamEntry(**KAFKA)), Publisher, "stream s (127.0.0.1:1)"),
        (stream(StreamEntry(**KAFKA, FORMAT="hermes")), WirePublisher, "stream s (127.0.0.1:1)"),
        (HERMES, HermesPublisher, "Hermes s (https://hermes.lco.global/)"),
    ],
)
def test_each_entry_has_its_publisher(given: Stream, kind: type, place: str) -> None:
    way = open_way(given, batches=True)

    assert type(way) is kind
    assert place_of(given) == place
    way.abandon()


def test_without_a_login_there_is_none() -> None:
    with pytest.raises(Misconfigured, match="HERMES_API_KEY: missing"):
        open_way(stream(HermesEntry(BASE_URL="https://hermes.lco.global/")), batches=True)


def test_each_kind_of_loss_is_said_once_and_what_does_not_go_each_time(caplog: pytest.LogCaptureFixture) -> None:
    told = _Told(HERMES)
    with caplog.at_level(logging.WARNING):
        for name in ("A", "B"):
            told(name, [Lost("target.parallax", "no field"), Lost("datum", "no unit", (1, 2))])

    assert [record.getMessage() for record in caplog.records] == [
        "s: A: target.parallax: no field; this is said once",
        "s: A: datum of 2 datums: no unit",
        "s: B: datum of 2 datums: no unit",
    ]
