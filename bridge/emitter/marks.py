"""Echo: what a request writes for the bridge is noted as such, so that it is not emitted again.

A consumer marks its requests with the event's id and the TOMs that the event has been through. Such a request runs in one
transaction, at whose head the mark is written and at whose end it is removed; the triggers copy it to everything they note
in between. Nobody else ever sees the mark, so no local change can be taken for an imported one, nor the other way round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseServerError

from bridge.codecs.echo import EVENT_HEADER, HOPS_HEADER
from bridge.emitter.configuration import is_hub
from bridge.emitter.models import ArrivalMark

__all__ = ["MarkRequests", "add_middleware", "current_request", "is_marked"]

MOST_HOPS = 8_000
"""Longest text of hops that is kept; more than any server takes in a header."""

_request: ContextVar[HttpRequest | None] = ContextVar("bridge_emitter_request", default=None)
_marked: ContextVar[bool] = ContextVar("bridge_emitter_marked", default=False)
_log = logging.getLogger(__name__)


def is_marked() -> bool:
    """Whether this thread writes for the bridge, in one transaction under a mark."""
    return _marked.get()


def current_request() -> HttpRequest | None:
    """Return the request that this thread answers, or None outside of one."""
    return _request.get()


def add_middleware() -> None:
    """Put `MarkRequests` innermost, closest to the views, unless the administrator has put it somewhere."""
    path = f"{MarkRequests.__module__}.{MarkRequests.__qualname__}"
    if path not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, path]


class MarkRequests:
    """Django middleware: runs a consumer's request under its mark."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = _request.set(request)
        try:
            event_id = _event_id(request)
            if event_id is None or not _writes(request) or _has_its_own_mark(request):
                return self._get_response(request)
            marked = _marked.set(True)
            try:
                return self._run_marked(request, event_id)
            finally:
                _marked.reset(marked)
        finally:
            _request.reset(token)

    def _run_marked(self, request: HttpRequest, event_id: str) -> HttpResponseBase:
        hops = request.headers.get(HOPS_HEADER, "")
        if len(hops) > MOST_HOPS:
            hops = ""  # a hub does not pass on what has been everywhere
        if request.content_type == "multipart/form-data":
            _ = request.FILES  # read the upload first: on SQLite, others can't write while the transaction is open
        with transaction.atomic():
            mark = ArrivalMark.objects.create(event_id=event_id, hops=hops)
            response = self._get_response(request)
            if transaction.get_rollback() and response.status_code < 500:
                # The view got over an error of the database; its transaction did not, and nothing is written.
                return HttpResponseServerError()
            if response.status_code >= 500:
                transaction.set_rollback(True)  # no half-made targets
            else:
                mark.delete()
        return response


def _event_id(request: HttpRequest) -> str | None:
    text = request.headers.get(EVENT_HEADER, "")
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        _log.warning("%s %s: a mark that is no event's id is ignored", request.method, request.path)
        return None


def _writes(request: HttpRequest) -> bool:
    return request.method not in {"GET", "HEAD", "OPTIONS"}


def _has_its_own_mark(request: HttpRequest) -> bool:
    """Whether the rows themselves say that they came through the bridge, and nobody needs to know more.

    So with data products, by their ``product_id``. Processing one may take long, and should hold no transaction open;
    but a hub needs to know where they have been.
    """
    return "/dataproducts/" in request.path and not is_hub()
