"""``tom-bridge check``: configuration, broker, topics, logins and rights, each line ok or what is wrong and what to do."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from bridge.errors import BridgeError, Misconfigured
from bridge.hermes_api import HermesApi
from bridge.kafka.admin import Admin, TopicInfo
from bridge.kafka.connection import Connection, connect_settings
from bridge.settings import ConsumerSettings, HermesEntry, Settings, StreamEntry, TomEntry
from bridge.tom.session import TomSession
from bridge.tom.targets import groups_of
from bridge.verdict import says_invisible_target

__all__ = ["Finding", "check"]

_T = TypeVar("_T")

_EVERYTHING = frozenset({"Describe", "Read", "Write"})
"""What the embedded broker allows anybody."""
SAMPLED_TARGETS = 25
"""How many of a TOM's targets are asked about; one request each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    what: str
    level: Literal["ok", "warning", "wrong"]
    detail: str


@dataclass(frozen=True, slots=True)
class _Need:
    """A topic or consumer group of a stream, what has to be allowed there, and what for."""

    kind: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]
    use: str

    def joined_with(self, other: "_Need") -> "_Need":
        """Return what is needed for both."""
        operations = tuple(dict.fromkeys((*self.operations, *other.operations)))
        return replace(self, operations=operations, use=f"{self.use}; {other.use}")


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
            yield from _check_stream(
                key, entry, _joined([*_needs_of(key, entry, consumers), *_needs_of_gateway(key, settings)])
            )
        elif isinstance(entry, TomEntry):
            yield from _check_tom(key, entry, consumers.get(key))
        else:
            yield from _check_hermes(key, entry)
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


def _needs_of(key: str, entry: StreamEntry, consumers: dict[str, ConsumerSettings]) -> Iterator[_Need]:
    """Yield what is needed of a stream, one thing for each use."""
    for topic in entry.USER_TOPICS:
        yield _Need("topic", topic, ("Describe",), "USER_TOPICS")
    for name, consumer in consumers.items():
        letters = consumer.dead_letter_topic(name)
        if consumer.stream == key:
            for topic in consumer.topics:
                yield _Need("topic", topic, ("Read",), f"consumer {name}, subscribe")
            yield _Need("group", consumer.consumer_group(name), ("Read",), f"consumer {name}, its place on the topics")
            yield _Need("group", consumer.writer_group(name), ("Read",), f"consumer {name}, the right to write")
        if letters.stream == key:
            # Read, too: when it starts, it reads there which targets were refused. An empty topic would not show that.
            yield _Need("topic", letters.topic, ("Read", "Write"), f"consumer {name}, dead_letters")


def _needs_of_gateway(key: str, settings: Settings) -> Iterator[_Need]:
    for _name, (gateway, clients) in _readable(["gateway"] if settings.has_gateway else [], lambda _name: settings.gateway()):
        for name, client in clients.items() if gateway.stream == key else ():
            for topic in client.topics:
                yield _Need("topic", topic, ("Describe", "Write"), f"gateway, client {name}")


def _joined(needs: Iterable[_Need]) -> list[_Need]:
    """Return one need for each topic and group, topics first."""
    joined: dict[tuple[str, str], _Need] = {}
    for need in sorted(needs, key=lambda need: need.kind, reverse=True):
        place = need.kind, need.name
        before = joined.get(place)
        joined[place] = need if before is None else before.joined_with(need)
    return list(joined.values())


def _check_stream(key: str, entry: StreamEntry, needs: list[_Need]) -> Iterator[Finding]:
    what = f"stream {key}"
    try:
        connection = connect_settings(key, entry)
        admin = Admin(connection)
        topics, is_embedded = admin.topics(), admin.is_embedded()
        yield Finding(what, "ok", f"{connection.bootstrap}, login: {connection.credential}")
        for need in needs:
            if not is_embedded:
                yield _check_need(need, connection, topics, admin.rights(need.kind, need.name))
            elif need.kind == "topic":
                yield _check_need(need, connection, topics, _EVERYTHING)
    except BridgeError as error:
        yield Finding(what, "wrong", str(error))


def _check_need(need: _Need, connection: Connection, topics: dict[str, TopicInfo], rights: frozenset[str] | None) -> Finding:
    """Judge one need by the rights that the broker tells; None: it does not."""
    place = f"{connection.stream}:{need.name}"
    what = f"{need.kind} {place}"
    missing = [name for name in need.operations if rights is not None and name not in rights]
    if missing:
        detail = f"{connection.credential} is not allowed {' and '.join(missing)} ({need.use}); "
        return Finding(what, "wrong", detail + _how_to_allow(need, connection, missing))
    if need.kind == "topic" and need.name not in topics:
        return Finding(what, "wrong", f"does not exist ({need.use}); create it: tom-bridge topics create {place}")
    found = [f"{topics[need.name].partitions} partitions"] if need.kind == "topic" else []
    operations = " and ".join(need.operations)
    if rights is None:
        found.append(f"the broker does not tell whether {connection.credential} is allowed {operations}")
        return Finding(what, "warning", f"{', '.join(found)} ({need.use})")
    if need.kind == "group":
        return Finding(what, "ok", f"{operations} allowed ({need.use})")
    may = [word for operation, word in (("Read", "readable"), ("Write", "writable")) if operation in rights]
    if not may:
        found.append(f"neither readable nor writable for {connection.credential}")
    else:
        found.append(" and ".join(may) if len(may) > 1 else f"{may[0]} only")
    return Finding(what, "ok" if may else "warning", f"{', '.join(found)} ({need.use})")


def _how_to_allow(need: _Need, connection: Connection, operations: Iterable[str]) -> str:
    asked = " ".join(f"--operation {operation}" for operation in operations)
    other = ", or set group_id to a group that it may use" if need.kind == "group" else ""
    return (
        f"have the broker's administrator allow it{other}: kafka-acls.sh --bootstrap-server {connection.bootstrap} --add "
        f"--allow-principal {shlex.quote(connection.principal)} {asked} --{need.kind} {shlex.quote(need.name)}"
    )


def _check_hermes(key: str, entry: HermesEntry) -> Iterator[Finding]:
    what = f"Hermes {key}"
    if entry.is_exposed:
        yield Finding(what, "warning", "the login goes over plain http; use https")
    try:
        with closing(HermesApi(key, entry)) as api:
            profile = api.profile()
    except BridgeError as error:
        yield Finding(what, "wrong", str(error))
        return
    if not profile.credential_name:
        fix = "the account has no SCiMMA credential, and can publish nothing: log out of Hermes and in again, in a browser"
        yield Finding(what, "wrong", fix)
        return
    login = "API key" if entry.HERMES_API_KEY.get_secret_value() else "SCiMMA credential"
    yield Finding(what, "ok", f"{entry.BASE_URL}, login by {login}, publishes as {profile.credential_name}")
    for topic in entry.USER_TOPICS:
        if topic in profile.writable_topics:
            yield Finding(f"topic {key}:{topic}", "ok", "writable (USER_TOPICS)")
        else:
            writable = ", ".join(profile.writable_topics) or "none"
            fix = f"the account may not write to it (USER_TOPICS); ask its owner for the right. Writable are: {writable}"
            yield Finding(f"topic {key}:{topic}", "wrong", fix)


def _check_tom(key: str, entry: TomEntry, consumer: ConsumerSettings | None) -> Iterator[Finding]:
    what = f"TOM {key}"
    if entry.is_exposed:
        yield Finding(what, "warning", "the password goes over plain http; use https")
    session = TomSession(key, entry)
    try:
        session.connect()
        yield Finding(what, "ok", f"{entry.BASE_URL}, TOM Toolkit {session.dialect}.x, login by {session.login_kind}")
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
