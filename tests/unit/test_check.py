"""What ``tom-bridge check`` makes of the answers; that it gets them is in ``tests/integration/test_check.py``."""

import pytest

from bridge.check import _check_need, _joined, _Need, _needs_of
from bridge.kafka.admin import TopicInfo
from bridge.kafka.connection import Connection
from bridge.settings import ConsumerSettings, StreamEntry

STREAM = Connection("s", "broker:9092", "alice (DATA_SHARING)", {"sasl.username": "alice o'hara"})
TOPICS = {"tom.shares": TopicInfo("tom.shares", 4, 1)}
TOPIC = _Need("topic", "tom.shares", ("Read", "Write"), "for this")
SEEN = _Need("topic", "tom.shares", ("Describe",), "for this")
GROUP = _Need("group", "g", ("Read",), "for that")


@pytest.mark.parametrize(("need", "rights", "level", "detail"), [
    (TOPIC, {"Read", "Write", "Describe"}, "ok", "4 partitions, readable and writable (for this)"),
    (SEEN, {"Read", "Describe"}, "ok", "4 partitions, readable only (for this)"),
    (SEEN, {"Write", "Describe"}, "ok", "4 partitions, writable only (for this)"),
    (SEEN, {"Describe"}, "warning", "4 partitions, neither readable nor writable for alice (DATA_SHARING) (for this)"),
    (GROUP, {"Read"}, "ok", "Read allowed (for that)"),
    (
        TOPIC, {"Write", "Describe"}, "wrong",
        ("alice (DATA_SHARING) is not allowed Read (for this); have the broker's administrator allow it: kafka-acls.sh "
        "--bootstrap-server broker:9092 --add --allow-principal 'User:alice o'\"'\"'hara' --operation Read --topic tom.shares"),
    ),
    (
        GROUP, set(), "wrong",
        ("alice (DATA_SHARING) is not allowed Read (for that); have the broker's administrator allow it, or set group_id to a "
        "group that it may use: kafka-acls.sh --bootstrap-server broker:9092 --add "
        "--allow-principal 'User:alice o'\"'\"'hara' --operation Read --group g"),
    ),
    (GROUP, None, "warning", "the broker does not tell whether alice (DATA_SHARING) is allowed Read (for that)"),
    (
        TOPIC, None, "warning",
        "4 partitions, the broker does not tell whether alice (DATA_SHARING) is allowed Read and Write (for this)",
    ),
    (
        _Need("topic", "not.there", ("Read",), "for this"), None, "wrong",
        "does not exist (for this); create it: tom-bridge topics create s:not.there",
    ),
])  # fmt: skip
def test_what_is_said_of_a_right(need: _Need, rights: set[str] | None, level: str, detail: str) -> None:
    finding = _check_need(need, STREAM, TOPICS, None if rights is None else frozenset(rights))

    assert (finding.what, finding.level, finding.detail) == (f"{need.kind} s:{need.name}", level, detail)


def test_what_consumers_need_of_a_stream_is_asked_for_once() -> None:
    one = ConsumerSettings(subscribe=["s:t"], accept_sources=["*"], dead_letters="other:letters")
    two = ConsumerSettings(subscribe=["other:t"], accept_sources=["*"], dead_letters="s:t", group_id="mine")
    consumers = {"one": one, "two": two}

    assert _joined(_needs_of("s", StreamEntry(BASE_URL="kafka://s/", USER_TOPICS=["t"]), consumers)) == [
        _Need("topic", "t", ("Describe", "Read", "Write"), "USER_TOPICS; consumer one, subscribe; consumer two, dead_letters"),
        _Need("group", "tom-bridge.one", ("Read",), "consumer one, its place on the topics"),
        _Need("group", "tom-bridge.one.writer", ("Read",), "consumer one, the right to write"),
    ]
    assert _joined(_needs_of("other", StreamEntry(BASE_URL="kafka://other/"), consumers)) == [
        _Need("topic", "letters", ("Read", "Write"), "consumer one, dead_letters"),
        _Need("topic", "t", ("Read",), "consumer two, subscribe"),
        _Need("group", "mine", ("Read",), "consumer two, its place on the topics"),
        _Need("group", "mine.writer", ("Read",), "consumer two, the right to write"),
    ]
