"""What arrives in files at a TOM with the emitter: it does not go out again, and a hub passes it on as datums."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.codecs.native import encode, new_event
from bridge.demo.toms import TOM_VERSIONS
from bridge.events import PhotometryDatum, ReducedDatumsShared
from tests.support.backfilling import MANY, body, consume, curve, line, place, rows_of
from tests.support.emitting import Emitters, Emitting
from tests.support.ingest import Ingest
from tests.support.world import USERS, Toms, World

PRIMARY_KEY = "from tom_targets.models import Target; result = Target.objects.get(name=arguments['name']).pk"
both = pytest.mark.parametrize("version", TOM_VERSIONS)


def arrive(between: World) -> str:
    """Have a light curve come to a new target in a file; return the target's name."""
    name = place(between.destination)
    between.publish(encode(new_event(body(name, curve()), now=datetime.now(UTC))))
    assert line(consume(between, "products"))["by_file"] == MANY
    return name


@both
def test_what_came_in_a_file_is_not_emitted_again(
    emitters: Emitters, world: Callable[..., World], tmp_path: Path, version: str
):
    back = emitters.emitting(tmp_path, version, emit="all")
    between = world(TOM_VERSIONS[0], version)
    between.destination = back.source
    name = arrive(between)
    pk = back.ingest.run_code(PRIMARY_KEY, name=name)
    back.allow(pk)

    back.relay()
    assert back.kinds() == Counter(TargetShared=1)
    back.command("bridge_share", "--to", back.to, "--target", name)
    assert back.kinds() == Counter(TargetShared=2)
    back.ingest.run("bulk_create_photometry", target=pk, count=3)
    back.relay()
    assert back.kinds() == Counter(TargetShared=2, ReducedDatumsShared=1)


@both
def test_a_hub_passes_on_what_came_in_a_file_as_datums(
    emitters: Emitters, toms: Toms, world: Callable[..., World], tmp_path: Path, version: str
):
    topic = f"filehub.{version[0]}"
    sharing = {
        "BASE_URL": emitters.stream_url, "SOURCE_URL": f"https://filehub-{version[0]}.example.org/", "USER_TOPICS": [topic],
        "EMIT": "all", "EMIT_GROUPS": ["Collaboration"], "HUB": True,
    }  # fmt: skip
    hub = toms.get("filehub", version, apps=["bridge.emitter"], settings={"DATA_SHARING": {"on": sharing}})
    out = Emitting(
        world=World(tmp_path, emitters.stream_url, emitters.create_topic, hub, hub, topic=topic),
        ingest=Ingest(hub, username="alice", password=USERS["alice"]),
        to=f"on:{topic}",
        group="Collaboration",
    )
    between = world(TOM_VERSIONS[0], version)
    between.destination = hub
    name = arrive(between)
    pk = out.ingest.run_code(PRIMARY_KEY, name=name)
    out.allow(pk)

    out.relay()

    passed_on = [event.body for event in out.events() if isinstance(event.body, ReducedDatumsShared)]
    assert set(out.kinds()) == {"TargetShared", "ReducedDatumsShared"}
    assert {part.hops for part in passed_on} == {("https://elsewhere.example.org/",)}
    datums = [datum for part in passed_on for datum in part.datums]
    assert len(datums) == MANY
    assert {(d.timestamp, d.brightness, d.limit) for d in datums if isinstance(d, PhotometryDatum)} == {
        (d.timestamp, d.brightness, d.limit) for d in curve() if isinstance(d, PhotometryDatum)
    }
    assert {datum.source_location for datum in datums} == {row["source_location"] for row in rows_of(hub, name)}
