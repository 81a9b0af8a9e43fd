"""``tom-bridge check``: configuration, broker, topics, logins and rights, each line ok or what is wrong and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from bridge.errors import BridgeError, Misconfigured
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings
from bridge.settings import ConsumerSettings, Settings, StreamEntry, StreamTopic, TomEntry
from bridge.tom.session import TomSession
from bridge.tom.targets import groups_of
from bridge.verdict import says_invisible_target

__all__ = ["Finding", "check"]

_T = TypeVar("_T")

SAMPLED_TARGETS = 25
"""How many of a TOM's targets are asked about; one request each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    what: str
    level: Literal["ok", "warning", "wrong"]
    detail: str


def check(settings: Settings) -> Iterator[Finding]:
    """Check everything in the settings, one after the other. Nothing is written anywhere."""
    problems = list(settings.problems())
    for problem in problems:
        yield Finding("configuration", "wrong", problem)
    if not problems:
        found = f"{settings.origin}: {len(settings.entry_names)} entries, {len(settings.consumer_names)} consumers"
        yield Finding("configuration", "ok", found)
    consumers = dict(_readable(settings.consumer_names, settings.consumer))
    for key, entry in _readable(settings.entry_names, settings.entry):
        if isinstance(entry, StreamEntry):
            yield from _check_stream(key, entry, _topics_of(key, entry, consumers))
        elif isinstance(entry, TomEntry):
            yield from _check_tom(key, entry, consumers.get(key))
        else:
            yield Finding(f"stream {key}", "warning", "the Hermes API; this version does not speak to it yet")
    for name, consumer in consumers.items():
        if "*" in consumer.accept_sources:
            detail = 'accept_sources = ["*"] takes events that claim to come from any TOM; name the ones you know'
            yield Finding(f"consumer {name}", "warning", detail)
        yield Finding(f"consumer {name}", "ok", _who_sees(consumer))


def _readable(names: list[str], read: Callable[[str], _T]) -> Iterator[tuple[str, _T]]:
    for name in names:
        try:
            yield name, read(name)
        except Misconfigured:
            continue  # said already, as a problem of the configuration


def _topics_of(key: str, entry: StreamEntry, consumers: dict[str, ConsumerSettings]) -> dict[str, str]:
    """Return the topics of a stream that are needed, and what for."""
    needed = dict.fromkeys(entry.USER_TOPICS, "USER_TOPICS")
    for name, consumer in consumers.items():
        places = [*map(StreamTopic.parse, consumer.subscribe), consumer.dead_letter_topic(name)]
        uses = [*("subscribe" for _ in consumer.subscribe), "dead_letters"]
        for place, use in zip(places, uses, strict=True):
            if place.stream == key:
                needed[place.topic] = f"consumer {name}, {use}"
    return needed


def _check_stream(key: str, entry: StreamEntry, needed: dict[str, str]) -> Iterator[Finding]:
    what = f"stream {key}"
    try:
        connection = connect_settings(key, entry)
        topics = Admin(connection).topics()
    except BridgeError as error:
        yield Finding(what, "wrong", str(error))
        return
    yield Finding(what, "ok", f"{connection.bootstrap}, login: {connection.credential}")
    for topic, use in needed.items():
        if topic in topics:
            yield Finding(f"topic {key}:{topic}", "ok", f"{topics[topic].partitions} partitions ({use})")
        else:
            fix = f"does not exist, or this login may not see it ({use}); create it: tom-bridge topics create {key}:{topic}"
            yield Finding(f"topic {key}:{topic}", "wrong", fix)


def _check_tom(key: str, entry: TomEntry, consumer: ConsumerSettings | None) -> Iterator[Finding]:
    what = f"TOM {key}"
    session = TomSession(key, entry)
    try:
        session.connect()
        yield Finding(what, "ok", f"{entry.BASE_URL}, TOM Toolkit {session.dialect}.x, login by {session.login_kind}")
        if urlsplit(entry.BASE_URL).scheme == "http" and urlsplit(entry.BASE_URL).hostname not in {
            "127.0.0.1",
            "localhost",
        }:
            yield Finding(what, "warning", "the password goes over plain http; use https")
        if consumer is not None:
            yield from _check_rights(what, session)
            missing = [name for name in consumer.groups if name not in groups_of(session)]
            if missing:
                fix = f"the account is in no group {', '.join(missing)} there; ask the TOM's administrator to add it"
                yield Finding(f"consumer {key}", "wrong", fix)
    except BridgeError as error:
        yield Finding(what, "wrong", str(error))
    finally:
        session.close()


def _check_rights(what: str, session: TomSession) -> Iterator[Finding]:
    page = session.get_ok("api/targets/", {"limit": SAMPLED_TARGETS})
    count = int(page["count"])
    needs_all = (
        "the account has to see and change all targets of this TOM, or targets that it does not see can't be matched: "
        "its administrator gives it the user permissions 'Can view target' and 'Can change target' (tom_targets)"
    )
    if count == 0:
        yield Finding(what, "warning", f"the account sees no targets; if there are any: {needs_all}")
        return
    # A datum without a value is refused in any case; whether its target is complained about, too, tells the rights.
    fixed = [
        row
        for row in page["results"]
        if says_invisible_target(session.post("api/reduceddatums/", {"target": row["id"], "data_type": "", "value": None}))
    ]
    if fixed:
        names = ", ".join(repr(row["name"]) for row in fixed[:3])
        detail = f"the account sees but may not change {len(fixed)} of {len(page['results'])} targets, for instance {names}; "
        yield Finding(what, "wrong", detail + needs_all)
    highest = max(int(row["id"]) for row in page["results"])
    if count <= SAMPLED_TARGETS and highest > count:
        detail = f"the account sees {count} targets, with numbers up to {highest}: others were deleted, or are invisible; "
        yield Finding(what, "warning", detail + needs_all)
    elif not fixed:
        yield Finding(what, "ok", f"sees {count} targets and may change them; it has to see all targets of this TOM")


def _who_sees(consumer: ConsumerSettings) -> str:
    if consumer.groups:
        return f"new targets can be seen by: the account, and the groups {', '.join(consumer.groups)}"
    if consumer.permissions != "PRIVATE":
        return f"new targets are {consumer.permissions} on the TOM's pages; its API shows them to the account alone"
    return (
        "new targets can be seen by the account alone; name groups in 'groups', or set 'permissions', "
        "so that people there see what arrives"
    )
