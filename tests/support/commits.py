"""What a group committed and when, by the broker's own log of it, and whether whoever committed it had it to commit.

The broker keeps every commit that it took in ``__consumer_offsets``, and, in one order with them, each time that it shared
the group's partitions out anew: a generation. In one generation a partition is one member's. So what is committed there in a
generation has to have come to its end in that generation, before the commit, and all of it at one replica. A member that
commits what was revoked, or what it did not bring to its end, is found out, and so is a commit that goes back.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

__all__ = ["Commit", "Ends", "generations_and_commits", "read_commits", "wrong_commits"]

LOG = "__consumer_offsets"
OFFSET_KEYS, GROUP_KEY = {0, 1}, 2
"""First number of a key: a commit, or the state of a group."""
GROUP_VALUES = {0, 1, 2, 3}
"""Versions of a group's state that begin with protocol type and generation; later ones write texts in another way."""

Ends = Mapping[tuple[int, int], Sequence[int]]
"""Partition and offset -> when a replica brought that record to its end; milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that the broker took."""

    partition: int
    offset: int  # the next one
    at_ms: int
    generation: int
    generation_began_ms: int


def read_commits(bootstrap: str, *, group: str, topic: str) -> list[Commit]:
    """Return what a group committed of a topic, in the order in which the broker took it."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "reads only", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0,
        }
    )  # fmt: skip
    messages: list[Message] = []
    try:
        left = len(consumer.list_topics(LOG, timeout=15).topics[LOG].partitions)
        consumer.assign([TopicPartition(LOG, number, 0) for number in range(left)])
        while left:
            message = consumer.poll(15)
            assert message is not None, f"{LOG} does not come to its end"
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left -= 1
    finally:
        consumer.close()
    entries = ((message.key() or b"", message.value(), message.timestamp()[1]) for message in messages)
    return generations_and_commits(entries, group=group, topic=topic)  # all of a group is in one partition


def generations_and_commits(entries: Iterable[tuple[bytes, bytes | None, int]], *, group: str, topic: str) -> list[Commit]:
    """Return the commits among the entries of the log: each a key, a value (None: what was there is gone), and a time."""
    generation, began_ms = 0, 0
    commits = []
    for key, value, at_ms in entries:
        [kind] = struct.unpack_from(">h", key)
        of_group, rest = _text(key, 2)
        if of_group != group or value is None:
            continue
        if kind == GROUP_KEY:
            [version] = struct.unpack_from(">h", value)
            assert version in GROUP_VALUES, f"a group's state of version {version}"
            [number] = struct.unpack_from(">i", value, _text(value, 2)[1])
            if number != generation:
                generation, began_ms = number, at_ms
        elif kind in OFFSET_KEYS:
            of_topic, rest = _text(key, rest)
            [partition] = struct.unpack_from(">i", key, rest)
            [offset] = struct.unpack_from(">q", value, 2)
            if of_topic == topic:
                commits.append(Commit(partition, offset, at_ms, generation, began_ms))
    return commits


def wrong_commits(commits: Iterable[Commit], replicas: Sequence[Ends]) -> list[str]:
    """Return what is wrong with commits.

    Parameters
    ----------
    commits
        In the order in which the broker took them; of a topic that was read from its beginning.
    replicas
        For each replica, what it brought to its end, and when.
    """
    wrong = []
    before: dict[int, int] = {}
    owners: dict[tuple[int, int], set[int]] = {}
    for commit in commits:
        start = before.get(commit.partition, 0)
        before[commit.partition] = commit.offset
        if commit.offset < start:
            wrong.append(f"{commit} goes back from {start}")
            continue
        place = (commit.generation, commit.partition)
        could = {
            number
            for number in owners.get(place, range(len(replicas)))
            if all(
                any(commit.generation_began_ms <= at_ms <= commit.at_ms for at_ms in replicas[number].get(record, ()))
                for record in ((commit.partition, offset) for offset in range(start, commit.offset))
            )
        }
        if not could:
            wrong.append(f"{commit}: no replica had brought all from {start} on to its end in that generation")
        owners[place] = could or set(range(len(replicas)))
    return wrong


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text, and where what follows it begins."""
    [length] = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length
