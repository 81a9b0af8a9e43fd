"""The page as a WSGI application: two pages, what they are made of, and two answers in JSON; everything is GET.

Whoever may publish to a topic writes what is shown, so nothing of it ever is markup: pages are the same for everybody, their
scripts fetch JSON and show it as text, and the browser is told to run and fetch nothing else.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from bridge.observe.page.lines import LONGEST_NAME
from bridge.observe.page.state import State
from bridge.observe.page.streams import Streams

__all__ = ["make_app"]

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ELSEWHERE = {"cross-site", "same-site"}
"""Of ``Sec-Fetch-Site``: who asks is a page of somebody else."""


def make_app(*, state: State, streams: Streams, hosts: Iterable[str] = (), any_host: bool = False) -> Flask:
    """Return the application.

    Parameters
    ----------
    state
        What is shown.
    streams
        Those who watch.
    hosts
        Names by which the page is reached, beside those of this machine's loopback.
    any_host
        Whether any name will do, as for a page that is open to the network anyway.
    """
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    allowed = frozenset(name.lower() for name in hosts)

    def guard() -> Response | None:
        # Else a page of somebody else could have its name point to this machine, and read what stands here.
        if not (any_host or _is_loopback(host := _host_name(request.host)) or host in allowed):
            said = f"This page does not go by the name {host[:100]!r}; start it with --allow-host if it should.\n"
            return Response(said, 421, content_type="text/plain; charset=utf-8")
        if request.headers.get("Sec-Fetch-Site") in _ELSEWHERE and request.endpoint not in {"overview", "target"}:
            return Response("Not for pages of others.\n", 403, content_type="text/plain; charset=utf-8")
        return None

    def told() -> Response:
        news = state.journal.newest()
        events = f"[{','.join(news.lines)}]"
        return _json(f'{{"mark": "{streams.mark(news.number)}", "events": {events}, "overview": {state.overview()}}}')

    def told_of_target() -> Response:
        name = request.args.get("name", "")
        if not name.strip() or len(name) > LONGEST_NAME:
            return _json(json.dumps({"error": f"a name has 1 to {LONGEST_NAME} characters"}), 400)
        return _json(state.dossiers.of(name).document())

    def events() -> Response:
        name = request.args.get("target", "")[:LONGEST_NAME]
        is_gone: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
        began = request.headers.get("Last-Event-ID") or request.args.get("after", "")
        stream = streams.open(after=began, target=name, is_gone=is_gone)
        if stream is None:
            response = Response("Too many watch; this page is refreshed now and then instead.\n", 503, mimetype="text/plain")
            response.headers["Retry-After"] = "30"
            return response
        if request.method == "HEAD":
            stream.close()
        return Response(stream, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def health() -> Response:
        return _json(json.dumps({"ok": state.is_well}), 200 if state.is_well else 503)

    def route(path: str, name: str, view: Callable[[], Any]) -> None:
        app.add_url_rule(path, name, view, methods=["GET"])

    route("/", "overview", lambda: render_template("overview.html"))
    route("/target", "target", lambda: render_template("target.html"))
    route("/api/overview", "told", told)
    route("/api/target", "told_of_target", told_of_target)
    route("/events", "events", events)
    route("/healthz", "health", health)
    app.before_request(guard)
    app.after_request(_end)
    app.register_error_handler(Exception, _failure)
    return app


def _json(text: str | bytes, status: int = 200) -> Response:
    return Response(text, status, content_type="application/json")


def _host_name(host: str) -> str:
    """Return a Host header's name, without the port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.strip("[]").lower()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _end(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def _failure(error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.code:
        response = Response(f"{error.code} {error.name}\n", error.code, content_type="text/plain; charset=utf-8")
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response
    structlog.get_logger().exception("page failed", asked=request.endpoint)
    return Response("The page failed; its log has the reason.\n", 500, content_type="text/plain; charset=utf-8")
