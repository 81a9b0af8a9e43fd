"""Commits that a member may make, and those that it may not, are told apart."""

import pytest

from tests.support.commits import Commit, Ends, generations_and_commits, wrong_commits

FIRST = {"generation": 1, "generation_began_ms": 1000}
SECOND = {"generation": 2, "generation_began_ms": 2000}


def ends(*records: tuple[int, int], partition: int = 0) -> Ends:
    """Return what a replica brought to its end: offsets, and when."""
    found: dict[tuple[int, int], list[int]] = {}
    for offset, at_ms in records:
        found.setdefault((partition, offset), []).append(at_ms)
    return found


def test_what_each_owner_brought_to_its_end_may_be_committed() -> None:
    one, other = ends((0, 1010), (1, 1020), (2, 1030)), ends((2, 2010), (3, 2020))
    commits = [
        Commit(0, 1, 1015, **FIRST),
        Commit(0, 2, 1025, **FIRST),
        Commit(0, 4, 2030, **SECOND),
        Commit(0, 4, 2040, **SECOND),
    ]

    assert wrong_commits(commits, [one, other]) == []


def test_partitions_are_each_for_themselves() -> None:
    one, other = ends((0, 1010)), ends((0, 1010), (1, 1020), partition=7)

    assert wrong_commits([Commit(7, 2, 1030, **FIRST), Commit(0, 1, 1040, **FIRST)], [one, other]) == []


@pytest.mark.parametrize(
    ("commits", "why"),
    [
        ([Commit(0, 3, 1050, **FIRST), Commit(0, 2, 1060, **FIRST)], "goes back from 3"),
        ([Commit(0, 3, 1050, **FIRST), Commit(0, 2, 2060, **SECOND)], "goes back from 3"),
        ([Commit(0, 4, 1050, **FIRST)], "all from 0 on"),  # 3 is not at its end
        ([Commit(0, 3, 1025, **FIRST)], "all from 0 on"),  # 2 is, but later
        ([Commit(0, 2, 1050, **FIRST), Commit(0, 3, 2050, **SECOND)], "all from 2 on"),  # it was, before it was revoked
    ],
)
def test_what_goes_back_is_unfinished_or_was_revoked_may_not(commits: list[Commit], why: str) -> None:
    [wrong] = wrong_commits(commits, [ends((0, 1010), (1, 1020), (2, 1030)), ends()])

    assert why in wrong


def test_one_partition_is_not_two_members_in_one_generation() -> None:
    one, other = ends((0, 1010)), ends((1, 1020))

    [wrong] = wrong_commits([Commit(0, 1, 1015, **FIRST), Commit(0, 2, 1025, **FIRST)], [one, other])
    assert "all from 1 on" in wrong


GROUP = b"\x00\x02\x00\x01g"
STATE = b"\x00\x03\x00\x08consumer\x00\x00\x00\x02\x00\x05range\x00,rdkafka"
COMMIT = b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x01\x00\x00\x01\xa2\x13!\x81]\x01\x00\x10\x03"


def test_the_brokers_log_is_read() -> None:
    """As Apache Kafka 4.3.1 writes it."""
    key = b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x01"
    entries: list[tuple[bytes, bytes | None, int]] = [
        (GROUP, STATE.replace(b"\x00\x00\x00\x02", b"\x00\x00\x00\x01"), 500),
        (b"\x00\x02\x00\x01h", STATE.replace(b"\x00\x00\x00\x02", b"\x00\x00\x00\x09"), 510),  # of another group
        (key, COMMIT, 520),
        (key.replace(b"t", b"u"), COMMIT, 530),  # of another topic
        (GROUP, STATE, 540),
        (GROUP, STATE, 550),  # told once more
        (key, COMMIT, 560),
        (key, None, 570),  # forgotten
    ]

    assert generations_and_commits(entries, group="g", topic="t") == [Commit(1, 5, 520, 1, 500), Commit(1, 5, 560, 2, 540)]
