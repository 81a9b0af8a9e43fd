"""``tom-bridge check`` against real parts in every wrong state: each line says what is wrong and what to do."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.world import World, dump, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
both = pytest.mark.parametrize("version", [TWO, THREE])
names = unique("C")


def check(between: World, change: Callable[[dict[str, Any]], None]) -> tuple[int, str]:
    settings = between.settings()
    change(settings)
    said = between.run("check", settings=settings)
    assert "canary" not in said.out + said.err, "a secret was shown"
    return said.code, said.out


def wrong(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("wrong"))


@both
def test_when_all_is_well(world: Callable[..., World], version: str):
    code, out = check(world(version, version), lambda _settings: None)

    assert code == 0, out
    assert f"TOM Toolkit {version[0]}.x" in out
    assert "login by session" in out if version == TWO else "login by API token" in out
    assert "all targets of this TOM" in out
    assert "Collaboration" in out


@both
def test_a_wrong_password(world: Callable[..., World], version: str):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["PASSWORD"] = "not-the-canary"

    code, out = check(world(version, version), change)

    assert code == 1
    assert "refuses the password of bridge; correct USERNAME and PASSWORD of [DATA_SHARING.destination]" in wrong(out)


def test_a_wrong_token(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        entry = settings["DATA_SHARING"]["destination"]
        settings["DATA_SHARING"]["destination"] = {"BASE_URL": entry["BASE_URL"], "API_TOKEN": "canary"}

    code, out = check(world(TWO, THREE), change)
    assert (code, "refuses the API token; make a new one" in wrong(out)) == (1, True)

    code, out = check(world(TWO, TWO), change)
    assert (code, "this TOM ignores API tokens (TOM Toolkit 2 does); give USERNAME and PASSWORD" in wrong(out)) == (1, True)


def test_closed_ports(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["BASE_URL"] = f"http://127.0.0.1:{free_port()}/"
        settings["DATA_SHARING"]["stream"]["BASE_URL"] = f"kafka://127.0.0.1:{free_port()}/"

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "TOM destination" in wrong(out)
    assert "cannot be reached" in wrong(out)
    assert "stream stream (127.0.0.1:" in wrong(out)


def test_a_missing_topic(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["consumers"]["destination"]["dead_letters"] = "stream:not.there"

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "create it: tom-bridge topics create stream:not.there" in wrong(out)


def test_a_misspelt_key(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        entry = settings["DATA_SHARING"]["destination"]
        entry["PASWORD"] = entry.pop("PASSWORD")
        settings["consumers"]["destination"]["acept_sources"] = ["*"]

    between = world(TWO, THREE)
    code, out = check(between, change)

    assert code == 1
    assert (
        f"bridge-{between.number}.toml: [DATA_SHARING.destination] PASWORD: PASWORD is unknown; did you mean PASSWORD?" in out
    )
    assert "[consumers.destination] acept_sources: acept_sources is unknown; did you mean accept_sources?" in out


@both
def test_an_account_that_cannot_change_a_target(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}, "owners": ["alice"]})
    grant = (
        "from guardian.shortcuts import assign_perm; from django.contrib.auth.models import User; "
        f"from tom_targets.models import Target; t = Target.objects.get(name={name!r}); "
        "assign_perm('tom_targets.view_target', User.objects.get(username='bob'), t)"
    )
    between.destination.manage("shell", "-c", grant)
    before = dump(between.destination)

    def change(settings: dict[str, Any]) -> None:
        users = between.destination.users
        settings["DATA_SHARING"]["destination"] |= {"USERNAME": "bob", "PASSWORD": users["bob"]}

    code, out = check(between, change)

    assert code == 1
    assert "sees but may not change" in wrong(out)
    assert "'Can view target' and 'Can change target'" in wrong(out)
    assert dump(between.destination) == before, "a check writes nothing"


@both
def test_an_account_that_sees_no_targets_at_all(world: Callable[..., World], version: str):
    between = world(TWO, version)
    seed(between.destination, {"fields": {"name": next(names), "type": "SIDEREAL"}})
    between.destination.manage(
        "shell", "-c", "from django.contrib.auth.models import User; User.objects.create_user('eve', password='eve-canary')"
    )

    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"] |= {"USERNAME": "eve", "PASSWORD": "eve-canary"}
        settings["consumers"]["destination"]["groups"] = []

    code, out = check(between, change)
    between.destination.manage(
        "shell", "-c", "from django.contrib.auth.models import User; User.objects.get(username='eve').delete()"
    )

    assert code == 0
    assert "the account sees no targets" in out
    assert "has to see and change all targets" in out


def test_a_group_that_the_account_is_not_in(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["consumers"]["destination"]["groups"] = ["Collaboratoin"]

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "the account is in no group Collaboratoin there" in wrong(out)


@pytest.fixture
def html_server() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            page = b"<html>Welcome, this is not a TOM</html>"
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_GET = do_POST = do_OPTIONS = _answer

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_an_address_that_is_not_a_tom(world: Callable[..., World], html_server: str):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["BASE_URL"] = html_server

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "is BASE_URL the address of a TOM?" in wrong(out)
