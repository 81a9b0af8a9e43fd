"""The emitter on real TOMs: what is ingested, whichever way, arrives at a destination through Kafka, once."""

from pathlib import Path

import pytest

from bridge.demo.toms import TOM_VERSIONS
from tests.support.emitting import Emitters
from tests.support.world import dump, target_of, unique

names = unique("SN 2040e")


@pytest.mark.parametrize("version", TOM_VERSIONS)
def test_a_target_from_the_form_arrives_with_its_alias_and_extra(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="all")
    name = next(names)

    between.ingest.create_target_by_form(
        name, 10.5, -20.25, aliases=[f"{name} alias"], extras={"host": "M 31"}, groups=[between.group]
    )
    between.deliver()

    arrived = target_of(dump(between.world.destination), name)
    assert arrived["aliases"] == [f"{name} alias"]
    assert arrived["extras"] == {"host": "M 31"}
    assert len(between.events()) == 1
