"""The outbox in Django's admin: to look at, not to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from bridge.emitter.models import Change, OutboxEvent, ShareRequest

__all__ = ["ChangeAdmin", "OutboxEventAdmin", "ShareRequestAdmin"]


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in its stubs only
    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


@admin.register(OutboxEvent)
class OutboxEventAdmin(_ReadOnly):
    """Sealed events: what waits, what went out when, and what failed."""

    list_display = (
        "id", "type", "subject", "destination", "created", "published_at", "attempts", "refused", "last_error",
    )  # fmt: skip
    list_filter = ("destination", "type", "refused", ("published_at", admin.EmptyFieldListFilter))
    search_fields = ("subject", "event_id")
    date_hierarchy = "created"
    fields = (
        "event_id", "type", "subject", "destination", "created", "published_at", "attempts", "refused", "last_error",
        "document",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        rows, page = super().get_queryset(request), request.resolver_match
        is_list = page is not None and str(page.url_name).endswith("_changelist")
        return rows.defer("payload", "headers") if is_list else rows

    @admin.display(description="event")
    def document(self, row: OutboxEvent) -> str:
        """Return the beginning of the event's JSON."""
        text = bytes(row.payload).decode()
        return text if len(text) <= 20_000 else f"{text[:20_000]}… ({len(text):,} characters)"


@admin.register(Change)
class ChangeAdmin(_ReadOnly):
    """Changes that are not sealed yet."""

    list_display = ("id", "model", "row_pk", "target_pk", "at", "arrived_by", "problem")
    list_filter = ("model", ("problem", admin.EmptyFieldListFilter))
    search_fields = ("=target_pk",)


@admin.register(ShareRequest)
class ShareRequestAdmin(_ReadOnly):
    """What somebody asked to share and is not sealed yet."""

    list_display = ("id", "destination", "target_pk", "submitter", "created", "problem")
