"""The emitter's tables: what changed, what somebody asked to share, and the outbox."""

from __future__ import annotations

import base64
from typing import Any, ClassVar
from uuid import UUID

from django.db import models

from bridge.codecs.record import Headers, Record

__all__ = ["ArrivalMark", "Change", "OutboxEvent", "SealedTarget", "ShareRequest"]

MODEL_LENGTH = 100
"""Longest label of a Django model, app and name."""
DESTINATION_LENGTH = 200
"""As TOM Toolkit's ``PersistentShare.destination``."""


class Change(models.Model):
    """A row of the TOM that was written and is not sealed into events yet. Triggers in the database write it."""

    model: models.CharField[str, str] = models.CharField(max_length=MODEL_LENGTH)
    """Label of the row's model, in lower case."""
    row_pk: models.BigIntegerField[int, int] = models.BigIntegerField()
    target_pk: models.BigIntegerField[int, int] = models.BigIntegerField()
    """The target that the row belongs to."""
    product_pk: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    """Of a reduced datum: the data product that it came from."""
    at: models.DateTimeField[Any, Any] = models.DateTimeField()
    """When, by the database's clock."""
    arrived_by: models.CharField[str, str] = models.CharField(max_length=36, default="")
    """Id of the share event that brought the row to this TOM, if one did."""
    hops: models.TextField[str, str] = models.TextField(default="")
    """The TOMs that this event had been through, its source last; separated by spaces."""
    problem: models.TextField[str, str] = models.TextField(default="")
    """Why it could not be sealed; it waits until somebody mends that and runs ``bridge_outbox --retry``."""

    objects: ClassVar[models.Manager[Change]] = models.Manager()

    class Meta:  # noqa: D106  Django's own word
        indexes: ClassVar = [models.Index(fields=["target_pk", "id"], name="bridge_change_target")]

    def __str__(self) -> str:
        return f"{self.model} {self.row_pk}"


class ArrivalMark(models.Model):
    """The share event that the current transaction writes for. It never outlives its transaction: nobody else sees it."""

    event_id: models.CharField[str, str] = models.CharField(max_length=36)
    hops: models.TextField[str, str] = models.TextField()

    objects: ClassVar[models.Manager[ArrivalMark]] = models.Manager()

    def __str__(self) -> str:
        return self.event_id


class ShareRequest(models.Model):
    """Something that somebody asked to share with a stream, and that is not sealed into events yet."""

    destination: models.CharField[str, str] = models.CharField(max_length=DESTINATION_LENGTH)
    """``<key>:<topic>``."""
    target_pk: models.BigIntegerField[int, int] = models.BigIntegerField(db_index=True)
    lists: models.JSONField = models.JSONField(default=list)
    """Names of lists that the target is to be in at the destinations, beside those that it is in."""
    tell_target: models.BooleanField[bool, bool] = models.BooleanField(default=False)
    """Whether the target itself goes even if the stream has been told already."""
    datums: models.JSONField = models.JSONField(default=dict)
    """Datums that go: label of the model -> primary keys."""
    product_pk: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    """The data product that goes; datums that it made go with it."""
    submitter: models.CharField[str, str] = models.CharField(max_length=255, default="")
    """Who shares."""
    title: models.TextField[str, str] = models.TextField(default="")
    message: models.TextField[str, str] = models.TextField(default="")
    authors: models.TextField[str, str] = models.TextField(default="")
    created: models.DateTimeField[Any, Any] = models.DateTimeField(auto_now_add=True)
    problem: models.TextField[str, str] = models.TextField(default="")
    """As `Change.problem`."""

    objects: ClassVar[models.Manager[ShareRequest]] = models.Manager()

    def __str__(self) -> str:
        return f"target {self.target_pk} to {self.destination}"


class SealedTarget(models.Model):
    """What a stream was told about a target last, so that it is told again only what is new."""

    target_pk: models.BigIntegerField[int, int] = models.BigIntegerField()
    destination: models.CharField[str, str] = models.CharField(max_length=DESTINATION_LENGTH)
    digest: models.CharField[str, str] = models.CharField(max_length=64)
    """SHA-256 of the target and its lists, as they went out."""
    consented_from: models.BigIntegerField[int, int] = models.BigIntegerField(default=-1)
    """Number of the change that made the continuous share; what changed before it does not go by it, however late."""

    objects: ClassVar[models.Manager[SealedTarget]] = models.Manager()

    class Meta:  # noqa: D106  Django's own word
        constraints: ClassVar = [models.UniqueConstraint(fields=["target_pk", "destination"], name="bridge_sealed_target_once")]

    def __str__(self) -> str:
        return f"target {self.target_pk} at {self.destination}"


class OutboxEvent(models.Model):
    """A sealed share event: the very bytes that go out, and what became of them. Its repr shows no payload."""

    event_id: models.UUIDField[UUID, UUID] = models.UUIDField(unique=True)
    destination: models.CharField[str, str] = models.CharField(max_length=DESTINATION_LENGTH)
    """``<key>:<topic>``."""
    type: models.CharField[str, str] = models.CharField(max_length=100)
    subject: models.TextField[str, str] = models.TextField()
    """Name of what the event is about, for people."""
    target_pk: models.BigIntegerField[int, int] = models.BigIntegerField()
    key: models.BinaryField[bytes, bytes] = models.BinaryField()
    headers: models.JSONField = models.JSONField()
    """Names and values in base64, in order."""
    payload: models.BinaryField[bytes, bytes] = models.BinaryField()
    created: models.DateTimeField[Any, Any] = models.DateTimeField()
    published_at: models.DateTimeField[Any, Any] = models.DateTimeField(null=True)
    """When the broker confirmed it; until then the row never expires."""
    attempts: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    """How often the broker has not taken it."""
    last_error: models.TextField[str, str] = models.TextField(default="")
    refused: models.BooleanField[bool, bool] = models.BooleanField(default=False)
    """Whether the topic refuses it for good (too large for it); it waits for ``bridge_outbox --retry``."""

    objects: ClassVar[models.Manager[OutboxEvent]] = models.Manager()

    class Meta:  # noqa: D106  Django's own word
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(
                fields=["destination", "id"],
                condition=models.Q(published_at=None, refused=False),
                name="bridge_outbox_waiting",
            ),
            models.Index(fields=["published_at"], name="bridge_outbox_published"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"

    @staticmethod
    def pack_headers(headers: Headers) -> list[list[str]]:
        """Return headers as JSON can hold them."""
        return [[name, base64.b64encode(value).decode()] for name, value in headers]

    @property
    def record(self) -> Record:
        """The record as it goes to the topic."""
        headers = tuple((name, base64.b64decode(value)) for name, value in self.headers)
        return Record(key=bytes(self.key), value=bytes(self.payload), headers=headers)
