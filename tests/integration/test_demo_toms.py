"""Real TOMs of both versions can be created, filled, looked into, stopped, killed and started again."""

import base64
import hashlib
import json
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge
from bridge.demo.toms import SCRIPTS, TOM_VERSIONS, Tom, TomSetupError, create_tom, ensure_toolkit, load_tom

STARTER = """
import sys
import sysconfig
from pathlib import Path
from bridge.demo.toms import load_tom

tom = load_tom(Path(sys.argv[1]))
tom.start(workers=1)
print("up", flush=True)
input()
"""

CSV = (
    b"time,magnitude,error,filter,limit,source\n"
    b"60310.5,18.25,0.02,r,,survey\n"
    b"60311.5,18.50,0.03,r,,survey\n"
    b"60312.5,,,r,19.75,survey\n"
)


@pytest.fixture(scope="module", params=TOM_VERSIONS)
def tom(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tom]:
    made = create_tom(
        tmp_path_factory.mktemp("toms") / f"tom-{request.param}",
        version=request.param,
        name="Alpha TOM",
        users={"ana": "ana-pw", "ben": "ben-pw"},
        superusers={"admin": "admin-pw"},
        groups={"Collaboration": ["ben"]},
        settings={"PAGE_TITLE": "a 'quoted' title"},
        cheap_passwords=True,
    )
    yield made
    made.kill()


def get(tom: Tom, path: str, user: str = "admin") -> tuple[str, bytes]:
    credentials = base64.b64encode(f"{user}:{tom.users[user]}".encode()).decode()
    request = urllib.request.Request(tom.url + path, headers={"Authorization": f"Basic {credentials}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.headers["Content-Type"], response.read()


def ensure_running(tom: Tom) -> None:
    if not tom.running:
        tom.start(workers=1)


def eventually_stops(tom: Tom, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while tom.running and time.monotonic() < deadline:
        time.sleep(0.05)
    return not tom.running


def test_a_started_tom_answers_with_json_and_styled_pages(tom: Tom) -> None:
    ensure_running(tom)
    content_type, body = get(tom, "api/targets/", user="ana")
    assert content_type == "application/json"
    assert "results" in json.loads(body)
    assert b"Alpha TOM" in get(tom, "")[1]
    assert get(tom, "static/tom_common/css/main.css")[0] == "text/css"


def test_what_is_seeded_is_dumped(tom: Tom) -> None:
    before = tom.run_script(SCRIPTS / "dump_tom.py", {"only_counts": True})
    seeded = tom.run_script(
        SCRIPTS / "seed_tom.py",
        {
            "targets": [
                {
                    "fields": {"name": "SN 2024abc", "type": "SIDEREAL", "ra": 150.1000000000001, "dec": -2.0},
                    "aliases": ["ZTF24abc", "AT 2024abc"],
                    "extras": {"host": "NGC 1"},
                    "lists": ["Supernovae"],
                    "owners": ["ana"],
                    "groups": ["Collaboration"],
                    "datums": [
                        photometry("2024-01-01T00:00:00.123456Z", {"magnitude": 18.1, "error": 0.01, "filter": "g"}),
                        photometry("2024-01-02T00:00:00+01:00", {"limit": 20.5, "filter": "g", "seeing": 1.25}),
                    ],
                    "products": [
                        {
                            "data_product_type": "photometry",
                            "filename": "lightcurve.csv",
                            "content_base64": base64.b64encode(CSV).decode(),
                            "product_id": "alpha-1",
                            "extra_data": "first night",
                        }
                    ],
                }
            ]
        },
    )
    after = tom.run_script(SCRIPTS / "dump_tom.py")

    [target] = after["targets"]
    assert seeded == {"targets": {"SN 2024abc": target["id"]}, "datums": 2, "products": 1}
    assert (target["ra"], target["dec"]) == (150.1000000000001, -2.0)
    assert target["aliases"] == ["AT 2024abc", "ZTF24abc"]
    assert target["extras"] == {"host": "NGC 1"}
    assert (target["lists"], target["owners"], target["groups"]) == (["Supernovae"], ["ana"], ["Collaboration"])
    assert after["target_lists"] == {"Supernovae": ["SN 2024abc"]}

    posted = [datum for datum in after["datums"] if datum["data_product"] is None]
    assert [datum["timestamp"] for datum in posted] == [
        "2024-01-01T00:00:00.123456+00:00",
        "2024-01-01T23:00:00.000000+00:00",
    ]
    assert {(datum["data_type"], datum["source_name"], datum["target"]) for datum in posted} == {
        ("photometry", "A survey", "SN 2024abc")
    }
    typed = tom.version.startswith("3.")
    detection, limit = (datum["value"] for datum in posted)
    assert detection["brightness" if typed else "magnitude"] == 18.1
    assert limit["limit"] == 20.5
    assert (limit["value"] if typed else limit)["seeing"] == 1.25

    [product] = after["data_products"]
    assert product["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert (product["size"], product["datums"], product["product_id"]) == (len(CSV), 3, "alpha-1")
    of_product = [datum["value"] for datum in after["datums"] if datum["data_product"] == "alpha-1"]
    assert sorted(value["limit"] for value in of_product if value.get("limit")) == [19.75]
    assert before["counts"].keys() == after["counts"].keys()
    assert before["counts"] != after["counts"]
    ensure_running(tom)
    assert get(tom, "data/sn-2024abc/none/lightcurve.csv")[1] == CSV


def photometry(timestamp: str, value: dict[str, object]) -> dict[str, object]:
    return {"data_type": "photometry", "timestamp": timestamp, "value": value, "source_name": "A survey"}


def test_a_refused_seed_leaves_nothing_behind(tom: Tom) -> None:
    before = tom.run_script(SCRIPTS / "dump_tom.py", {"only_counts": True})
    target = {"fields": {"name": "Nobody's", "type": "SIDEREAL", "ra": 1.0, "dec": 1.0}, "owners": ["nobody"]}
    with pytest.raises(TomSetupError, match="User matching query does not exist"):
        tom.run_script(SCRIPTS / "seed_tom.py", {"targets": [target]})
    assert tom.run_script(SCRIPTS / "dump_tom.py", {"only_counts": True}) == before


def test_it_stops_is_killed_and_starts_again(tom: Tom) -> None:
    ensure_running(tom)
    again = load_tom(tom.dir)
    assert again == tom
    assert again.running
    with pytest.raises(TomSetupError, match="running already"):
        again.start()
    again.stop()  # not the one that started it
    assert not tom.running
    tom.stop()
    tom.start(workers=1, threads=2)
    tom.kill()
    tom.kill()
    assert not tom.running
    tom.start(workers=1)
    assert get(tom, "api/targets/")[0] == "application/json"
    assert "Listening at" in tom.log_tail(200)


def test_it_ends_with_the_process_that_started_it(tom: Tom) -> None:
    tom.stop()
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tom.dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert tom.running
        starter.kill()
    assert eventually_stops(tom)


def test_a_taken_port_and_a_dying_server_are_told_apart(tom: Tom) -> None:
    tom.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", tom.port))
        other.listen()
        with pytest.raises(TomSetupError, match="another program has its port"):
            tom.start()
    settings = tom.dir / "local_settings.py"
    good = settings.read_text()
    settings.write_text(good + "raise RuntimeError('settings are broken')\n")
    try:
        with pytest.raises(TomSetupError, match=r"(?s)ended while it was starting.*settings are broken"):
            tom.start()
    finally:
        settings.write_text(good)
    assert not tom.running


@pytest.mark.parametrize("version", TOM_VERSIONS)
def test_an_app_of_ours_runs_from_this_checkout_and_is_migrated(tmp_path: Path, version: str) -> None:
    made = create_tom(
        tmp_path / "tom",
        version=version,
        name="Gamma TOM",
        users={},
        superusers={"admin": "admin-pw"},
        settings={"TOM_BRIDGE": {}},
        apps=["bridge.emitter", "django.contrib.redirects"],
        cheap_passwords=True,
    )
    tom = load_tom(made.dir)
    assert tom == made

    pending = tom.manage("migrate", "--plan", "--verbosity", "1")
    asked = "import json, sys, bridge; import django.contrib.redirects.models as redirects"
    answers = "bridge.__path__[0], bridge.__version__, redirects.Redirect.objects.count(), sys.path"
    found = json.loads(tom.manage("shell", "-c", f"{asked}; print(json.dumps([{answers}]))").splitlines()[-1])
    tom.start(workers=1)
    content_type, _ = get(tom, "api/targets/")
    tom.kill()

    assert "No planned migration operations" in pending
    package, number, redirects, path = found
    assert (Path(package).resolve(), number, redirects) == (Path(bridge.__file__).parent, bridge.__version__, 0)
    assert sysconfig.get_path("purelib") not in path  # nothing of our own environment
    assert not list((tom.python.parent.parent / "lib").glob("python*/site-packages/tom_bridge*"))
    assert content_type == "application/json"
    shutil.rmtree(tom.dir)
    assert Path(bridge.__file__).exists()  # the link went, and not what it leads to


def test_secrets_stay_out_of_sight(tom: Tom) -> None:
    assert "-pw" not in repr(tom)
    for name in ("tom.json", "local_settings.py"):
        assert stat.S_IMODE((tom.dir / name).stat().st_mode) == 0o600
    assert tom.manage("shell", "-c", "from django.conf import settings; print(settings.PAGE_TITLE)").endswith(
        "a 'quoted' title\n"
    )
    with pytest.raises(TomSetupError, match="no_such_command"):
        tom.manage("no_such_command")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"superusers": {}}, "needs a superuser"),
        ({"groups": {"Collaboration": ["carl"]}}, "not its users: carl"),
        ({"settings": {"LOCATION": Path("/tmp")}}, "setting LOCATION is not"),
        ({"settings": {"lower": 1}}, "setting lower is not"),
        ({"apps": ["bridge.emitter", "no-such.app"]}, "importable names: no-such.app"),
        ({"database": "mysql://localhost/tom"}, "postgres://"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_made(tmp_path: Path, change: dict, message: str) -> None:
    wish = {"version": "3.1.0", "name": "Beta TOM", "users": {}, "superusers": {"admin": "admin-pw"}} | change
    with pytest.raises(TomSetupError, match=message):
        create_tom(tmp_path / "tom", **wish)
    assert not (tmp_path / "tom").exists()
    with pytest.raises(TomSetupError, match="no complete TOM"):
        load_tom(tmp_path / "tom")


def test_a_failed_installation_says_why_and_is_not_taken_for_a_finished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOM_BRIDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(TomSetupError, match=r"(?s)No matching distribution.*tom-3\.1\.0\.log"):
            ensure_toolkit("3.1.0", say=said.append)
    assert said.count("installing TOM Toolkit 3.1.0 ...") == 2
