"""``tom-bridge demo``: the main job on real parts, end to end, and a comparison that can fail."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge.demo.compare import compare_target
from bridge.demo.objects import KNOWN_BEFORE, LIST_NAME, SHARED, objects_at_destination, objects_at_source
from bridge.demo.ports import free_port
from bridge.demo.toms import SCRIPTS, Tom, TomSetupError, cache_dir, create_tom, ensure_toolkits, load_tom
from bridge.errors import BridgeError
from bridge.kafka.embedded import EmbeddedBroker
from bridge.settings import TomEntry
from bridge.tom.session import TomSession

__all__ = ["run_demo"]

SOURCE_VERSION, DESTINATION_VERSION = "2.32.4", "3.1.0"
SOURCE_NAME, DESTINATION_NAME = "Source TOM", "Destination TOM"
TOPIC = "tom.shares"
DEAD_LETTERS = "tom.shares.destination.dead-letters"
GROUP = "Collaboration"
MOST_DIFFERENCES = 20
"""How many are printed."""
SHARER, WRITER, READER = "alice", "bridge", "bob"
"""Who has the data at the source; the bridge's account at the destination; an ordinary user there."""


def run_demo(*, console: Console, keep: bool, directory: Path | None) -> int:
    """Run the demo.

    Parameters
    ----------
    console
        Where it prints.
    keep
        Whether everything is left running until Ctrl-C, with addresses and logins printed.
    directory
        Where the TOMs live; a folder of the cache if not given. What a demo left there is removed.

    Returns
    -------
    int
        Exit code: 0 if all is equal.
    """

    def say(text: str) -> None:
        console.print(f"[dim]{escape(text)}[/]", highlight=False)

    try:
        with ExitStack() as stack:
            home = _fresh(directory or cache_dir() / "demo")
            broker = stack.enter_context(EmbeddedBroker())
            for topic in (TOPIC, DEAD_LETTERS):
                broker.create_topic(topic)
            source, destination = stack.enter_context(_toms(home, broker, say))
            commands = _Commands(_write_config(home, broker, source, destination), console)
            commands.run("check")
            _ingest(console, source)
            commands.manage(source, "bridge_outbox")
            commands.manage(source, "bridge_relay", "--once")
            commands.run("consume", "destination", "--drain")
            equal = _report(console, source, destination)
            if keep:
                with commands.running(source, home) as page:
                    _keep(console, home, source, destination, broker, page)
    except (BridgeError, TomSetupError, subprocess.CalledProcessError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}", highlight=False)
        return 1
    return 0 if equal else 1


@contextmanager
def _toms(home: Path, broker: EmbeddedBroker, say: Callable[[str], None]) -> Iterator[tuple[Tom, Tom]]:
    """Create and start both TOMs; stop them at the end."""
    ensure_toolkits((SOURCE_VERSION, DESTINATION_VERSION), say=say)
    say("creating two TOMs, the source with 'bridge.emitter' among its apps")
    port = free_port()  # an event names its TOM's address, which has to be known beforehand
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(
            create_tom, home / "source", version=SOURCE_VERSION, name=SOURCE_NAME, users={SHARER: _password()},
            superusers={"admin": _password()}, groups={GROUP: [SHARER]}, apps=["bridge.emitter"], port=port,
            settings=_cookies("source") | _emitter_settings(broker, f"http://127.0.0.1:{port}/"), say=say,
        )  # fmt: skip
        second = pool.submit(
            create_tom, home / "destination", version=DESTINATION_VERSION, name=DESTINATION_NAME,
            users={WRITER: _password(), READER: _password()}, superusers={"admin": _password()},
            groups={GROUP: [WRITER, READER]}, settings=_cookies("destination"), say=say,
        )  # fmt: skip
        source, destination = first.result(), second.result()
        say("starting them")
        try:
            started = pool.submit(source.start)
            destination.run_script(SCRIPTS / "seed_tom.py", objects_at_destination(WRITER, GROUP))
            destination.start()
            started.result()
            yield source, destination
        finally:
            source.stop()
            destination.stop()


def _fresh(home: Path) -> Path:
    for name in ("source", "destination"):
        if (home / name / "tom.json").exists():
            load_tom(home / name).stop()
        shutil.rmtree(home / name, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    return home


def _emitter_settings(broker: EmbeddedBroker, url: str) -> dict[str, object]:
    """Return what an administrator adds to the source TOM's settings.py."""
    stream = {
        "DISPLAY_NAME": "Demo stream",
        "BASE_URL": broker.url,
        "USER_TOPICS": [TOPIC],
        "SOURCE_URL": url,
        "EMIT": "all",
        "EMIT_GROUPS": [GROUP],
    }
    return {"DATA_SHARING": {"stream": stream}}


def _ingest(console: Console, source: Tom) -> None:
    """Let the source TOM ingest the demo's objects, as a pipeline would do it in its Django; the emitter notes them."""
    done: Any = source.run_script(SCRIPTS / "seed_tom.py", objects_at_source(SHARER, GROUP))
    console.print(
        f"\n[bold]{SOURCE_NAME} ingests[/] {len(done['targets'])} targets, {done['datums']} reduced datums and "
        f"{done['products']} data product with more, and knows nothing of any other TOM.",
        highlight=False,
    )


def _cookies(key: str) -> dict[str, object]:
    # Browsers keep cookies by host and not by port: without names of their own, one TOM's login would end the other's.
    return {"SESSION_COOKIE_NAME": f"{key}_sessionid", "CSRF_COOKIE_NAME": f"{key}_csrftoken"}


def _password() -> str:
    return secrets.token_urlsafe(9)


def _write_config(home: Path, broker: EmbeddedBroker, source: Tom, destination: Tom) -> Path:
    path = home / "bridge.toml"
    text = f"""\
[DATA_SHARING.stream]
DISPLAY_NAME = "Demo stream"
BASE_URL = "{broker.url}"
USER_TOPICS = ["{TOPIC}", "{DEAD_LETTERS}"]

[DATA_SHARING.source]
DISPLAY_NAME = "{SOURCE_NAME}"
BASE_URL = "{source.url}"
USERNAME = "{SHARER}"
PASSWORD = "{source.users[SHARER]}"

[DATA_SHARING.destination]
DISPLAY_NAME = "{DESTINATION_NAME}"
BASE_URL = "{destination.url}"
USERNAME = "{WRITER}"
PASSWORD = "{destination.users[WRITER]}"

[consumers.destination]
subscribe = ["stream:{TOPIC}"]
accept_sources = ["{source.url}"]
groups = ["{GROUP}"]
dead_letters = "stream:{DEAD_LETTERS}"
"""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


class _Commands:
    """Runs ``tom-bridge`` as a user would, and shows what it says."""

    def __init__(self, config: Path, console: Console) -> None:
        self._config = config
        self._console = console

    def run(self, *arguments: str) -> None:
        shown = " ".join(f'"{word}"' if " " in word or "(" in word else word for word in arguments)
        self._console.print(f"\n[bold]$ tom-bridge {escape(shown)}[/]", highlight=False)
        sys.stdout.flush()
        command = [sys.executable, "-m", "bridge", *arguments, "--config", str(self._config)]
        subprocess.run(command, check=True, env={**os.environ, "COLUMNS": str(self._console.width)})

    def manage(self, tom: Tom, *arguments: str) -> None:
        """Run ``manage.py`` of a TOM, and show what it says."""
        self._console.print(f"\n[bold]{escape(tom.dir.name)}$ python manage.py {' '.join(arguments)}[/]", highlight=False)
        said = tom.manage(*arguments).strip()
        self._console.print(escape(said) if said else "[dim]done[/]", highlight=False)

    @contextmanager
    def running(self, source: Tom, home: Path) -> Iterator[str]:
        """Keep the relay and the consumer running, so that what the source TOM ingests from now on arrives by itself.

        Yields the address of the live page, which shows it.
        """
        watched, page = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        with (
            source.managing("bridge_relay", log=home / "relay.log"),
            self._kept(home / "consume.log", "consume", "destination", "--http", watched),
            self._kept(home / "page.log", "serve", "stream", "--http", page, "--consumer-http", f"destination={watched}"),
        ):
            yield f"http://{page}/"

    @contextmanager
    def _kept(self, log: Path, *arguments: str) -> Iterator[None]:
        command = [sys.executable, "-m", "bridge", *arguments, "--config", str(self._config)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
            try:
                yield
            finally:
                process.terminate()
                process.wait()


def _report(console: Console, source: Tom, destination: Tom) -> bool:
    """Print what went where, and whether all is equal."""
    before: Any = source.run_script(SCRIPTS / "dump_tom.py", {})
    after: Any = destination.run_script(SCRIPTS / "dump_tom.py", {})
    table = Table("target", "at the destination", "what", "source", "arrived", "")
    differences: list[str] = []
    for name in SHARED:
        there = KNOWN_BEFORE if name == SHARED[1] else name
        lists = [
            *([LIST_NAME] if name in SHARED[:2] else []),
            *([] if there != name else [f"Imported from {SOURCE_NAME}"]),
        ]
        found = compare_target(before, after, name, at_destination=there, lists=lists, created=there == name)
        for number, line in enumerate(found):
            first = (name, there) if number == 0 else ("", "")
            mark = "[green]equal[/]" if not line.differences else "[bold red]different[/]"
            table.add_row(*map(escape, first), line.what, str(line.wanted), str(line.found), mark)
            differences += [f"{name}, {line.what}: {text}" for text in line.differences]
    seen = _seen_by(destination, READER)
    expected = {KNOWN_BEFORE if name == SHARED[1] else name for name in SHARED}
    table.add_row("", "", f"targets that {READER} sees", str(len(expected)), str(len(seen & expected)), _mark(seen >= expected))
    differences += [f"{READER} can't see {name}" for name in sorted(expected - seen)]
    console.print("\n", table, sep="")
    for text in differences[:MOST_DIFFERENCES]:
        console.print(f"  {escape(text)}", highlight=False)
    console.print(
        "[bold green]All is equal.[/] Everything that was shared is in the destination's database, to the last digit."
        if not differences
        else f"[bold red]{len(differences)} differences.[/]"
    )
    return not differences


def _mark(equal: bool) -> str:
    return "[green]equal[/]" if equal else "[bold red]different[/]"


def _seen_by(tom: Tom, user: str) -> set[str]:
    """Return the names of the targets that an ordinary user sees."""
    entry = TomEntry(BASE_URL=tom.url, USERNAME=user, PASSWORD=SecretStr(tom.users[user]))
    session = TomSession(user, entry)
    try:
        return {row["name"] for row in session.get_ok("api/targets/", {"limit": 1000})["results"]}
    finally:
        session.close()


def _keep(console: Console, home: Path, source: Tom, destination: Tom, broker: EmbeddedBroker, page: str) -> None:
    table = Table("what", "address", "login")
    for tom, user in ((source, SHARER), (destination, READER)):
        table.add_row(tom.name, tom.url, f"{user} / {tom.users[user]}")
        table.add_row("", "", f"admin / {tom.admin_password}")
    table.add_row("broker", broker.url, "none")
    table.add_row("live page", page, "none")
    console.print(table)
    console.print(f"Try: tom-bridge topics list stream --config {home / 'bridge.toml'}", highlight=False)
    console.print(
        f"A relay, a consumer and the page keep running (their logs are in {home}): give {SOURCE_NAME} a target that the "
        f"group {GROUP} may see, and look at the page, and at {DESTINATION_NAME} a few seconds later. Ctrl-C ends everything.",
        highlight=False,
    )
    console.print(f"The live page, with all that the demo has shared: [bold]{escape(page)}[/]", highlight=False)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
