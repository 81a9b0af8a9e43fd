"""Sharing as TOM Toolkit has it, on real TOMs with the emitter: who shares what with a stream, and nothing else goes out."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from bridge.codecs.echo import EVENT_HEADER, HOPS_HEADER
from bridge.demo.toms import TOM_VERSIONS
from bridge.events import DataProductShared, ReducedDatumsShared, TargetShared
from tests.support.emitting import Emitters, Emitting
from tests.support.ingest import Feedback, Ingest, TomFailed
from tests.support.relaying import next_datum
from tests.support.world import dump, seed, target_of, unique

CSV = b"time,magnitude,error,filter\n60000.25,18.125,0.01,r\n60001.5,18.25,0.02,r\n"
names = unique("SN 2044s")
TWO, _THREE = TOM_VERSIONS
both = pytest.mark.parametrize("version", TOM_VERSIONS)
VISIBLE = """
from django.contrib.auth.models import Group
from django.test.utils import override_settings
from guardian.shortcuts import assign_perm
from tom_dataproducts import models
from bridge.emitter.permissions import data_for_groups
model = getattr(models, "PhotometryReducedDatum", models.ReducedDatum)
rows = list(model.objects.filter(target=arguments["target"]).order_by("pk"))
assign_perm(f"tom_dataproducts.view_{model._meta.model_name}", Group.objects.get(name=arguments["group"]), rows[0])
with override_settings(TARGET_PERMISSIONS_ONLY=False):
    seen = data_for_groups(rows, [arguments["group"]])
result = [len(rows), sorted(seen) == [rows[0].pk], len(data_for_groups(rows, [arguments["group"]]))]
"""


def new_target(between: Emitting) -> tuple[int, str]:
    """Make a target that alice alone may change, and see."""
    name = next(names)
    return int(between.ingest.run("create_target", name=name, ra=10.5, dec=-20.25, owners=["alice"])), name


def told(between: Emitting) -> list[tuple[str, int]]:
    """Return what is on the topic since the target: each event's kind, and how many datums it has."""
    found = []
    for event in between.events():
        match event.body:
            case TargetShared():
                found.append(("target", 0))
            case ReducedDatumsShared(datums=datums):
                found.append(("datums", len(datums)))
            case DataProductShared(product=product):
                found.append(("product", len(product.datums)))
    return found


def queued(feedback: list[Feedback]) -> bool:
    """Whether a page says that all is queued, and nothing else."""
    return bool(feedback) and all(said.level == "success" and said.text.startswith("Queued for ") for said in feedback)


@both
@pytest.mark.parametrize("emit", ["continuous", "hermes"])
def test_a_continuous_share_tells_of_the_target_and_of_all_that_is_added_until_it_ends(
    emitters: Emitters, tmp_path: Path, version: str, emit: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit=emit)
    ingest = between.ingest
    ingest.run("allow_persistent_shares", user="alice")
    (pk, name), (other, _) = new_target(between), new_target(between)
    ingest.post_datum_by_api(pk, **next_datum())
    between.relay()

    assert between.to in [choice.value for choice in ingest.share_options(pk, persistent=True)]
    status, share = ingest.persistent_share(pk, between.to)
    assert status == 201, share
    between.relay()
    assert told(between) == [("target", 0)]

    ingest.post_datum_by_api(pk, **next_datum())
    ingest.run("each", steps=[
        {"do": "save_datums", "target": pk, "datums": [next_datum()]},
        {"do": "bulk_create_photometry", "target": pk, "count": 3},
    ])  # fmt: skip
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
    ingest.patch_target_by_api(pk, aliases=[f"{name} alias"])
    ingest.post_datum_by_api(other, **next_datum())
    between.relay()
    found = told(between)
    assert sum(count for kind, count in found if kind == "datums") == 5
    assert [count for kind, count in found if kind == "product"] == [2]
    assert {event.body.target.name for event in between.events()} == {name}
    assert {event.body.submitter for event in between.events()} == {"alice"}
    authors = "A. Author" if emit == "continuous" else ""
    assert {event.body.authors for event in between.events()} == {authors}
    between.world.consume()
    assert f"{name} alias" in target_of(dump(between.world.destination), name)["aliases"]

    ingest.delete_persistent_share(share["id"])
    ingest.post_datum_by_api(pk, **next_datum())
    ingest.patch_target_by_api(pk, aliases=[f"{name} late"])
    between.relay()
    assert told(between) == found


@both
@pytest.mark.parametrize("emit", ["continuous", "hermes", "manual"])
def test_a_continuous_share_with_existing_data_tells_all_there_is(
    emitters: Emitters, tmp_path: Path, version: str, emit: str
) -> None:
    between = emitters.emitting(tmp_path, version, emit=emit)
    ingest, (pk, name) = between.ingest, new_target(between)
    ingest.run("allow_persistent_shares", user="alice")
    ingest.run("bulk_create_photometry", target=pk, count=3)
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)

    status, share = ingest.persistent_share(pk, between.to, existing_data=True)
    assert status == 201, share
    between.deliver()

    assert sorted(told(between)) == [("datums", 3), ("product", 2), ("target", 0)]
    between.assert_arrived(name)
    assert {event.body.submitter for event in between.events()} == {"alice"}
    ingest.post_datum_by_api(pk, **next_datum())
    between.relay()
    assert len(told(between)) == (3 if emit == "manual" else 4)


@both
def test_ordinary_toms_are_shared_with_as_before_beside_a_stream(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version)
    ingest, (pk, name) = between.ingest, new_target(between)
    plain, datum = emitters.plain_tom, next_datum()
    seed(plain, {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.5, "dec": -20.25}})
    for destination in (between.to, "plain-tom"):
        ingest.run("create_persistent_share", target=pk, destination=destination, user="alice")

    ingest.post_datum_by_api(pk, **datum)

    arrived = [row for row in dump(plain)["datums"] if row["target"] == name]  # no relay, no consumer
    assert [row["timestamp"][:19] for row in arrived] == [datum["timestamp"][:19]]
    between.relay()
    assert told(between) == [("target", 0), ("datums", 1)]

    [said] = ingest.share_target_by_form(pk, "plain-tom")
    assert "Queued" not in said.text
    other, other_name = new_target(between)
    ingest.share_target_by_form(other, "plain-tom")
    assert target_of(dump(plain), other_name)["ra"] == 10.5

    ingest.run("create_persistent_share", target=pk, destination="gone-tom", user="alice")
    ingest.run("allow_persistent_shares", user="alice")
    for attempt in (
        lambda: ingest.post_datum_by_api(pk, **next_datum()),
        lambda: ingest.share_target_by_form(pk, "gone-tom"),
        lambda: ingest.persistent_share(other, "gone-tom", existing_data=True),
    ):
        with pytest.raises(TomFailed, match="ConnectionError"):
            attempt()
    between.relay()
    assert told(between) == [("target", 0), ("datums", 1), ("datums", 1)]  # the row is there, and goes its own way


@both
def test_a_consumers_request_commits_before_tom_toolkit_shares_what_it_wrote(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    between = emitters.emitting(tmp_path, version)
    ingest, (pk, name), datums = between.ingest, new_target(between), [next_datum(), next_datum()]
    plain = emitters.plain_tom
    seed(plain, {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.5, "dec": -20.25}})
    ingest.headers.update({EVENT_HEADER: str(uuid4()), HOPS_HEADER: "https://elsewhere.example/"})

    ingest.run("create_persistent_share", target=pk, destination="plain-tom", user="alice")
    ingest.post_datum_by_api(pk, **datums[0])
    assert len([row for row in dump(plain)["datums"] if row["target"] == name]) == 1

    ingest.run("create_persistent_share", target=pk, destination="gone-tom", user="alice")
    with pytest.raises(TomFailed, match="ConnectionError"):
        ingest.post_datum_by_api(pk, **datums[1])
    stored = [row for row in dump(between.source)["datums"] if row["target"] == name]
    assert len(stored) == 2  # what failed came after the commit, as it does without a mark


@both
def test_a_large_share_goes_in_parts_and_is_whole(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="manual")
    ingest, (pk, name) = between.ingest, new_target(between)
    ingest.run("bulk_create_photometry", target=pk, count=4_500)
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)

    out, err = between.command("bridge_share", "--target", name, "--to", between.to, "--no-wait")
    assert (out, err) == ("", f"1 targets are noted for {between.to}\n")
    code = "from bridge.emitter.models import ShareRequest as R\nresult = [[sum(map(len, r.datums.values())), r.tell_target]"
    parts = ingest.run_code(f"{code} for r in R.objects.filter(target_pk=arguments['pk']).order_by('pk')]", pk=pk)
    assert parts == [[2_000, True], [2_000, False], [500, False], [2, False]]

    between.relay()
    found = told(between)
    assert found[0] == ("target", 0)
    assert sum(count for kind, count in found if kind == "datums") == 4_500
    assert found.count(("target", 0)) == 1
    assert found[-1] == ("product", 2)


@both
def test_tom_toolkit_shows_the_names_of_its_lists_to_whoever_may_view_a_target(
    emitters: Emitters, tmp_path: Path, version: str
) -> None:
    """So the names of lists go wherever their target goes."""
    between = emitters.emitting(tmp_path, version, emit="all")
    ingest, (pk, name) = between.ingest, new_target(between)
    between.allow(pk)
    ingest.patch_target_by_api(pk, lists=[f"List of {name}"])
    ingest.run_code(
        "from django.contrib.auth.models import User\nfrom tom_targets.models import Target\n"
        "Target.objects.get(pk=arguments['pk']).give_user_access(User.objects.get(username='bob'))",
        pk=pk,
    )  # fmt: skip
    with Ingest(between.source, username="bob") as bob:
        assert f"List of {name}" in bob.text(f"targets/{pk}/")
        assert f"List of {name}" not in bob.text("targets/targetgrouping/")
    between.relay()
    [told_of] = between.events()
    assert isinstance(told_of.body, TargetShared)
    assert told_of.body.target_lists == (f"List of {name}",)


@pytest.mark.parametrize(("version", "emit"), [*((version, "manual") for version in TOM_VERSIONS), (TWO, "hermes")])
def test_share_pages_take_a_stream_and_say_so(emitters: Emitters, tmp_path: Path, version: str, emit: str) -> None:
    between = emitters.emitting(tmp_path, version, emit=emit)
    ingest, (pk, name), (member, member_name) = between.ingest, new_target(between), new_target(between)
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
    ingest.run("each", steps=[
        {"do": "bulk_create_photometry", "target": pk, "count": 3},
        {"do": "bulk_create_photometry", "target": member, "count": 2},
    ])  # fmt: skip
    list_pk = ingest.create_list_by_form(f"List of {name}")
    between.relay()
    assert between.events() == []
    [product_pk] = [row["pk"] for row in dump(between.source)["data_products"] if row["target"] == name]
    offered = ingest.photometry_offered(pk)

    assert queued(ingest.share_target_by_form(pk, between.to, datum_pks=offered[:2], message="Look at this: error-free"))
    between.relay()
    assert sorted(told(between)) == [("datums", 2), ("target", 0)]
    for event in between.events():
        assert (event.body.submitter, event.body.message) == ("alice", "Look at this: error-free")
        assert event.body.title == f"Updated data for {name}"
    assert queued(ingest.share_data_by_form(pk, between.to, datum_pks=offered[2:3]))
    between.relay()
    more = told(between)[2:]
    assert more[-1] == ("datums", 1)
    assert more[:-1] == ([("target", 0)] if emit == "hermes" else [])  # as 2.x does with Hermes
    assert queued(ingest.share_product_by_form(product_pk, pk, between.to, message="The file"))
    between.relay()
    before = told(between)
    assert before[2 + len(more) :] == [("product", 2)]
    assert queued(ingest.share_list_by_form(list_pk, between.to, [pk, member], with_data=True))
    between.deliver()

    events = between.events()[len(before) :]
    assert {body.target_lists for event in events if isinstance(body := event.body, TargetShared)} == {(f"List of {name}",)}
    assert {event.body.target.name for event in events} == {name, member_name}
    assert {event.body.submitter for event in events} == {"alice"}
    between.assert_arrived(name, member_name)
    assert f"List of {name}" in target_of(dump(between.world.destination), member_name)["lists"]


@both
def test_who_may_not_see_it_shares_nothing(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="manual")
    ingest, (pk, name) = between.ingest, new_target(between)
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
    [product_pk] = [row["pk"] for row in dump(between.source)["data_products"] if row["target"] == name]
    datum_pk = ingest.photometry_offered(pk)[0]
    list_pk = ingest.create_list_by_form(f"List of {name}")
    form = {"share_destination": between.to, "submitter": "alice", "target": str(pk), "share_title": "Mine"}
    shares = {
        f"targets/{pk}/share/": {"share-box": str(datum_pk)},
        f"dataproducts/data/{product_pk}/share/": {},
        f"dataproducts/target/{pk}/share/": {"share-box": str(datum_pk)},
        f"targets/targetgrouping/{list_pk}/share/": {"selected-target": str(pk), "target_list": str(list_pk)},
    }

    with Ingest(between.source, username="bob") as bob:
        for path, more in shares.items():
            said = bob.post_form(path, form | more)
            assert said, path
            assert all(each.level == "error" and "you may not see" in each.text for each in said), (path, said)
    stranger = requests.Session()
    page = stranger.get(f"{between.source.url}accounts/login/", timeout=60)
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text))
    for path, more in shares.items():
        fields = form | more | {"csrfmiddlewaretoken": token}
        answer = stranger.post(f"{between.source.url}{path}", fields, allow_redirects=False, timeout=60)
        assert answer.status_code < 500, path
    body = {"destination": between.to, "target": pk, "share_existing_data": True}
    headers = {"X-CSRFToken": stranger.cookies["csrftoken"]}
    answer = stranger.post(f"{between.source.url}targets/persistentshare/", json=body, headers=headers, allow_redirects=False,
                           timeout=60)  # fmt: skip
    assert answer.status_code in {302, 401, 403}
    between.relay()

    assert between.events() == []
    assert between.outbox()["unsealed"]["requests"] == 0
    code = "from tom_targets.models import PersistentShare as P; result = P.objects.filter(target=arguments['pk']).count()"
    assert ingest.run_code(code, pk=pk) == 0


@both
def test_only_what_the_named_groups_may_see_goes_out_by_itself(emitters: Emitters, tmp_path: Path, version: str) -> None:
    by_hand = emitters.emitting(tmp_path, version, emit="manual")
    between = emitters.emitting(tmp_path, version, emit="all")
    ingest, (hidden, name), (seen, seen_name) = between.ingest, new_target(between), new_target(between)
    between.allow(seen)
    ingest.run("create_persistent_share", target=hidden, destination=by_hand.to, user="alice")
    for pk in (hidden, seen):
        ingest.post_datum_by_api(pk, **next_datum())
    ingest.run("bulk_create_photometry", target=seen, count=2)
    between.relay()

    assert {event.body.target.name for event in between.events()} == {seen_name}
    assert {event.body.submitter for event in between.events()} == {f"the administrator of {between.source.name}"}
    assert by_hand.events() == []
    counts = ingest.run_code(
        "from bridge.emitter.models import OutboxEvent\n"
        "rows = OutboxEvent.objects.filter(target_pk__in=arguments['pks'])\n"
        "result = [[pk, to] for pk, to in rows.order_by().values_list('target_pk', 'destination').distinct()]",
        pks=[hidden, seen],
    )  # fmt: skip
    assert counts == [[seen, between.to]]

    between.allow(hidden)
    ingest.post_datum_by_api(hidden, **next_datum())
    between.relay()
    assert [(event.body.target.name, type(event.body).__name__) for event in between.events()[-2:]] == [
        (name, "TargetShared"),
        (name, "ReducedDatumsShared"),
    ]
    assert ingest.run_code(VISIBLE, target=seen, group=between.group) == [3, True, 3]
