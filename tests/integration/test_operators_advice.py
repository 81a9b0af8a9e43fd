"""What docs/operators.md advises a TOM with many targets: the code works there, and leaves the TOM's answers as they are."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.demo.toms import Tom, create_tom
from bridge.settings import TomEntry
from bridge.tom.session import TomSession
from bridge.verdict import Answer
from tests.support.world import seed

DOCS = Path(__file__).parents[2] / "docs" / "operators.md"
USERS = {"bridge": "bridge-canary-pw", "alice": "alice-canary-pw"}


@pytest.fixture(params=["2.32.4", "3.1.0"])
def advised(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tom]:
    """A TOM that follows the advice."""
    section = DOCS.read_text(encoding="utf-8").partition("## A TOM with many targets")[2].partition("\n## ")[0]
    apps, manager = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    [setting] = re.findall(r"`MATCH_MANAGERS = (\{.*?\})`", section)
    tom = create_tom(
        tmp_path / "advised",
        version=request.param,
        name="Advised",
        users=USERS,
        superusers={"admin": "admin-pw"},
        settings={"MATCH_MANAGERS": {"Target": re.findall(r'"([\w.]+)"', setting)[1]}},
        cheap_passwords=True,
    )
    (tom.dir / "custom_code" / "apps.py").write_text(apps)
    (tom.dir / "custom_code" / "match_managers.py").write_text(manager)
    tom.start()
    yield tom
    tom.stop()


@pytest.fixture
def session(advised: Tom) -> Iterator[TomSession]:
    """An account that sees some targets there."""
    with TomSession("advised", TomEntry.model_validate(_entry(advised))) as found:
        yield found


def test_answers_are_the_same(advised: Tom, session: TomSession) -> None:
    made = seed(
        advised,
        _target("SN 2024abc", "ZTF24-aaa", owners=["bridge"]),
        _target("M 31", owners=["bridge"]),
        _target("Hidden 1", "Secret-2", owners=["alice"]),
    )

    def datum(pk: int) -> Answer:
        body = {"target": pk, "data_type": "photometry", "timestamp": "2024-01-01", "value": {"magnitude": 18.5, "filter": "r"}}
        return session.post("api/reduceddatums/", body)

    def fuzzy(name: str) -> list[str]:
        return [row["name"] for row in session.get_ok("api/targets/", {"name_fuzzy": name})["results"]]

    assert datum(made["SN 2024abc"]).status == 201
    for pk in (made["Hidden 1"], 9999):
        assert datum(pk).status == 400
        assert datum(pk).body == {"target": [f'Invalid pk "{pk}" - object does not exist.']}
    for name in ("sn2024ABC", "SN (2024) abc", "ztf24aaa"):
        assert fuzzy(name) == ["SN 2024abc"]
    assert fuzzy("m31") == ["M 31"]
    for name in ("2024abc", "M", "hidden1", "secret2"):
        assert fuzzy(name) == []


def _entry(tom: Tom) -> dict[str, str]:
    return {"DISPLAY_NAME": tom.name, "BASE_URL": tom.url, "USERNAME": "bridge", "PASSWORD": tom.users["bridge"]}


def _target(name: str, *aliases: str, owners: list[str]) -> dict[str, object]:
    return {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}, "aliases": list(aliases), "owners": owners}
