"""The gateway as a WSGI application: routes, keys, sizes, and one log line for each request."""

import json
import time
from collections.abc import Callable
from typing import Any, cast

import structlog
from flask import Flask, Response, g, request
from pydantic import JsonValue
from werkzeug.exceptions import HTTPException

from bridge.gateway.api import RETRY_SECONDS, Answer, Api, parse
from bridge.gateway.clients import Client, Clients
from bridge.gateway.drafts import Drafts
from bridge.gateway.pages import add_pages
from bridge.gateway.posting import Posting

__all__ = ["MAX_BODY_BYTES", "make_app"]

MAX_BODY_BYTES = 10 * 1024 * 1024
"""As Hermes' web server has it."""
MOST_FORM_PARTS = 100
ROOT = "/api/v0"
SUBMIT = f"{ROOT}/submit_message"


def make_app(*, clients: Clients, posting: Posting, drafts: Drafts) -> Flask:
    """Return the application.

    Parameters
    ----------
    clients
        Who may come in.
    posting
        Publishes.
    drafts
        Where drafts are kept.
    """
    api = Api(publish=posting.publish, drafts=drafts)
    app = Flask("bridge.gateway", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES, MAX_FORM_PARTS=MOST_FORM_PARTS)
    app.url_map.strict_slashes = False

    def told(answer: Callable[[Client], Answer]) -> Callable[[], Response]:
        """Return a view for clients that have shown their key."""

        def view() -> Response:
            authorization = request.headers.get("Authorization", "")
            client = clients.of(authorization)
            if client is None:
                said = "Invalid token." if authorization else "Authentication credentials were not provided."
                return respond(Answer(status=401, body={"detail": said}, outcome="unknown_key"))
            g.client = client.name
            return respond(answer(client))

        return view

    def with_document(answer: Callable[[Client, JsonValue], Answer]) -> Callable[[Client], Answer]:
        def view(client: Client) -> Answer:
            try:
                document = _document()
            except ValueError as error:
                return Answer(status=400, body={"detail": str(error)}, outcome="malformed")
            return document if isinstance(document, Answer) else answer(client, document)

        return view

    def route(path: str, name: str, view: Callable[[], Response], *methods: str) -> None:
        app.add_url_rule(path, name, view, methods=list(methods))

    route(f"{ROOT}/profile/", "profile", told(api.profile), "GET")
    route(f"{ROOT}/topics/", "topics", told(api.topics), "GET")
    route(f"{SUBMIT}/", "submit", told(with_document(api.submit)), "POST")
    route(f"{SUBMIT}/validate/", "validate", told(with_document(api.validate)), "POST")
    route(
        f"{SUBMIT}/preload/",
        "preload",
        told(with_document(lambda client, document: api.preload(client, document, size=request.content_length or 0))),
        "POST",
    )
    route("/healthz", "health", lambda: _health(posting), "GET")
    add_pages(app, api=api, drafts=drafts)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Exception, _failure)
    return app


def respond(answer: Answer) -> Response:
    """Return an answer as a response, and note it for the log."""
    g.answer = answer
    response = Response(json.dumps(answer.body), answer.status, content_type="application/json")
    if answer.status == 401:
        response.headers["WWW-Authenticate"] = "Token"
    if answer.status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _document() -> JsonValue | Answer:
    """Return what a request submits: its body, or of a form the field ``data``.

    Raises
    ------
    ValueError
        If that is no JSON.
    """
    if request.mimetype == "application/json":
        return parse(request.get_data(cache=False))
    if request.mimetype != "multipart/form-data":
        said = f'Unsupported media type "{request.mimetype[:100]}" in request.'
        return Answer(status=415, body={"detail": said}, outcome="malformed")
    if any(file.filename for _name, file in request.files.items(multi=True)):
        said = "This gateway takes no files: put them where readers can fetch them, and give each its url in file_info."
        return Answer(status=400, body={"error": said}, outcome="invalid")
    if "data" not in request.form:
        return Answer(status=400, body={"detail": "The form has no field data."}, outcome="malformed")
    return parse(request.form["data"])


def _health(posting: Posting) -> Response:
    """Say whether the broker is there, to whoever asks; why not stands in the log."""
    away = posting.trouble is not None
    return respond(Answer(status=503 if away else 200, body={"ok": not away}, outcome="broker_away" if away else "told"))


def _begin() -> None:
    g.began = time.monotonic()


def _end(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    if request.endpoint != "health":
        answer: Answer | None = g.get("answer")
        line: dict[str, Any] = {
            "client": g.get("client", ""),
            "asked": request.endpoint or "",
            "status": response.status_code,
            "outcome": answer.outcome if answer else "failed",
            "topic": answer.topic if answer else "",
            "uuid": str(answer.uuid or "") if answer else "",
            "why": answer.why if answer else "",
            "bytes": request.content_length or 0,
            "ms": round((time.monotonic() - g.began) * 1000),
        }
        log = structlog.get_logger()
        (log.info if response.status_code < 500 else log.warning)(
            "request", **{key: item for key, item in line.items() if item != ""}
        )
    return response


def _failure(error: Exception) -> Response:
    """Answer what no view has answered: too large, no such page, or a fault of ours."""
    if isinstance(error, HTTPException) and error.code:
        outcomes: Any = {404: "no_such_page", 405: "no_such_page", 413: "too_large"}
        said = {404: "Not found.", 405: f'Method "{request.method}" not allowed.', 413: "The request is larger than 10 MB."}
        detail = said.get(error.code, error.name)
        response = respond(Answer(status=error.code, body={"detail": detail}, outcome=outcomes.get(error.code, "malformed")))
        allowed = cast("list[str] | None", getattr(error, "valid_methods", None))
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response
    structlog.get_logger().exception("gateway failed", asked=request.endpoint)
    return respond(Answer(status=500, body={"error": "The gateway failed; its log has the reason."}, outcome="failed"))
