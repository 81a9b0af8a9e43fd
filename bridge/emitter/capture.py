"""Capture: triggers in the TOM's database note every row that may have to go out, in the row's own transaction.

So nothing that commits is missed, whichever way it was written (a form, the API, ``bulk_create``, raw SQL) and whatever is
killed when; and nothing that is rolled back is noted. Why not signals: docs/decisions.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper

from bridge.emitter.models import ArrivalMark, Change
from bridge.emitter.tables import datum_models

__all__ = ["SUPPORTED_VENDORS", "Watched", "install", "install_after_migrate", "missing", "remove", "watched"]

SUPPORTED_VENDORS = ("sqlite", "postgresql")
PREFIX = "bridge_"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A table whose rows are noted.

    Parameters
    ----------
    model
        Label of its model, in lower case.
    table
        Its name in the database.
    key, target, product
        Columns with the row's primary key, its target's, and its data product's if it can have one.
    updates
        Whether changed rows are noted too, and not only new ones.
    only_if_changed
        Then, only those where one of these columns has changed.
    """

    model: str
    table: str
    key: str
    target: str
    product: str = ""
    updates: bool = False
    only_if_changed: tuple[str, ...] = ()

    def trigger(self, operation: str) -> str:
        """Return the name of the trigger for ``insert`` or ``update``; PostgreSQL's names have at most 63 bytes."""
        name = f"{PREFIX}{self.table}_{operation}"
        return name if len(name) <= 63 else f"{PREFIX}{hashlib.sha256(name.encode()).hexdigest()[:24]}_{operation}"

    @property
    def operations(self) -> tuple[str, ...]:
        """What is noted."""
        return ("insert", "update") if self.updates else ("insert",)


def watched() -> list[Watched]:
    """Return what is noted in this TOM, from its models."""
    base = apps.get_model("tom_targets", "BaseTarget")
    lists: Any = apps.get_model("tom_targets", "TargetList")
    found = [_watch(base, target="pk", updates=True)]
    custom: Any = _custom_target()
    if custom is not None:
        found.append(_watch(custom, target="pk", updates=True))
    found += [
        _watch(apps.get_model("tom_targets", "TargetName"), target="target", updates=True),
        _watch(apps.get_model("tom_targets", "TargetExtra"), target="target", updates=True),
        _watch(lists.targets.through, target=_field_to(lists.targets.through, base)),
        _watch(
            apps.get_model("tom_targets", "PersistentShare"),
            target="target",
            updates=True,
            only_if_changed=("target", "destination"),
        ),
        _watch(
            apps.get_model("tom_dataproducts", "DataProduct"), target="target", updates=True, only_if_changed=("target", "data")
        ),
    ]
    # Merging targets moves the data of one to the other, and removes the one.
    moved = ("target",)
    found += [
        _watch(model, target="target", product="data_product", updates=True, only_if_changed=moved) for model in datum_models()
    ]
    return found


def install(connection: BaseDatabaseWrapper) -> None:
    """Set all triggers, anew where they are there already.

    Raises
    ------
    NotImplementedError
        If the database is neither SQLite nor PostgreSQL.
    """
    if connection.vendor not in SUPPORTED_VENDORS:
        raise NotImplementedError(f"bridge.emitter works on {' and '.join(SUPPORTED_VENDORS)}, not on {connection.vendor}")
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for watch in watched():
            if watch.table in tables:
                for statement in _statements(watch, connection):
                    cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Remove every trigger of ours, whatever table it is on."""
    with connection.cursor() as cursor:
        for table, name in _present(connection):
            quoted = connection.ops.quote_name(name)
            if connection.vendor == "sqlite":
                cursor.execute(f"DROP TRIGGER {quoted}")
            else:
                cursor.execute(f"DROP TRIGGER {quoted} ON {connection.ops.quote_name(table)}")
                cursor.execute(f"DROP FUNCTION {quoted}()")


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the tables of which something goes unnoticed, because a trigger is not there."""
    present = {name for _table, name in _present(connection)}
    return [
        watch.table for watch in watched() if any(watch.trigger(operation) not in present for operation in watch.operations)
    ]


def install_after_migrate(sender: AppConfig, *, using: str, **_rest: object) -> None:
    """Set the triggers after ``migrate``: on SQLite, a migration that alters a table drops those that were on it."""
    from django.db import connections  # noqa: PLC0415  not before Django is set up

    connection = connections[using]
    with connection.cursor() as cursor:
        ready = Change._meta.db_table in connection.introspection.table_names(cursor)  # noqa: SLF001
    if ready and connection.vendor in SUPPORTED_VENDORS and router.allow_migrate_model(using, Change):
        install(connection)
        _log.debug("%s: triggers are set", sender.label)


def _custom_target() -> Any:
    """Return the model of a TOM that has its own kind of target, or None."""
    from tom_targets.models import Target  # noqa: PLC0415  not before Django is set up

    return None if Target._meta.label_lower == "tom_targets.basetarget" else Target  # noqa: SLF001


def _watch(
    model: Any, *, target: str, product: str = "", updates: bool = False, only_if_changed: Sequence[str] = ()
) -> Watched:
    options = model._meta  # noqa: SLF001  Django's documented model API
    column = {field.name: field.column for field in options.local_concrete_fields}
    key = options.pk.column
    return Watched(
        model=options.label_lower,
        table=options.db_table,
        key=key,
        target=key if target == "pk" else column[target],
        product=column[product] if product else "",
        updates=updates,
        only_if_changed=tuple(column[name] for name in only_if_changed),
    )


def _field_to(through: Any, model: Any) -> str:
    """Return the name of a link table's foreign key to a model."""
    return str(next(field.name for field in through._meta.fields if field.related_model is model))  # noqa: SLF001


def _present(connection: BaseDatabaseWrapper) -> Sequence[tuple[str, str]]:
    """Return table and name of each of our triggers."""
    query = (
        "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
        if connection.vendor == "sqlite"
        else "SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE NOT tgisinternal AND nspname = ANY (current_schemas(false))"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [(table, name) for table, name in cursor.fetchall() if name.startswith(PREFIX)]


def _statements(watch: Watched, connection: BaseDatabaseWrapper) -> Iterator[str]:
    quote = connection.ops.quote_name
    for operation in watch.operations:
        if connection.vendor == "sqlite":
            yield from _sqlite(watch, operation, quote)
        else:
            yield from _postgresql(watch, operation, quote, _schemas(connection))


def _schemas(connection: BaseDatabaseWrapper) -> Sequence[str]:
    """Return where PostgreSQL looks for the TOM's tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schemas(false)")
        return [str(name) for name in cursor.fetchone()[0]]


def _sqlite(watch: Watched, operation: str, quote: Any) -> Iterator[str]:
    name = quote(watch.trigger(operation))
    changed = " OR ".join(f"NEW.{quote(column)} IS NOT OLD.{quote(column)}" for column in watch.only_if_changed)
    condition = f" WHEN {changed}" if changed and operation == "update" else ""
    note = _note(watch, "NEW", quote, now="strftime('%Y-%m-%d %H:%M:%f', 'now')")
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield (f"CREATE TRIGGER {name} AFTER {operation.upper()} ON {quote(watch.table)} FOR EACH ROW{condition} BEGIN {note}; END")


def _postgresql(watch: Watched, operation: str, quote: Any, schemas: Sequence[str]) -> Iterator[str]:
    name, table = quote(watch.trigger(operation)), quote(watch.table)
    source, tables = " FROM added", "NEW TABLE AS added"
    if operation == "update":
        tables = f"OLD TABLE AS removed {tables}"
        if watch.only_if_changed:
            columns = [quote(column) for column in watch.only_if_changed]
            changed = " OR ".join(f"added.{column} IS DISTINCT FROM removed.{column}" for column in columns)
            source += f" JOIN removed USING ({quote(watch.key)}) WHERE {changed}"
    # The definer's rights: another account that may write to the TOM's tables need not know ours. Temporary tables come last,
    # or one of our tables' name would take its place.
    note = _note(watch, "added", quote, now="clock_timestamp()") + source
    path = ", ".join([*map(quote, schemas), "pg_temp"])
    yield (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path TO {path} AS $bridge$ BEGIN {note}; RETURN NULL; END $bridge$"
    )
    yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
    yield (
        f"CREATE TRIGGER {name} AFTER {operation.upper()} ON {table} REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def _note(watch: Watched, row: str, quote: Any, *, now: str) -> str:
    """Return the statement that notes a row; names are quoted identifiers of Django's models, and nothing is a value."""
    mark = quote(ArrivalMark._meta.db_table)  # noqa: SLF001
    values = {
        "model": f"'{watch.model}'",
        "row_pk": f"{row}.{quote(watch.key)}",
        "target_pk": f"{row}.{quote(watch.target)}",
        "product_pk": f"{row}.{quote(watch.product)}" if watch.product else "NULL",
        "at": now,
        "arrived_by": f"COALESCE((SELECT event_id FROM {mark} LIMIT 1), '')",  # noqa: S608
        "hops": f"COALESCE((SELECT hops FROM {mark} LIMIT 1), '')",  # noqa: S608
        "problem": "''",
    }
    table = quote(Change._meta.db_table)  # noqa: SLF001
    return f"INSERT INTO {table} ({', '.join(map(quote, values))}) SELECT {', '.join(values.values())}"
