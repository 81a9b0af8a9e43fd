"""A stream whose FORMAT is hermes: what is on its topics is what Hermes itself would have written."""

import json
from pathlib import Path

from typer.testing import CliRunner

from bridge import schemas
from bridge.cli import app
from bridge.codecs.native import to_structured
from bridge.kafka.embedded import EmbeddedBroker
from tests.broker.conftest import Subscribe, read
from tests.support.hermes_rules import complaints

EVENTS = schemas.example_events().values()
SENT = [event for event in EVENTS if event.type != "tom.target_list.shared.v1"]


def test_published_events_arrive_as_messages_of_hermes(
    tmp_path: Path, broker: EmbeddedBroker, topic: str, subscribe: Subscribe
) -> None:
    config, file = tmp_path / "bridge.toml", tmp_path / "events.jsonl"
    config.write_text(f'[DATA_SHARING.s]\nBASE_URL = "{broker.url}"\nFORMAT = "hermes"\nDEFAULT_AUTHORS = "A. Author"\n')
    file.write_text("\n".join(map(to_structured, EVENTS)), encoding="utf-8")

    result = CliRunner().invoke(app, ["publish", str(file), "--to", f"s:{topic}", "--config", str(config)])
    assert (result.exit_code, result.stdout) == (0, f"{len(SENT)} events published to s:{topic}\n")

    arrived = [consumed.record for consumed in read(subscribe(), len(SENT))]
    assert {dict(record.headers)["_id"] for record in arrived} == {event.id.bytes for event in SENT}
    for record in arrived:
        message = json.loads(record.value or b"")
        assert record.key is None
        assert [name for name, _value in record.headers] == ["topic", "_id", "_format", "title"]
        assert dict(record.headers)["title"].decode() == message["title"]
        assert message["topic"] == topic
        assert complaints(message) == []
