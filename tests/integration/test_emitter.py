"""The emitter on real TOMs: targets, whichever way they are made, arrive at a destination through Kafka, whole and once."""

from pathlib import Path

import pytest

from bridge.demo.toms import TOM_VERSIONS
from bridge.events import TargetShared
from tests.support.emitting import Emitters
from tests.support.relaying import Relay, next_datum, settled, wait_for
from tests.support.world import dump, seed, target_of, unique

CSV = b"time,magnitude,error,filter\n60000.25,18.125,0.01,r\n60001.5,18.25,0.02,r\n"
names = unique("SN 2040e")
both = pytest.mark.parametrize("version", TOM_VERSIONS)


@both
@pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
def test_a_target_from_the_form_arrives_with_its_alias_and_extra(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    name = next(names)

    between.ingest.create_target_by_form(
        name, 10.5, -20.25, aliases=[f"{name} alias"], extras={"host": "M 31"}, groups=[between.group]
    )
    between.deliver()

    arrived = target_of(dump(between.world.destination), name)
    assert arrived["aliases"] == [f"{name} alias"]
    assert arrived["extras"] == {"host": "M 31"}
    assert len(between.events()) == 1


@both
def test_the_first_event_of_a_new_target_has_its_alias_and_goes_before_its_data(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    """A destination that knows the alias only would have a second target otherwise. The relay works all the while."""
    between = emitters.emitting(tmp_path, version, emit="all", postgres=True)
    made = {next(names): next(names) for _ in range(4)}
    seed(between.world.destination, *({"fields": {"name": known, "type": "SIDEREAL"}} for known in made.values()))

    with Relay(between.source, tmp_path / "relay.log") as relay:
        wait_for(lambda: relay.works, "the relay works")
        for name, known in made.items():
            pk = between.ingest.create_target_by_form(name, 10.5, -20.25, aliases=[known], groups=[between.group])
            between.ingest.post_datum_by_api(pk, **next_datum())
            between.ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
        wait_for(lambda: settled(between.source), "everything is published")
    said = between.world.consume()

    assert (said.code, set(said.outcomes)) == (0, {"written"})
    assert between.world.dead_letters() == []
    destination = dump(between.world.destination)
    assert not made.keys() & {target["name"] for target in destination["targets"]}
    first: dict[str, object] = {}
    for event in between.events():
        first.setdefault(event.body.target.name, event.body)  # type: ignore[attr-defined]
    for name, known in made.items():
        assert isinstance(first[name], TargetShared)
        assert first[name].target.aliases == (known,)
        assert target_of(destination, known)["aliases"] == [name]
        assert len([datum for datum in destination["datums"] if datum["target"] == known]) == 3


@both
def test_targets_from_every_entrance_arrive_whole_and_once_and_so_does_what_is_added(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=True)
    ingest, by_form, by_api, by_code, by_file = between.ingest, *(next(names) for _ in range(4))

    form_pk = ingest.create_target_by_form(
        by_form, 0.0, -3.5, aliases=[f"{by_form} a"], extras={"host": "NGC 1"}, groups=[between.group], epoch=2000.0, pm_ra=1.5
    )
    api_pk = ingest.create_target_by_api(
        by_api,
        10.5,
        20.5,
        aliases=[f"{by_api} a"],
        extras={"z": "0.1"},
        lists=[f"{by_api} list"],
        groups=[{"name": between.group}],
    )
    code_pk = ingest.run("create_target", name=by_code, ra=1.0, dec=2.0, aliases=[f"{by_code} a"], lists=[f"{by_code} list"])
    between.allow(code_pk)
    ingest.import_targets_by_form(
        f'name,type,ra,dec,name2,host,groups\n{by_file},SIDEREAL,3.5,2.0,{by_file} a,M 31,"{between.group}"\n'
    )
    between.deliver()

    between.assert_arrived(by_form, by_api, by_code, by_file)
    assert between.kinds() == {"TargetShared": 4}

    list_pk = ingest.create_list_by_form(f"{by_form} list")
    ingest.fill_list_by_form(list_pk, [form_pk, code_pk])
    ingest.update_target_by_form(form_pk, aliases=[f"{by_form} b"])
    ingest.patch_target_by_api(api_pk, aliases=[f"{by_api} b"], lists=[f"{by_api} list b"])
    between.deliver()

    between.assert_arrived(by_form, by_api, by_code, by_file)
    assert between.kinds() == {"TargetShared": 7}


@both
def test_what_is_not_new_is_not_told_again(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=True)
    name = next(names)
    pk = between.ingest.create_target_by_api(name, 10.5, 20.5, extras={"z": "0.1"}, groups=[{"name": between.group}])
    between.relay()

    sealed = between.outbox()["outbox"]
    assert sum(found["waiting"] for found in sealed) == 0
    between.ingest.run("change_target", target=pk, fields={"ra": 10.5}, extras={"z": "0.1"})
    between.ingest.update_target_by_form(pk)
    between.relay()

    assert between.kinds() == {"TargetShared": 1}
    assert between.outbox()["unsealed"]["changes"] == 0


@both
def test_a_target_that_is_deleted_before_it_is_told_leaves_nothing_behind(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=True)
    pk = between.ingest.create_target_by_api(next(names), 10.5, 20.5, groups=[{"name": between.group}])
    between.ingest.run("each", steps=[
        {"do": "bulk_create_photometry", "target": pk, "count": 3},
        {"do": "delete_target", "target": pk},
    ])  # fmt: skip
    between.relay()

    assert between.events() == []
    assert between.outbox()["unsealed"]["changes"] == 0
