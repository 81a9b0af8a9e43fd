"""How far topics reach and a group has come, asked by somebody who is no member of it."""

import threading
import time

import pytest

from bridge.demo.ports import free_port
from bridge.errors import Retryable
from bridge.kafka import offsets as module
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.offsets import Offsets
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read
from tests.support.waiting import wait_for


def test_ends_and_commits_are_told_and_the_member_stays_one(
    connection: Connection, topic: str, publisher: Publisher, subscribe: Subscribe
) -> None:
    publisher.publish(topic, numbered(6, key="one partition"))
    revoked: list[object] = []
    member = subscribe(on_revoke=revoked.append)
    *_, last = read(member, 4)
    member.commit({(topic, last.partition): last.next_offset})
    offsets = Offsets(connection, group=f"group of {topic}")
    extents = offsets.extents([topic, "not-there"])

    assert len(extents) == 4
    assert extents[topic, last.partition] == (0, 6)
    assert offsets.committed(list(extents)) == {(topic, last.partition): 4}
    assert (member.poll(1.0) is not None, member.is_member, revoked) == (True, True, [])
    offsets.close()


def test_a_group_that_has_committed_nothing_has_no_offsets(connection: Connection, topic: str) -> None:
    offsets = Offsets(connection, group="nobody")

    assert offsets.committed(list(offsets.extents([topic]))) == {}
    assert offsets.committed([]) == {}
    offsets.close()


def test_it_can_be_closed_while_another_thread_asks_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 2.0)
    offsets = Offsets(connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/")))
    found: list[BaseException] = []

    def ask() -> None:
        try:
            offsets.extents(["t"])
        except Retryable as error:
            found.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(offsets._in_use.locked, "the question", seconds=5)
    began = time.monotonic()
    offsets.close()
    assert time.monotonic() - began < 0.5
    asking.join(10)

    assert len(found) == 1


def test_a_broker_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.5)
    offsets = Offsets(connect_settings("share-stream", StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/")), group="g")

    with pytest.raises(Retryable, match="share-stream"):
        offsets.extents(["t"])
    with pytest.raises(Retryable, match="share-stream"):
        offsets.committed([("t", 0)])
    offsets.close()
