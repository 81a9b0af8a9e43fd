"""What administrators of a real TOM with the emitter do and see: commands, admin pages, checks, and taking it out again."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge.demo.toms import TOM_VERSIONS, Tom, create_tom
from bridge.events import TargetShared
from tests.support.emitting import SECRET, Emitters, Emitting, emitter_settings
from tests.support.ingest import SCRIPT, Ingest, Refused
from tests.support.inside import Inside
from tests.support.postgres import Postgres
from tests.support.relaying import Relay, next_datum, number, query, settled, wait_for
from tests.support.world import USERS, dump, unique

names = unique("SN 2046a")
both = pytest.mark.parametrize("version", TOM_VERSIONS)
CHECKS = """
import copy
from contextlib import ExitStack
from datetime import timedelta
from unittest import mock
from django.conf import settings
from django.core import checks
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone
from bridge.emitter import capture, checks as ours, sharing
from bridge.emitter.models import Change

def said(name, *with_):
    with ExitStack() as stack:
        for context in with_:
            stack.enter_context(context)
        found = [*ours.check_settings(), *ours.check_toolkit(), *ours.check_database(databases=["default"])]
    result[name] = [[each.id, each.msg, each.hint or "", each.is_serious()] for each in found]

def entry(**changes):
    sharing = copy.deepcopy(settings.DATA_SHARING)
    for key, value in changes.items():
        sharing["share-stream"][key] = value
        if value is None:
            del sharing["share-stream"][key]
    return override_settings(DATA_SHARING=sharing)

result = {}
with transaction.atomic():
    Change.objects.all().delete()
    said("nothing")
    said("address", entry(SOURCE_URL=None, USERNAME="us", PASSWORD=arguments["secret"]))
    said("name", override_settings(TOM_NAME="TOM Toolkit"))
    said("login", entry(BASE_URL="kafka://kafka.example.org/"))
    said("engine", mock.patch.object(connection, "vendor", "mysql"))
    said("no stream", override_settings(DATA_SHARING={"a-tom": {"BASE_URL": "https://a.example.org/"}}))
    said("version", mock.patch.object(sharing, "toolkit_version", lambda: "3.7.0"))
    said("function", mock.patch("tom_targets.sharing.share_target_and_all_data", lambda destination: None))
    said("groups", entry(EMIT="all", EMIT_GROUPS=["Group 1", "Grupo 1"]))
    said("topics", entry(USER_TOPICS=[]))
    Change.objects.create(model="tom_targets.basetarget", row_pk=1, target_pk=1, at=timezone.now() - timedelta(hours=2))
    said("waits")
    Change.objects.all().delete()
    capture.remove(connection)
    said("triggers")
    transaction.set_rollback(True)
registered = {check.__name__ for check in checks.registry.registry.get_checks(include_deployment_checks=True)}
result["registered"] = sorted(registered & {"check_settings", "check_toolkit", "check_database"})
"""


def new_target(between: Emitting, *, owner: str = "alice", **more: Any) -> tuple[int, str]:
    """Make a target with two datums, that one user may see."""
    name = next(names)
    pk = between.ingest.run("create_target", name=name, ra=10.5, dec=-20.25, owners=[owner], **more)
    between.ingest.run("bulk_create_photometry", target=pk, count=2)
    return pk, name


def on_a_terminal(tom: Tom, *arguments: str) -> tuple[str, str]:
    """Run a command of ``manage.py`` whose stderr is a terminal; return what it printed, and what was to be seen there."""
    ours, theirs = pty.openpty()
    command = [str(tom.python), "manage.py", *arguments]
    with subprocess.Popen(
        command, cwd=tom.dir, env=tom._environment(), stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as done:
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 4096):
                seen += more
        except OSError:  # so a terminal says that nobody writes to it any more
            pass
        assert done.stdout is not None
        printed = done.stdout.read()
    os.close(ours)
    assert done.returncode == 0, seen.decode()
    return printed, seen.decode()


def shared(between: Emitting, since: int) -> list[tuple[str, str, int]]:
    """Return what has come to the topic: each event's kind, target and number of datums, in alphabetical order."""
    return sorted(
        (type(event.body).__name__, event.body.target.name, len(getattr(event.body, "datums", ())))
        for event in between.events()[since:]
    )


@both
def test_bridge_share_publishes_what_is_there_already(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="manual")
    list_name = f'List, "{next(names)}"'
    alias = next(names)
    pk, name = new_target(between, aliases=[alias], lists=[list_name])
    _, member = new_target(between, lists=[list_name])
    bobs_pk, bobs = new_target(between, owner="bob")
    between.relay()
    assert between.events() == []

    def share(*arguments: str) -> str:
        out, err = between.command("bridge_share", "--to", between.to, *arguments)
        return out + err

    both_kinds = [("ReducedDatumsShared", name, 2), ("TargetShared", name, 0)]
    for given in (name.lower(), alias, f"#{pk}"):
        since = len(between.events())
        said = share("--target", given)
        assert "1 targets are noted" in said
        assert f"of 1 targets to {between.to}" in said
        assert shared(between, since) == both_kinds
    since = len(between.events())
    share("--list", list_name, "--no-data", "--user", "alice")
    assert shared(between, since) == [("TargetShared", target, 0) for target in sorted([name, member])]
    assert {event.body.submitter for event in between.events()[since:]} == {"alice"}
    assert {event.body.submitter for event in between.events()[:since]} == {f"the administrator of {between.source.name}"}
    assert {event.body.target_lists for event in between.events()[since:]} == {(list_name,)}

    since = len(between.events())
    for arguments, why in {
        (
            "--target",
            f"#{bobs_pk}",
            "--user",
            "alice",
        ): "not_allowed: some of the targets do not exist, or you may not see them",
        ("--target", "SN 1604 of nobody"): "--target SN 1604 of nobody: no target of that name",
        ("--list", "No such list"): "--list No such list: no such target list",
        ("--everything", "--user", "carol"): "--user carol: no such user",
        (): "nothing to share: name it with --target, --list or --everything",
    }.items():
        assert f"CommandError: {why}" in share(*arguments)
    out, err = between.command("bridge_share", "--to", "by-hand:elsewhere", "--everything")
    assert (out, err) == ("", "CommandError: --to by-hand:elsewhere: no stream and topic in this TOM's DATA_SHARING")
    between.relay()
    assert len(between.events()) == since

    assert "targets that bob may not see are left out\n" in share("--everything", "--no-data", "--user", "bob")
    told = {target for _kind, target, _count in shared(between, since)}
    assert bobs in told
    assert not told & {name, member}

    since = len(between.events())
    printed, seen = on_a_terminal(between.source, "bridge_share", "--everything", "--no-data", "--to", between.to)
    everybody = sorted(target["name"] for target in dump(between.source)["targets"])
    assert [target for _kind, target, _count in shared(between, since)] == everybody
    assert all(isinstance(event.body, TargetShared) for event in between.events()[since:])
    assert f"of {len(everybody)} targets to {between.to}" in printed
    assert f"{len(everybody):,} targets are noted for {between.to}" in seen
    assert "\r[" in seen
    assert f"of {len(everybody):,} targets, " in seen


@both
def test_the_outbox_can_be_seen_and_not_changed_and_shows_no_secret(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="manual", postgres=version.startswith("3"))
    source, ingest = between.source, between.ingest
    pk, name = new_target(between)
    ingest.run("create_persistent_share", target=pk, destination="gone-tom", user="alice")
    with pytest.raises(Exception, match="ConnectionError"):
        ingest.post_datum_by_api(pk, **next_datum())
    ingest.run_code(
        "from bridge.emitter.models import *\nfrom django.utils.timezone import now\n"
        "Change.objects.create(model='tom_targets.basetarget', row_pk=1, target_pk=1, at=now(), problem='broken <b>')\n"
        "ShareRequest.objects.create(destination='away:t', target_pk=1, submitter='alice', problem='gone')"
    )
    assert between.outbox()["relay"] is False
    with Relay(source, tmp_path / "relay.log") as relay:
        wait_for(lambda: relay.works, "the relay works")
        between.command("bridge_share", "--to", between.to, "--target", f"#{pk}")
        wait_for(lambda: settled(source), "everything is published")
        state = json.loads(source.manage("bridge_outbox", "--json"))
        text, _ = between.command("bridge_outbox")

    [found] = [found for found in state["outbox"] if found["destination"] == between.to]
    assert state["relay"] is True
    assert (found["waiting"], found["set_aside"], found["published"], found["last_error"]) == (0, 0, 2, "")
    assert {(problem["what"], problem["why"]) for problem in state["problems"]} >= {
        ("tom_targets.basetarget 1", "broken <b>"),
        ("target 1 to away:t", "gone"),
    }
    assert "relay      works\nunsealed   0 changes of 0 targets; 0 shares asked for\n" in text
    assert f"outbox     {between.to}: 0 wait, 0 set aside, 2 published, last 20" in text
    assert "problem    target 1 to away:t: gone\n" in text

    pages = [text, json.dumps(state)]
    with Ingest(source) as admin:
        pages.append(admin.text("admin/bridge_emitter/"))
        for model in ("outboxevent", "change", "sharerequest"):
            table = f"bridge_emitter_{model}"
            row = number(source, f"SELECT max(id) FROM {table}")
            before = query(source, f"SELECT count(*), max(id) FROM {table}")
            path = f"admin/bridge_emitter/{model}/"
            pages += [admin.text(path), admin.text(f"{path}{row}/change/"), admin.text(f"{path}?q={row}")]
            assert "deletelink" not in pages[-2]
            assert 'type="submit"' not in pages[-2].partition('id="content-main"')[2]
            for forbidden in (f"{path}add/", f"{path}{row}/delete/"):
                with pytest.raises(Refused, match=r"403|302"):
                    admin.text(forbidden)
            admin.post_form(path, {"action": "delete_selected", "_selected_action": str(row), "post": "yes"})
            admin.post_form(f"{path}{row}/change/", {"problem": "", "refused": "on", "last_error": "x"})
            assert query(source, f"SELECT count(*), max(id) FROM {table}") == before
        published = number(source, f"SELECT max(id) FROM bridge_emitter_outboxevent WHERE destination = '{between.to}'")
        event = admin.text(f"admin/bridge_emitter/outboxevent/{published}/change/")
        assert name in event
        assert "broken &lt;b&gt;" in "".join(pages)
    with pytest.raises(Refused):
        ingest.text("admin/bridge_emitter/outboxevent/")

    rows = ingest.run_code(
        "from bridge.emitter.models import *\n"
        "result = [[str(vars(row)), str(row), repr(row)] for model in (OutboxEvent, Change, ShareRequest, SealedTarget)\n"
        "          for row in model.objects.all()]"
    )  # fmt: skip
    records = [consumed.record for consumed in between.world.read(between.world.topic)]
    on_topic = "".join(f"{record.key!r} {record.value!r} {record.headers}" for record in records)
    assert name in on_topic
    for where in (*pages, event, json.dumps(rows), on_topic, relay.said):
        for secret in (SECRET, *USERS.values()):
            assert secret not in where
    assert name not in repr(rows[0][1:])

    ingest.run_code("from bridge.emitter.models import *\nShareRequest.objects.exclude(problem='').delete()\n"
                    "Change.objects.filter(problem='broken <b>').delete()")  # fmt: skip
    assert between.command("bridge_outbox", "--purge", "--older-than", "1")[1] == "0 published events removed\n"
    assert " published events removed" in between.command("bridge_outbox", "--purge")[1]
    assert between.outbox()["outbox"] == []
    assert number(source, "SELECT count(*) FROM bridge_emitter_outboxevent") == 0


@both
def test_each_check_says_what_is_wrong_and_what_to_do(emitters: Emitters, tmp_path: Path, version: str) -> None:
    between = emitters.emitting(tmp_path, version, emit="manual", postgres=version.startswith("3"))
    between.relay()

    said = between.ingest.run_code(CHECKS, secret=SECRET)

    assert said.pop("registered") == ["check_database", "check_settings", "check_toolkit"]
    assert said.pop("nothing") == []
    expected = {
        "address": ("E001", "[DATA_SHARING.share-stream] SOURCE_URL: missing; add this TOM's own public address"),
        "name": ("E001", "TOM_NAME: still 'TOM Toolkit'; give this TOM a name of its own"),
        "login": ("W008", "ALLOW_PLAINTEXT"),
        "engine": ("E002", "works on sqlite and postgresql, not on mysql"),
        "no stream": ("W001", "Add an entry with BASE_URL 'kafka://host[:port]/', USER_TOPICS and SOURCE_URL."),
        "version": ("W002", "not tested with TOM Toolkit 3.7.0"),
        "triggers": ("W003", "Run manage.py migrate, which sets the triggers."),
        "waits": ("W004", "Run manage.py bridge_relay as a service."),
        "groups": ("W005", "this TOM has no group Grupo 1"),
        "function": ("W006", "share_target_and_all_data: has the parameters destination"),
        "topics": ("W007", "[DATA_SHARING.share-stream] USER_TOPICS: missing"),
    }
    assert said.keys() == expected.keys()
    for case, (check, words) in expected.items():
        assert {found[0] for found in said[case]} == {f"bridge_emitter.{check}"}, case
        assert all(words in f"{message} {hint}" for _id, message, hint, _serious in said[case]), said[case]
        assert all(serious == check.startswith("E") for *_rest, serious in said[case])
    assert SECRET not in json.dumps(said)
    assert "bridge_emitter" not in between.source.manage("check", "--database", "default")


@pytest.mark.parametrize(
    ("version", "on_postgres"), [(TOM_VERSIONS[0], False), (TOM_VERSIONS[1], True)], ids=["sqlite", "postgresql"]
)
def test_the_emitter_can_be_taken_out_and_put_back(
    emitters: Emitters, request: pytest.FixtureRequest, tmp_path: Path, version: str, on_postgres: bool
) -> None:
    database = None
    if on_postgres:
        cluster: Postgres = request.getfixturevalue("postgres")
        database = cluster.create_database("taken_out")
    settings = emitter_settings("taken-out", emitters.stream_url, emitters.plain_tom)
    tom = create_tom(tmp_path / "taken_out", version=version, name="Taken out", users=USERS, superusers={"admin": "admin-pw"},
                     apps=["bridge.emitter"], settings=settings, database=database, cheap_passwords=True)  # fmt: skip
    catalogue = "pg_trigger WHERE tgname LIKE 'bridge_%'" if on_postgres else "sqlite_master WHERE type = 'trigger'"

    def ingest() -> int:
        return int(tom.run_script(SCRIPT, {"do": "create_target", "name": next(names), "ra": 1.0, "dec": 2.0}))

    with Inside(tom):
        ingest()
        triggers = number(tom, f"SELECT count(*) FROM {catalogue}")
        assert triggers > 10
        assert number(tom, "SELECT count(*) FROM bridge_emitter_change") > 0

    tom.manage("migrate", "bridge_emitter", "zero")
    assert number(tom, f"SELECT count(*) FROM {catalogue}") == 0
    if on_postgres:
        assert number(tom, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'bridge_%'") == 0
    with Inside(tom):
        ingest()
        migrate = "from django.core.management import call_command; call_command('migrate', verbosity=0)"
        tom.run_script(SCRIPT, {"do": "execute", "code": migrate, "arguments": {}})
        assert number(tom, f"SELECT count(*) FROM {catalogue}") == triggers
        assert number(tom, "SELECT count(*) FROM bridge_emitter_change") == 0
        pk = ingest()
    assert number(tom, f"SELECT count(*) FROM bridge_emitter_change WHERE target_pk = {pk}") > 0
    assert tom.manage("bridge_relay", "--once") == "published 0 events\n"
    assert number(tom, "SELECT count(*) FROM bridge_emitter_change") == 0
