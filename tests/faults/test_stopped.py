"""What stops a consumer, since going on would lose data: and then nothing is committed, and nothing is a dead letter."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.codecs.record import Record
from tests.support.door import FaultyDoor
from tests.support.exchange import is_datum
from tests.support.faults import Delay
from tests.support.site import Site
from tests.support.waiting import wait_for
from tests.support.world import USERS, Toms

TWO, THREE = "2.32.4", "3.1.0"
SCRIPTS = Path(__file__).parents[1] / "support" / "scripts"
POISON = Record(key=b"poison", value=b"\xff\xfe{not json", headers=(("ce_id", b"x"), ("_format", b"json")))


def test_a_dead_letter_topic_that_refuses(site: Callable[..., Site]):
    between = site()
    between.kafka.set_config(between.dead_letter_topic, {"max.message.bytes": "60"})
    between.publish_data(range(3))
    with between.running() as [replica]:
        between.wait_until_done()
        between.publish(POISON)
        between.publish_data(range(3, 6))
        assert replica.wait(seconds=60) == 1
        assert between.offsets() == {0: (6, 13)}
        assert "too_large_for_topic" in replica.text or "max.message.bytes" in replica.text
        assert between.dead_letters() == []

        again = between.replica().start()
        assert again.wait(seconds=60) == 1
        assert between.offsets() == {0: (6, 13)}

        between.kafka.set_config(between.dead_letter_topic, {"max.message.bytes": "1000000"})
        last = between.replica().start()
        between.wait_until_done()
        assert last.stop() == 0
    wrong = between.problems(letters=1)
    assert wrong == []


@pytest.mark.parametrize("version", [TWO, THREE])
def test_a_password_that_was_changed(site: Callable[..., Site], toms: Toms, version: str):
    tom = toms.get("destination", version)

    def change(password: str) -> None:
        tom.run_script(SCRIPTS / "set_password.py", {"user": "bridge", "password": password})

    with FaultyDoor(tom.url) as door:
        between = site(version, door=door, partitions=2)
        between.publish_data(range(6), events=4)
        with between.running() as [replica]:
            wait_for(lambda: len(replica.events) >= 8, "some are written")
            door.on(is_datum, Delay(0.3))  # so that there is a middle to change it in
            try:
                change("another-canary-pw")
                assert replica.wait(seconds=60) == 1
                door.clear()
                before = between.offsets()
                assert not between.is_done()
                assert "the TOM refuses the password" in replica.text
                assert "another-canary-pw" not in replica.text
                assert between.dead_letters() == []

                again = between.replica().start()
                assert again.wait(seconds=60) == 1
                assert between.offsets() == before

                between.password = "another-canary-pw"
                last = between.replica().start()
                between.wait_until_done()
                assert last.stop() == 0
                between.assert_well()
            finally:
                change(USERS["bridge"])
