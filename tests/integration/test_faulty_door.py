"""A real TOM is the same TOM through the door that the faults come through: login, writes, reading back, files."""

import hashlib

import pytest

from bridge.settings import TomEntry
from bridge.tom.session import TomSession
from tests.support.door import FaultyDoor
from tests.support.faults import Reset
from tests.support.world import USERS, Toms, dump, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
TABLE = b"time,magnitude,error,filter\n60000.5,18.25,0.125,r\n60001.5,18.5,0.25,g\n"
names = unique("Door")


@pytest.mark.parametrize(("version", "kind"), [(TWO, "session"), (THREE, "API token")])
def test_a_session_works_through_the_door_as_at_the_tom(toms: Toms, version: str, kind: str) -> None:
    tom = toms.get("destination", version)
    name = next(names)
    star = {"name": name, "type": "SIDEREAL", "ra": 10.5, "dec": -20.25, "aliases": [{"name": f"{name} alias"}]}
    with FaultyDoor(tom.url) as door:
        entry = TomEntry.model_validate(
            {"DISPLAY_NAME": "x", "BASE_URL": door.url, "USERNAME": "bridge", "PASSWORD": USERS["bridge"]}
        )
        with TomSession("destination", entry) as session:
            assert session.dialect == int(version[0])
            assert session.login_kind == kind
            created = session.post("api/targets/", {**star, "target_lists": [{"name": f"List of {name}"}]})
            assert created.status == 201
            target = created.body["id"]
            value = {"magnitude": 18.5, "error": 0.1, "filter": "r"}
            datum = {"target": target, "data_type": "photometry", "timestamp": "2024-03-01T02:03:04.567890+00:00"}
            assert session.post("api/reduceddatums/", {**datum, "value": value, "source_name": "Elsewhere"}).status == 201
            product = {"target": target, "data_product_type": "photometry", "product_id": f"{name} product"}
            assert session.upload("api/dataproducts/", product, "points.csv", TABLE).status == 201
            image = {**product, "data_product_type": "image_file", "product_id": f"{name} image"}
            large = bytes(range(256)) * 40_000
            uploaded = session.upload("api/dataproducts/", image, "large.png", large)
            assert uploaded.status == 201

            found = session.get_ok("api/targets/", {"name": name})["results"]
            rows = session.get_ok("api/reduceddatums/", {"target__id": target})["results"]
            products = session.get_ok("api/dataproducts/", {"target_name": name})["results"]
            assert session.prove()
            # Addresses in answers are the door's, and not those of a TOM that the session would refuse to fetch from.
            [file] = [row["data"] for row in products if row["product_id"].endswith("image")]
            assert file.startswith(door.url)
            assert session.download(file, 100_000_000) == large

            door.on(lambda seen: seen.kind == "target", Reset(after_write=True), times=1)
            with pytest.raises(Exception, match="cannot be reached"):
                session.patch(f"api/targets/{target}/", {"dec": -20.5})
            again = session.get_ok(f"api/targets/{target}/")

    assert [(row["id"], row["ra"], row["dec"]) for row in found] == [(target, 10.5, -20.25)]
    assert again["dec"] == -20.5
    assert len(rows) == 3
    assert sorted(row["product_id"] for row in products) == [f"{name} image", f"{name} product"]
    after = dump(tom)
    stored = target_of(after, name)
    assert (stored["aliases"], stored["lists"], stored["owners"]) == ([f"{name} alias"], [f"List of {name}"], ["bridge"])
    assert sorted(row["source_name"] for row in after["datums"] if row["target"] == name) == ["", "", "Elsewhere"]
    files = {row["product_id"]: (row["sha256"], row["datums"]) for row in after["data_products"] if row["target"] == name}
    assert files == {
        f"{name} product": (hashlib.sha256(TABLE).hexdigest(), 2),
        f"{name} image": (hashlib.sha256(large).hexdigest(), 0),
    }
    assert [(entry.kind, entry.tom_status) for entry in door.journal.writes()] == [
        ("target", 201), ("datum", 201), ("product", 201), ("product", 201), ("target", 200),
    ]  # fmt: skip
    assert [entry.status for entry in door.journal.writes()] == [201, 201, 201, 201, None]
    assert door.journal.overlaps() == []
    if kind == "session":
        assert {entry.kind for entry in door.journal} == {"target", "datum", "product", "probe", "login", "read"}
