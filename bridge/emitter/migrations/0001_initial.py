"""The emitter's tables; the triggers follow after every migrate, and go before the tables do."""

from typing import Any, ClassVar

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from bridge.emitter import capture

__all__ = ["Migration"]


def _remove(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    # A trigger without the table that it writes to would fail every write of the TOM.
    capture.remove(schema_editor.connection)


class Migration(migrations.Migration):
    """The emitter's tables."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="ArrivalMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.CharField(max_length=36)),
                ("hops", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="ShareRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("destination", models.CharField(max_length=200)),
                ("target_pk", models.BigIntegerField(db_index=True)),
                ("lists", models.JSONField(default=list)),
                ("tell_target", models.BooleanField(default=False)),
                ("datums", models.JSONField(default=dict)),
                ("product_pk", models.BigIntegerField(null=True)),
                ("submitter", models.CharField(default="", max_length=255)),
                ("title", models.TextField(default="")),
                ("message", models.TextField(default="")),
                ("authors", models.TextField(default="")),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("problem", models.TextField(default="")),
            ],
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("model", models.CharField(max_length=100)),
                ("row_pk", models.BigIntegerField()),
                ("target_pk", models.BigIntegerField()),
                ("product_pk", models.BigIntegerField(null=True)),
                ("at", models.DateTimeField()),
                ("arrived_by", models.CharField(default="", max_length=36)),
                ("hops", models.TextField(default="")),
                ("problem", models.TextField(default="")),
            ],
            options={
                "indexes": [models.Index(fields=["target_pk", "id"], name="bridge_change_target")],
            },
        ),
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.UUIDField(unique=True)),
                ("destination", models.CharField(max_length=200)),
                ("type", models.CharField(max_length=100)),
                ("subject", models.TextField()),
                ("target_pk", models.BigIntegerField()),
                ("key", models.BinaryField()),
                ("headers", models.JSONField()),
                ("payload", models.BinaryField()),
                ("created", models.DateTimeField()),
                ("published_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("last_error", models.TextField(default="")),
                ("refused", models.BooleanField(default=False)),
            ],
            options={
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("published_at", None), ("refused", False)),
                        fields=["destination", "id"],
                        name="bridge_outbox_waiting",
                    ),
                    models.Index(fields=["published_at"], name="bridge_outbox_published"),
                ],
            },
        ),
        migrations.CreateModel(
            name="SealedTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("target_pk", models.BigIntegerField()),
                ("destination", models.CharField(max_length=200)),
                ("digest", models.CharField(max_length=64)),
                ("consented_from", models.BigIntegerField(default=-1)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("target_pk", "destination"), name="bridge_sealed_target_once")],
            },
        ),
        migrations.RunPython(migrations.RunPython.noop, _remove),
    ]
