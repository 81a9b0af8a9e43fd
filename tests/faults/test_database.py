"""What a TOM's database bears, and what it does not: a lock that somebody holds, and writes beside writes."""

import sqlite3
import time
from collections.abc import Callable

import pytest

from bridge.events import TomIdentity
from tests.support.door import FaultyDoor
from tests.support.site import Site
from tests.support.world import Toms

TWO, THREE = "2.32.4", "3.1.0"
WRITES = {"target", "datum", "product", "login"}


@pytest.mark.parametrize("version", [TWO, THREE])
def test_a_database_that_can_be_read_but_not_written(site: Callable[..., Site], toms: Toms, version: str, short: bool):
    tom = toms.get("destination", version)
    with FaultyDoor(tom.url) as door:
        between = site(version, door=door, partitions=3)
        between.publish_data(range(4))
        with between.running() as [replica]:
            between.wait_until_done()
            other = sqlite3.connect(tom.dir / "db.sqlite3", isolation_level=None, timeout=30)
            try:
                other.execute("BEGIN IMMEDIATE")
                held = len(door.journal)
                between.publish_data(range(2, 8), events=2)
                until = time.monotonic() + (14 if short else 60)
                door.journal.wait_for(lambda entries: any(e.status == 500 for e in entries[held:] if e.kind in WRITES), 60)
                time.sleep(max(0.0, until - time.monotonic()))  # how long it is held is the fault
                assert not [line for line in replica.events if line["outcome"] == "refused"]
                other.execute("ROLLBACK")
            finally:
                other.close()
            between.wait_until_done()
            assert replica.stop() == 0
        assert [entry for entry in door.journal.entries[held:] if entry.kind in WRITES and entry.status == 500]
        between.assert_well()


@pytest.mark.parametrize(("version", "on_postgres"), [(TWO, False), (THREE, False), (TWO, True), (THREE, True)])
def test_one_writer_of_targets(site: Callable[..., Site], toms: Toms, version: str, on_postgres: bool, short: bool):
    tom = toms.get("destination", version, postgres=on_postgres)
    number = 40 if short else 200
    with FaultyDoor(tom.url) as door:
        consumer = {"pace": "full", "max_parallel": 4, **({"concurrent_writes": True} if on_postgres else {})}
        between = site(version, postgres=on_postgres, door=door, partitions=6, consumer={**consumer, "accept_sources": ["*"]})
        one, two = (
            TomIdentity(name=f"{between.prefix} {which}", url=f"https://{which}.{between.prefix.lower()}.example.org/")
            for which in ("one", "two")
        )
        with between.running(number=2) as replicas:
            between.publish(*between.target_events(range(number // 2), tom=one))
            # Not to the last digit the same: else 2.x may take it for a target of its own that was left half-made.
            between.publish(*between.target_events(range(number), tom=two, dec=1.50001))
            between.publish(*between.target_events(range(number // 2, number), tom=one))
            between.publish(*(between.datum_event(n, 1, tom=one, start=0) for n in range(number)))
            between.publish(*(between.datum_event(n, 1, tom=two, start=10) for n in range(number)))
            between.wait_until_done()
            assert [replica.stop() for replica in replicas] == [0, 0]
            assert all(replica.events for replica in replicas), "both have to have had a part in it"
        pairs = door.journal.overlaps(reads=False)
        if on_postgres:
            pairs = [pair for pair in pairs if all(entry.kind == "target" for entry in pair)]
        else:
            # A login by token waits for nobody: it does not write.
            pairs = [pair for pair in pairs if all(e.kind in WRITES and e.path != "/api/token-auth/" for e in pair)]
        assert [(a.kind, a.method, a.path, b.kind, b.method, b.path) for a, b in pairs] == []
        if on_postgres:
            assert door.journal.most_at_once("datum") > 1, "data goes beside data there"
        between.assert_well(in_order=False)
