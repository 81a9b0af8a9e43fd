"""The emitter on real TOMs: data, whichever way they come, arrive once; what is rolled back or unreadable does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.demo.toms import TOM_VERSIONS
from bridge.events import DataProductShared, ReducedDatumsShared
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
product = models.DataProduct.objects.create(target_id=arguments["target"], data="../../outside.csv", product_id=arguments["name"])
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


@pytest.fixture(scope="module", autouse=True)
def inside(emitters: Emitters) -> Iterator[None]:
    with emitters.inside():
        yield


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
        "from tom_dataproducts.models import DataProduct\nDataProduct.objects.filter(pk=arguments['pk']).update(data='')",
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
from bridge.emitter import packing, subjects
from bridge.emitter.models import Change
read_target, read_data = packing.read_target, subjects._read_data

def failing_to_pack(row):
    return {}["a bug"] if row.pk == arguments["pks"][0] else read_target(row)

def failing_to_read(subject):
    if subject.pk == arguments["pks"][1]:
        raise ValueError("a row that Django cannot read")
    read_data(subject)

with patch.object(packing, "read_target", failing_to_pack), patch.object(subjects, "_read_data", failing_to_read):
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
