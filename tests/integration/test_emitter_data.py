"""The emitter on real TOMs: data, whichever way they come, arrive once; what is rolled back or unreadable does not."""

from pathlib import Path

import pytest

from bridge.demo.toms import TOM_VERSIONS
from bridge.events import DataProductShared, ReducedDatumsShared, TargetShared
from tests.support.emitting import Emitters, Emitting
from tests.support.relaying import next_datum
from tests.support.world import dump, target_of, unique

names = unique("SN 2043d")
both = pytest.mark.parametrize("version", TOM_VERSIONS)
both_databases = pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
OTHER = dict(zip(TOM_VERSIONS, reversed(TOM_VERSIONS), strict=True))
POINTS = 500
SAVE_PRODUCT = """
from django.core.files.base import ContentFile
from tom_dataproducts.models import DataProduct
from tom_targets.models import Target
product = DataProduct(target=Target.objects.get(pk=arguments["target"]), data_product_type="image_file", product_id="frame 1")
product.data.save("frame, 1.fits", ContentFile(b"SIMPLE  =                    T" * 100))
product.save()
"""
UNREADABLE = """
from datetime import UTC, datetime
from tom_dataproducts import models
rows = {"target_id": arguments["target"], "timestamp": datetime(2024, 2, 1, tzinfo=UTC)}
if hasattr(models, "PhotometryReducedDatum"):
    model, rows = models.PhotometryReducedDatum, rows | {"brightness": float("nan"), "bandpass": "r"}
else:
    model, rows = models.ReducedDatum, rows | {"data_type": "", "value": {"magnitude": 18.5, "filter": "r"}}
model.objects.bulk_create([model(**rows)])
result = model.objects.order_by("-pk").values_list("pk", flat=True).first()
"""
BROKEN = """
from django.db import connection
from tom_dataproducts import models
common = {"target_id": arguments["target"], "product_id": arguments["name"]}
product = models.DataProduct.objects.create(data="../../outside.csv", **common)
with connection.cursor() as cursor:
    cursor.execute("UPDATE tom_targets_basetarget SET type = 'NEITHER' WHERE id = %s", [arguments["other"]])
result = product.pk
"""
RAISING = """
from django.db import transaction
from tom_targets.models import Target, TargetName
try:
    with transaction.atomic():
        target = Target.objects.get(pk=arguments["target"])
        TargetName.objects.create(target=target, name=arguments["alias"])
        Target.objects.create(name=arguments["undone"], type="SIDEREAL", ra=1.0, dec=2.0)
        raise RuntimeError("a pipeline fails")
except RuntimeError:
    pass
"""


def light_curve(points: int, begin: float) -> bytes:
    """Return a CSV file of photometry."""
    lines = [f"{begin + number / 8},{15 + number / 1024},0.0625,r" for number in range(points)]
    return "\n".join(["time,magnitude,error,filter", *lines, ""]).encode()


def new_target(between: Emitting, name: str) -> int:
    """Make a target that alice may change and the group may see."""
    pk = int(between.ingest.run("create_target", name=name, ra=10.5, dec=-20.25, owners=["alice"]))
    between.allow(pk)
    return pk


def bodies(between: Emitting, kind: type) -> list:
    """Return the bodies of one kind of event on the topic, in order."""
    return [event.body for event in between.events() if isinstance(event.body, kind)]


@both
@both_databases
def test_data_from_every_entrance_arrive_once_and_those_of_a_product_travel_with_it(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres, to=OTHER[version])
    ingest, name = between.ingest, next(names)
    pk = new_target(between, name)

    ingest.post_datum_by_api(pk, **next_datum(), source_name="API")
    flux = {"flux": [1.5, 2.5], "wavelength": [5000.0, 5001.0], "flux_units": "Jy", "wavelength_units": "Angstrom"}
    spectrum = {"timestamp": "2024-03-01T12:00:00.25+00:00", "value": flux, "data_type": "spectroscopy"}
    limit = {"timestamp": "2024-03-02T00:00:00+00:00", "value": {"limit": 20.5, "filter": "g"}}
    ingest.run("each", steps=[
        {"do": "save_datums", "target": pk, "datums": [spectrum, limit, next_datum()]},
        {"do": "bulk_create_photometry", "target": pk, "count": 20},
        {"do": "committed", "steps": [{"do": "get_or_create_datum", "target": pk, "number": 1000}]},
        {"do": "execute", "code": SAVE_PRODUCT, "arguments": {"target": pk}},
    ])  # fmt: skip
    stem = name.replace(" ", "-")
    ingest.upload_by_api(pk, f"{stem}-api.csv", light_curve(POINTS, 58000.0))
    ingest.upload_csv_by_form(pk, f"{stem}-form.csv", light_curve(POINTS, 59000.0))
    between.deliver()

    between.assert_arrived(name)
    sent = dump(between.source)
    loose = [row for row in sent["datums"] if row["target"] == name and row["data_product_pk"] is None]
    assert len(loose) == 25
    travelled = [datum for body in bodies(between, ReducedDatumsShared) for datum in body.datums]
    assert len(travelled) == 25
    products = [body.product for body in bodies(between, DataProductShared)]
    assert sorted(len(product.datums) for product in products) == [0, POINTS, POINTS]
    identities = [datum.id for datum in travelled] + [datum.id for product in products for datum in product.datums]
    assert len(set(identities)) == 25 + 2 * POINTS
    arrived = dump(between.world.destination)
    assert len([row for row in arrived["datums"] if row["target"] == name]) == 25 + 2 * POINTS

    before = len(between.events())
    between.world.consume(anew=True)
    assert dump(between.world.destination) == arrived
    between.relay()
    assert len(between.events()) == before


@both
@both_databases
def test_what_is_rolled_back_emits_nothing(emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    name, undone = next(names), next(names)
    pk = new_target(between, name)
    between.relay()

    between.ingest.run("each", steps=[
        {"do": "execute", "code": RAISING, "arguments": {"target": pk, "alias": f"{name} alias", "undone": undone}},
        {"do": "rolled_back", "steps": [
            {"do": "bulk_create_photometry", "target": pk, "count": 5},
            {"do": "save_datums", "target": pk, "datums": [next_datum()]},
        ]},
        {"do": "committed", "steps": [
            {"do": "rolled_back", "steps": [{"do": "bulk_create_photometry", "target": pk, "count": 5}]},
            {"do": "save_datums", "target": pk, "datums": [kept := next_datum()]},
        ]},
    ])  # fmt: skip
    between.relay()

    told, added = between.events()
    assert (told.body.target.name, told.body.target.aliases) == (name, ())
    [datum] = added.body.datums
    assert datum.timestamp.isoformat() == kept["timestamp"]
    assert between.outbox()["unsealed"]["changes"] == 0


@both
def test_awkward_names_arrive_as_they_are_and_what_is_unreadable_is_named_and_blocks_nothing(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=True)
    ingest = between.ingest
    name = f"α Ori, \"{next(names)}\" + 'é' %41&?#"
    aliases, lists = [f"{name} β, γ", f"<b>{name}</b>"], [f"Liste d'{name}; x", f"{name}, {name}"]
    pk = int(ingest.run("create_target", name=name, ra=1.5, dec=0.0, owners=["alice"], aliases=aliases, lists=lists,
                        extras={'ключ, "q"': "значение\n'two' lines\\"}))  # fmt: skip
    between.allow(pk)
    bad = ingest.run_code(UNREADABLE, target=pk)
    ingest.post_datum_by_api(pk, **next_datum(), source_name='Δ "team", Ω')
    ingest.upload_by_api(pk, "courbe de lumière, Ω 'a'.csv", light_curve(2, 58000.0))
    between.deliver()

    assert between.world.dead_letters() == []
    found = target_of(dump(between.world.destination), name)
    assert sorted(found["aliases"]) == sorted(aliases)
    assert set(lists) <= set(found["lists"])
    assert len([row for row in dump(between.world.destination)["datums"] if row["target"] == name]) == 3
    [problem] = [problem for problem in between.outbox()["problems"] if problem["target"] == pk]
    model = "PhotometryReducedDatum" if version.startswith("3") else "ReducedDatum"
    assert problem["what"] == f"tom_dataproducts.{model.lower()} {bad}"
    assert problem["why"].startswith(f"{model} {bad}: ")
    assert f"problem    {problem['what']}: {problem['why']}" in between.command("bridge_outbox")[0]

    mended = {"brightness": 17.5} if version.startswith("3") else {"data_type": "photometry"}
    ingest.run_code(
        "from tom_dataproducts import models\n"
        "getattr(models, arguments['model']).objects.filter(pk=arguments['pk']).update(**arguments['mended'])",
        model=model, pk=bad, mended=mended,
    )  # fmt: skip
    assert "1 set aside before are tried again" in between.command("bridge_outbox", "--retry")[1]
    between.deliver()

    between.assert_arrived(name)
    assert [problem for problem in between.outbox()["problems"] if problem["target"] == pk] == []


@both
def test_what_the_bridge_cannot_make_sense_of_is_named_and_holds_nobody_up(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all")
    ingest = between.ingest
    name, other = next(names), next(names)
    pk, other_pk = (int(ingest.run("create_target", name=each, ra=1.5, dec=0.5)) for each in (name, other))
    between.allow(pk, other_pk)
    product = ingest.run_code(BROKEN, target=pk, other=other_pk, name=name)
    ingest.post_datum_by_api(pk, **next_datum())
    between.deliver()

    assert [datum for datum in dump(between.world.destination)["datums"] if datum["target"] == name]
    problems = {found["target"]: found["why"] for found in between.outbox()["problems"]}
    assert problems[pk] == f"data product {product}: its file cannot be read (SuspiciousFileOperation)"
    assert problems[other_pk].startswith(f"target {other_pk}: type: ")
    ingest.run_code(
        "from bridge.emitter.models import Change\nChange.objects.exclude(problem='').delete()\n"
        "from tom_dataproducts.models import DataProduct\nDataProduct.objects.filter(pk=arguments['pk']).update(data='')\n"
        "from tom_targets.models import Target\nTarget.objects.filter(type='NEITHER').update(type='SIDEREAL')\n"
        "Change.objects.all().delete()",
        pk=product,
    )


def test_a_fault_of_ours_is_a_problem_of_one_target_only(emitters: Emitters, tmp_path: Path) -> None:
    between = emitters.emitting(tmp_path, "3.1.0", emit="all")
    ingest = between.ingest
    names_of = [next(names) for _ in range(3)]
    pks = [int(ingest.run("create_target", name=name, ra=1.5, dec=0.5)) for name in names_of]
    between.allow(*pks)
    code = """
from unittest.mock import patch
from django.core.management import call_command
from bridge.emitter import packing, snapshot
from bridge.emitter.models import Change
read_target, read_data = packing.read_target, snapshot._read_data

def failing_to_pack(row):
    return {}["a bug"] if row.pk == arguments["pks"][0] else read_target(row)

def failing_to_read(subject):
    if subject.pk == arguments["pks"][1]:
        raise ValueError("a row that Django cannot read")
    read_data(subject)

with patch.object(packing, "read_target", failing_to_pack), patch.object(snapshot, "_read_data", failing_to_read):
    call_command("bridge_relay", "--once")
result = sorted(set(Change.objects.exclude(problem="").values_list("target_pk", "problem")))
Change.objects.exclude(problem="").delete()
"""
    problems = ingest.run_code(code, pks=pks)

    assert problems == [
        [pks[0], "the bridge failed on it (KeyError); please report the relay's log"],
        [pks[1], "the bridge failed on it (ValueError); please report the relay's log"],
    ]
    assert [event.body.subject for event in between.events()] == [names_of[2]]


SAVE = """
from datetime import UTC, datetime, timedelta
from tom_dataproducts import models
typed = hasattr(models, "PhotometryReducedDatum")
Datum = models.PhotometryReducedDatum if typed else models.ReducedDatum

def save(count, target, first=0, **more):
    values = {"brightness": 18.5, "bandpass": "r"} if typed else {
        "data_type": "photometry", "value": {"magnitude": 18.5, "filter": "r"}
    }
    return [
        Datum.objects.create(
            target_id=target, timestamp=datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=first + number), **values, **more
        ).pk
        for number in range(count)
    ]
"""


def bare_target(between: Emitting, *, seen: bool = False) -> tuple[int, str]:
    name = next(names)
    pk = int(between.ingest.run("create_target", name=name, ra=1.5, dec=0.5, owners=["alice"]))
    if seen:
        between.allow(pk)
    return pk, name


def told(between: Emitting) -> list[tuple[str, str, int]]:
    """Return kind, target and number of datums of each event."""
    return [
        (type(event.body).__name__, event.body.target.name, len(getattr(event.body, "datums", ())))  # type: ignore[union-attr]
        for event in between.events()
    ]


@both
def test_what_was_there_before_a_share_does_not_go_however_much_it_is(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="continuous", postgres=True)
    pk, name = bare_target(between)
    code = (
        SAVE
        + """
from unittest.mock import patch
from django.contrib.auth.models import User
from django.core.management import call_command
from tom_targets.models import PersistentShare
from bridge.emitter import sealing, snapshot
save(12, arguments["target"])
PersistentShare.objects.create(
    target_id=arguments["target"], destination=arguments["to"], user=User.objects.get(username="alice"))
save(2, arguments["target"], first=100)
with patch.object(snapshot, "CHANGES_AT_ONCE", 5), patch.object(sealing, "CHANGES_AT_ONCE", 5):
    call_command("bridge_relay", "--once")
"""
    )
    between.ingest.run_code(code, target=pk, to=between.to)

    assert told(between)[0] == ("TargetShared", name, 0)
    assert sum(count for _kind, _name, count in told(between)) == 2


@both
def test_datums_of_a_product_that_did_not_go_go_by_themselves(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="continuous")
    pk, name = bare_target(between)
    between.ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", light_curve(2, 59000.0))
    between.relay()
    assert between.events() == []
    between.ingest.run("create_persistent_share", target=pk, destination=between.to, user="alice")
    code = (
        SAVE
        + """
product = models.DataProduct.objects.get(target=arguments["target"])
save(3, arguments["target"], data_product=product)
"""
    )
    between.ingest.run_code(code, target=pk)
    between.relay()

    assert told(between) == [("TargetShared", name, 0), ("ReducedDatumsShared", name, 3)]


@both
@pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
def test_data_that_are_moved_to_another_target_are_told_of_that_one(
    emitters: Emitters, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all", postgres=on_postgres)
    (kept, name), (merged, _) = bare_target(between, seen=True), bare_target(between, seen=True)
    code = (
        SAVE
        + """
from tom_targets.models import Target
save(2, arguments["merged"])
Datum.objects.filter(target=arguments["merged"]).update(target=arguments["kept"])
Target.objects.get(pk=arguments["merged"]).delete()
"""
    )
    between.ingest.run_code(code, kept=kept, merged=merged)
    between.relay()

    assert told(between) == [("TargetShared", name, 0), ("ReducedDatumsShared", name, 2)]


def test_a_target_comes_to_rest_when_the_relay_has_seen_its_last_change(emitters: Emitters, tmp_path: Path) -> None:
    """A transaction may have committed long after its changes were made, and a form goes on after that."""
    between = emitters.emitting(tmp_path, "3.1.0", emit="all", postgres=True)
    pk, name = bare_target(between, seen=True)
    code = """
from datetime import timedelta
from django.utils import timezone
from bridge.emitter.configuration import read_configuration
from bridge.emitter.models import Change
from bridge.emitter.sealing import Sealer
from tom_targets.models import TargetName
Change.objects.update(at=timezone.now() - timedelta(seconds=20))
now = [1000.0]
sealer = Sealer(read_configuration(), clock=lambda: now[0])
sealed = []
for seconds, alias in ((0, ""), (0.2, "late"), (0.2, ""), (0.2, "")):
    now[0] += seconds
    if alias:
        TargetName.objects.create(target_id=arguments["target"], name=arguments["name"] + alias)
    sealed.append(sealer.seal() > 0)
result = sealed
"""
    sealed = between.ingest.run_code(code, target=pk, name=name)
    between.relay()

    assert sealed == [False, False, False, True]
    [event] = between.events()
    assert isinstance(event.body, TargetShared)
    assert event.body.target.aliases == (f"{name}late",)


@both
def test_where_data_have_permissions_of_their_own_they_count_for_all_and_not_for_an_explicit_share(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit="all")
    pk, name = bare_target(between, seen=True)
    other, other_name = bare_target(between, seen=True)
    between.ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", light_curve(2, 59100.0))
    code = (
        SAVE
        + """
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import override_settings
from guardian.shortcuts import assign_perm
group = Group.objects.get(name=arguments["group"])
for product in models.DataProduct.objects.filter(target=arguments["target"]):
    assign_perm("tom_dataproducts.view_dataproduct", group, product)
save(2, arguments["other"])
with override_settings(TARGET_PERMISSIONS_ONLY=False):
    call_command("bridge_relay", "--once")
    call_command("bridge_share", "--to", arguments["to"], "--target", f"#{arguments['other']}")
"""
    )
    between.ingest.run_code(code, target=pk, other=other, group=between.group, to=between.to)

    by_name: dict[str, list[tuple[str, int]]] = {}
    for kind, target, count in told(between):
        by_name.setdefault(target, []).append((kind, count))
    assert by_name[name] == [("TargetShared", 0), ("DataProductShared", 0)]
    [product] = [event.body for event in between.events() if isinstance(event.body, DataProductShared)]
    assert product.product.datums == ()
    assert by_name[other_name] == [("TargetShared", 0), ("TargetShared", 0), ("ReducedDatumsShared", 2)]
