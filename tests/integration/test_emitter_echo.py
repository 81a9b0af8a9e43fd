"""No echo: a real TOM with the emitter does not emit what a consumer writes into it, and does emit what its own people do."""

from pathlib import Path
from uuid import uuid4

import pytest

from bridge.codecs.echo import EVENT_HEADER, HOPS_HEADER
from bridge.demo.toms import TOM_VERSIONS
from tests.support.emitting import Emitters, Emitting, source_url
from tests.support.ingest import Ingest, TomFailed
from tests.support.relaying import next_datum
from tests.support.world import USERS, dump, target_of, unique

CSV = b"time,magnitude,error,filter\n60000.25,18.125,0.01,r\n60001.5,18.25,0.02,r\n"
names = unique("SN 2045h")
OTHER = dict(zip(TOM_VERSIONS, reversed(TOM_VERSIONS), strict=True))
NOTED = """
import json
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from bridge.emitter.models import ArrivalMark, Change
client = Client(HTTP_HOST="127.0.0.1")
client.force_login(User.objects.get(username="alice"))
result = {}
with transaction.atomic():
    for number, headers in enumerate(arguments["headers"]):
        body = {"name": f"{arguments['name']} {number}", "type": "SIDEREAL", "ra": 1.0, "dec": 2.0,
                "aliases": [{"name": f"{arguments['name']} {number} alias"}]}
        pk = client.post("/api/targets/", json.dumps(body), content_type="application/json", headers=headers).json()["id"]
        result[number] = sorted(set(Change.objects.filter(target_pk=pk).values_list("arrived_by", "hops")))
    result["marks"] = ArrivalMark.objects.count()
    transaction.set_rollback(True)
"""


def sent(between: Emitting) -> list[tuple[str, str]]:
    """Return what is on the topic: each event's kind, and the name of its target."""
    return [(type(event.body).__name__, event.body.target.name) for event in between.events()]


@pytest.mark.parametrize("version", TOM_VERSIONS)
@pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
def test_what_a_consumer_writes_is_not_emitted_again_and_a_local_change_to_it_is(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    back = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    between = emitters.emitting(tmp_path, OTHER[version], emit="all", destination=back.source, groups=[back.group])
    name, ingest = next(names), between.ingest
    pk = ingest.create_target_by_form(
        name, 10.5, -20.25, aliases=[f"{name} alias"], extras={"host": "M 31"}, groups=[between.group]
    )
    ingest.patch_target_by_api(pk, lists=[f"List of {name}"])
    ingest.run("bulk_create_photometry", target=pk, count=3)
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
    between.deliver()
    ingest.patch_target_by_api(pk, aliases=[f"{name} later"], lists=[f"Second list of {name}"])
    between.deliver()

    between.assert_arrived(name)
    there = target_of(dump(back.source), name)
    assert back.group in there["groups"]  # so that it would go out, if a person had made it
    back.relay()
    assert sent(back) == []

    at_home = back.ingest
    at_home.patch_target_by_api(there["id"], aliases=[f"{name} local"])
    back.relay()
    assert sent(back) == [("TargetShared", name)]
    [event] = back.events()
    assert event.body.hops == ()
    assert set(event.body.target.aliases) == {f"{name} alias", f"{name} later", f"{name} local"}
    at_home.post_datum_by_api(there["id"], **next_datum())
    at_home.upload_by_api(there["id"], f"{name.replace(' ', '-')}-local.csv", CSV.replace(b"r\n", b"g\n"))
    back.relay()
    assert sorted(sent(back)[1:]) == [("DataProductShared", name), ("ReducedDatumsShared", name)]
    assert sum(len(event.body.datums) for event in back.events() if hasattr(event.body, "datums")) == 1


@pytest.mark.parametrize("version", TOM_VERSIONS)
@pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
def test_a_mark_covers_its_own_request_whole_or_not_at_all(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    event_id, hops = str(uuid4()), f"{source_url('a')} {source_url('b')}"
    groups = [{"name": between.group}]

    noted = between.ingest.run_code(
        NOTED,
        name=next(names),
        headers=[{EVENT_HEADER: event_id, HOPS_HEADER: hops}, {}, {EVENT_HEADER: "no event's id", HOPS_HEADER: hops}],
    )
    assert noted == {"0": [[event_id, hops]], "1": [["", ""]], "2": [["", ""]], "marks": 0}

    arrived, failed, local = next(names), next(names), next(names)
    repeated = [{"key": "host", "value": "M 31"}] * 2  # TOM Toolkit fails at the second, and leaves what it has made
    with Ingest(between.source, username="alice", password=USERS["alice"]) as marked:
        marked.headers.update({EVENT_HEADER: event_id, HOPS_HEADER: hops})
        marked.create_target_by_api(arrived, 1.0, 2.0, groups=groups)
        with pytest.raises(TomFailed):
            marked.create_target_by_api(failed, 1.0, 2.0, groups=groups, targetextra_set=repeated)
        assert failed not in {target["name"] for target in dump(between.source)["targets"]}
        with pytest.raises(TomFailed):
            between.ingest.create_target_by_api(failed, 1.0, 2.0, groups=groups, targetextra_set=repeated)
    assert failed in {target["name"] for target in dump(between.source)["targets"]}
    between.ingest.create_target_by_api(local, 1.0, 2.0, groups=groups)
    between.relay()

    assert sorted(name for _kind, name in sent(between)) == sorted([failed, local])
