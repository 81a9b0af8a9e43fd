"""What the drivers of `tests.support.ingest` say they do at a TOM they do: for both versions, with the same calls."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.demo.ports import free_port
from bridge.demo.toms import TOM_VERSIONS, Tom, create_tom
from tests.support.ingest import Ingest, Refused, TomFailed
from tests.support.inside import Inside
from tests.support.pages import Feedback, Page
from tests.support.world import dump, target_of, unique

NAMES = unique("SN 2025")
CSV = b"time,magnitude,error,filter\n60000.25,18.125,0.01,r\n60001.5,18.25,0.02,r\n"
STREAM = "stream:tom.shares"


@pytest.fixture(scope="module", params=TOM_VERSIONS)
def tom(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tom]:
    nowhere = {"DISPLAY_NAME": "Nowhere TOM", "BASE_URL": f"http://127.0.0.1:{free_port()}/", "USERNAME": "a", "PASSWORD": "b"}
    stream = {"DISPLAY_NAME": "Our stream", "BASE_URL": "kafka://127.0.0.1:1/", "USER_TOPICS": ["tom.shares", "tom.others"]}
    made = create_tom(
        tmp_path_factory.mktemp("ingest") / "tom",
        version=request.param,
        name="Ingest TOM",
        users={"alice": "alice-pw", "bob": "bob-pw"},
        superusers={"admin": "admin-pw"},
        groups={"Collaboration": ["alice", "bob"]},
        settings={"DATA_SHARING": {"nowhere": nowhere, "stream": stream}, "TOM_BRIDGE": {"BATCH": 100, "ADDRESS": None}},
        cheap_passwords=True,
    )
    made.start()
    with Inside(made):
        yield made
    made.kill()


@pytest.fixture(scope="module")
def alice(tom: Tom) -> Iterator[Ingest]:
    with Ingest(tom, username="alice") as ingest:
        yield ingest


@pytest.fixture(scope="module")
def admin(tom: Tom) -> Iterator[Ingest]:
    with Ingest(tom) as ingest:
        yield ingest


def target(ingest: Ingest) -> int:
    return ingest.create_target_by_api(next(NAMES), 10.0, -20.0)


def datums_of(tom: Tom, pk: int) -> list[dict[str, Any]]:
    dumped = dump(tom)
    [name] = [found["name"] for found in dumped["targets"] if found["id"] == pk]
    return [datum for datum in dumped["datums"] if datum["target"] == name]


def levels(feedback: list[Feedback]) -> list[str]:
    return [message.level for message in feedback]


def test_targets_made_and_changed_by_forms_have_all_that_was_filled_in(tom: Tom, alice: Ingest) -> None:
    name, renamed, alias, other = (next(NAMES) for _ in range(4))

    pk = alice.create_target_by_form(
        name, 0.0, -3.5, aliases=[alias], extras={"host": "NGC 1"}, groups=["Collaboration"], epoch=2000.0, permissions="PUBLIC"
    )
    created = target_of(dump(tom), name)
    alice.update_target_by_form(pk, name=renamed, pm_ra=1.5, aliases=[other], extras={"z": "0.1"})
    updated = target_of(dump(tom), renamed)

    assert (created["id"], created["ra"], created["dec"], created["epoch"]) == (pk, 0.0, -3.5, 2000.0)
    assert (created["aliases"], created["extras"], created["permissions"]) == ([alias], {"host": "NGC 1"}, "PUBLIC")
    assert (created["owners"], created["groups"]) == (["alice"], ["Collaboration"])
    assert updated["id"] == pk
    assert (updated["ra"], updated["pm_ra"], updated["extras"]) == (0.0, 1.5, {"host": "NGC 1", "z": "0.1"})
    assert updated["aliases"] == sorted([alias, other])


def test_a_form_that_the_tom_refuses_or_that_has_no_such_field_is_an_error(alice: Ingest) -> None:
    taken = next(NAMES)
    pk = alice.create_target_by_form(taken, 1.0, 2.0)

    with pytest.raises(Refused, match="with this Name already exists"):
        alice.create_target_by_form(taken, 1.0, 2.0)
    with pytest.raises(Refused, match="404"):
        alice.update_target_by_form(10**6, ra=1.0)
    with pytest.raises(KeyError, match="no 'colour'"):
        alice.update_target_by_form(pk, colour="red")
    with pytest.raises(ValueError, match="no room"):
        alice.update_target_by_form(pk, aliases=[next(NAMES) for _ in range(4)])
    with pytest.raises(Refused, match="cannot log in"):
        Ingest(alice.tom, username="alice", password="wrong")


def test_targets_made_and_changed_by_the_api_have_all_that_was_sent(tom: Tom, alice: Ingest) -> None:
    name, alias, other, list_name = (next(NAMES) for _ in range(4))

    pk = alice.create_target_by_api(name, 10.5, 20.5, aliases=[alias], extras={"q": "1"}, lists=[list_name], pm_ra=1.5)
    alice.patch_target_by_api(pk, aliases=[other], extras={"r": "2"}, lists=[f"{list_name} b"], ra=11.25)

    found = target_of(dump(tom), name)
    assert (found["id"], found["ra"], found["dec"], found["pm_ra"]) == (pk, 11.25, 20.5, 1.5)
    assert (found["aliases"], found["extras"]) == (sorted([alias, other]), {"q": "1", "r": "2"})
    assert found["lists"] == [list_name, f"{list_name} b"]
    with pytest.raises(Refused, match="already exists"):
        alice.create_target_by_api(name, 1.0, 2.0)


def test_targets_come_from_a_file_and_lists_are_filled_on_the_page(tom: Tom, alice: Ingest) -> None:
    names = [next(NAMES) for _ in range(3)]
    rows = "".join(f"{name},SIDEREAL,{number}.5,2.0\n" for number, name in enumerate(names))

    imported = alice.import_targets_by_form(f"name,type,ra,dec\n{rows}")
    pks = [target_of(dump(tom), name)["id"] for name in names]
    list_pk = alice.create_list_by_form(f"List of {names[0]}")
    added = alice.fill_list_by_form(list_pk, pks)
    again = alice.fill_list_by_form(list_pk, pks[:1])
    removed = alice.fill_list_by_form(list_pk, pks[2:], button="remove")

    assert imported == [Feedback("success", "Targets created: 3")]
    assert added == [Feedback("success", f"3 target(s) successfully added to group 'List of {names[0]}'.")]
    assert levels(again) == ["success", "warning"]
    assert levels(removed) == ["success"]
    assert dump(tom)["target_lists"][f"List of {names[0]}"] == sorted(names[:2])


def test_datums_and_files_arrive(tom: Tom, alice: Ingest) -> None:
    pk = target(alice)

    posted = alice.post_datum_by_api(
        pk, value={"magnitude": 18.5, "error": 0.25, "filter": "r"}, timestamp="2024-01-02T03:04:05Z", source_name="LCO"
    )
    by_form = alice.upload_csv_by_form(pk, "by form.csv", CSV)
    by_api = alice.upload_by_api(pk, "by api.csv", CSV.replace(b"6000", b"6010"), product_id=f"night {pk}", extra_data="x")
    refused = alice.upload_csv_by_form(pk, "light curve.dat", CSV)

    assert posted["timestamp"] == "2024-01-02T03:04:05Z"
    assert levels(by_form) == ["success"]
    assert (by_api["target"], by_api["product_id"], by_api["extra_data"]) == (pk, f"night {pk}", "x")
    assert [message.text for message in refused if message.level == "error"] != []
    datums = datums_of(tom, pk)
    assert len(datums) == 5
    assert sum(datum["source_name"] == "LCO" for datum in datums) == 1
    products = [product for product in dump(tom)["data_products"] if product["pk"] in {d["data_product_pk"] for d in datums}]
    assert [(product["filename"], product["datums"]) for product in products] == [("by_form.csv", 2), ("by_api.csv", 2)]


def test_programs_inside_the_tom_add_many_one_or_none(tom: Tom, alice: Ingest) -> None:
    name, undone = next(NAMES), next(NAMES)
    datum = {"timestamp": "2023-02-01T00:00:00+00:00", "value": {"magnitude": 1.5, "error": 0.5, "filter": "g"}}

    pk = alice.run("create_target", name=name, ra=1.0, dec=2.0, aliases=[f"{name} a"], lists=["Ours"], owners=["alice"])
    many, keyed, saved, new, again, both = alice.run(
        "each",
        steps=[
            {"do": "bulk_create_photometry", "target": pk, "count": 200},
            {"do": "bulk_create_photometry", "target": pk, "count": 2, "first": 200, "ignore_conflicts": False},
            {"do": "save_datums", "target": pk, "datums": [datum]},
            {"do": "get_or_create_datum", "target": pk, "number": 1000},
            {"do": "get_or_create_datum", "target": pk, "number": 1000},
            {"do": "committed", "steps": [
                {"do": "change_target", "target": pk, "fields": {"ra": 5.5}, "extras": {"k": "v"}},
                {"do": "rolled_back", "steps": [
                    {"do": "create_target", "name": undone, "ra": 1.0, "dec": 2.0},
                    {"do": "bulk_create_photometry", "target": pk, "count": 5, "first": 5000},
                ]},
            ]},
        ],
    )  # fmt: skip

    assert (many["rows"], keyed["rows"], new, again) == (200, 202, True, False)
    assert all(key is None for key in many["pks"]) == tom.version.startswith("3.")
    assert None not in keyed["pks"]
    assert both[1][1]["rows"] == 208  # seen inside, and undone
    dumped = dump(tom)
    found = target_of(dumped, name)
    assert (found["ra"], found["aliases"], found["lists"], found["owners"]) == (5.5, [f"{name} a"], ["Ours"], ["alice"])
    assert found["extras"] == {"k": "v"}
    assert undone not in {other["name"] for other in dumped["targets"]}
    mine = [row for row in dumped["datums"] if row["target"] == name]
    assert len(mine) == 204
    assert saved == [row["pk"] for row in mine if row["source_name"] == "Pipeline"]
    alice.run("delete_target", target=pk)
    code = "from tom_targets.models import Target; result = Target.objects.filter(pk=arguments['pk']).count()"
    assert alice.run_code(code, pk=pk) == 0


def test_share_pages_offer_toms_by_name_and_streams_by_topic(alice: Ingest, admin: Ingest) -> None:
    pk = target(alice)

    offered = [("nowhere", "Nowhere TOM"), (STREAM, "tom.shares"), ("stream:tom.others", "tom.others")]
    assert alice.share_options(pk) == [("download", "download"), *offered]
    assert admin.share_options(pk, persistent=True) == offered
    with pytest.raises(LookupError):
        alice.share_options(pk, persistent=True)  # an ordinary user has not got that form


def test_continuous_sharing_begins_and_ends(tom: Tom, alice: Ingest, admin: Ingest) -> None:
    pk, other = target(alice), target(alice)
    datum = {"value": {"magnitude": 18.5, "error": 0.25, "filter": "r"}, "timestamp": "2024-01-02T03:04:05Z"}
    with Ingest(tom, username="bob") as bob:
        assert bob.persistent_share(pk, STREAM) == (302, "")
        bob.run("allow_persistent_shares", user="bob")
        assert bob.persistent_share(pk, STREAM)[0] == 400  # not bob's target

    status, share = admin.persistent_share(pk, STREAM)

    assert (status, share["target"], share["destination"]) == (201, pk, STREAM)
    assert admin.persistent_share(pk, STREAM)[0] == 400
    assert admin.persistent_share(pk, "elsewhere") == (400, {"destination": ['"elsewhere" is not a valid choice.']})
    with pytest.raises(TomFailed, match=f"ImproperlyConfigured.*{STREAM}"):  # nobody is there yet to take it to a stream
        alice.post_datum_by_api(pk, **datum)
    assert len(datums_of(tom, pk)) == 1  # it is saved all the same
    assert admin.delete_persistent_share(share["id"]) == (204, "")
    alice.post_datum_by_api(pk, **{**datum, "timestamp": "2024-01-03T00:00:00Z"})
    with pytest.raises(TomFailed, match="ConnectionError"):
        admin.persistent_share(other, "nowhere", existing_data=True)
    assert dump(tom)["counts"]["tom_targets.PersistentShare"] == 0


def test_each_share_form_reaches_toolkits_own_sharing(tom: Tom, alice: Ingest) -> None:
    pk = target(alice)
    alice.upload_by_api(pk, "light curve.csv", CSV)
    datum_pks = alice.photometry_offered(pk)
    [product_pk] = {datum["data_product_pk"] for datum in datums_of(tom, pk)}
    list_pk = alice.create_list_by_form(f"List of {pk}")
    alice.fill_list_by_form(list_pk, [pk])

    assert sorted(datum_pks) == sorted(datum["pk"] for datum in datums_of(tom, pk))
    forms: dict[str, Callable[[str], list[Feedback]]] = {
        f"/targets/{pk}/share/": lambda to: alice.share_target_by_form(pk, to, datum_pks=datum_pks[:1], message="Look"),
        f"/dataproducts/target/{pk}/share/": lambda to: alice.share_data_by_form(pk, to, datum_pks=datum_pks),
        f"/dataproducts/data/{product_pk}/share/": lambda to: alice.share_product_by_form(product_pk, pk, to),
        f"/targets/targetgrouping/{list_pk}/share/": lambda to: alice.share_list_by_form(list_pk, to, [pk], with_data=True),
    }
    for path, share in forms.items():
        with pytest.raises(TomFailed, match=f"{path}.* ConnectionError .*Connection refused"):
            share("nowhere")
        with pytest.raises(TomFailed, match=f"{path}.* ImproperlyConfigured .*{STREAM}"):
            share(STREAM)


def test_what_the_next_page_shows_after_sharing(alice: Ingest) -> None:
    pk = target(alice)
    list_pk = alice.create_list_by_form(f"List of {pk}")

    [refused] = alice.share_target_by_form(pk, "elsewhere")
    [nobody] = alice.share_list_by_form(list_pk, "nowhere", [], with_data=False)

    assert (refused.level, nobody.level) == ("error", "error")
    assert "elsewhere is not one of the available choices" in refused.text
    assert nobody.text.startswith("No targets shared.")
    assert alice.page("targets/targetgrouping/create/").feedback == []  # shown once
    assert alice.share_data_by_form(pk, "elsewhere", datum_pks=[]) == []  # TOM Toolkit refuses it without a word


def test_the_page_that_shares_lists_fails(alice: Ingest) -> None:
    """Why `share_list_by_form` does without it."""
    list_pk = alice.create_list_by_form(f"List {next(NAMES)}")
    with pytest.raises(TomFailed, match=r"empty_database|Could not parse the remainder"):
        alice.page(f"targets/targetgrouping/{list_pk}/share/")


def test_forms_are_read_as_browsers_do() -> None:
    page = Page(
        """
        <div class="alert alert-danger alert-dismissible fade show"><button class="close">&#215;</button>
           No <b>good</b><br>&amp; bad</div><script>"<form>"</script>
        <form id="outer" action="/first/"><select name="s"><option value="1">One</option><option selected>Two</option></select>
          <form action="/inner/"><input name="inner" value="in"><input type="checkbox" name="c" value="x" checked>
          <textarea name="t">\nText &lt;</textarea></form>
          <input name="outside" value="lost"></form>
        <input type="checkbox" name="far" value="7" form="outer" id="far"><label for="far">Far away</label>
        <input type="checkbox" name="stray" value="8" form="missing" checked>
        <button name="go" form="outer" formaction="/second/">Go</button>
        """
    )

    form = page.form(having=["inner"])
    assert page.feedback == [Feedback("error", "No good & bad")]
    assert (form.id, form.values) == ("outer", [("s", "Two"), ("inner", "in"), ("c", "x"), ("t", "Text <")])
    assert form.value_of("far", "Far away") == "7"
    form.fill({"far": ["7"], "c": []})
    form.press("go")
    assert form.action == "/second/"
    assert form.values[-2:] == [("far", "7"), ("go", "go")]
    assert ("c", "x") not in form.values
    for unknown in ("outside", "stray"):
        with pytest.raises(KeyError):
            form.fill({unknown: "1"})
