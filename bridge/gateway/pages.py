"""The page that a TOM sends a person to after it has stored a draft: what would be published, and the button that does it.

The page's address carries the draft's key, which only the TOM and this person have; there is no login and no cookie, so a
request from elsewhere has nothing to misuse. What a draft says is somebody else's text: it is escaped, cut short, and nothing
in it is fetched or run.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Flask, Response, g, render_template, request
from pydantic import JsonValue

from bridge.codecs.hermes.vocabulary import TABLES
from bridge.gateway.api import Answer, Api, Outcome
from bridge.gateway.drafts import Draft, Drafts
from bridge.gateway.fields import Refused
from bridge.gateway.rules import checked, complaints, without_refused_rows

__all__ = ["add_pages"]

PATH = "/submit-message"
"""Where TOM Toolkit and tom_hermes send people, as on Hermes' own site."""
MOST_ROWS = 100
MOST_COLUMNS = 40
MOST_CHARACTERS = 200
"""Of a value that is shown."""
_WORDS = ("title", "topic", "submitter", "authors", "message_text")
_GOOD_ROWS = "good"
"""What the form says where refused rows are to be left out."""


def add_pages(app: Flask, *, api: Api, drafts: Drafts) -> None:
    """Add the page to an application."""

    def look() -> Response:
        draft = drafts.get(request.args.get("id", ""))
        return _gone() if draft is None else _page(draft)

    def publish() -> Response:
        draft = drafts.get(request.form.get("id", ""))
        if draft is None:
            return _gone()
        g.client = draft.client.name
        # The key in the form would do; the rest is for a browser that was made to send a form it has never shown.
        elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
        if elsewhere or not hmac.compare_digest(request.form.get("token", "").encode(), draft.token.encode()):
            return _render(403, "forged", heading="Not published", said="This form was not sent from the draft's own page.")
        answer = api.publish_draft(draft, _without_refused if request.form.get("rows") == _GOOD_ROWS else _as_it_is)
        if answer.status == 200:
            g.answer = answer
            return Response(status=303, headers={"Location": f"submit-message?id={draft.key}"})  # a reload sends nothing again
        return _page(draft, answer)

    app.add_url_rule(PATH, "draft", look, methods=["GET"])
    app.add_url_rule(PATH, "publish", publish, methods=["POST"])


def _gone() -> Response:
    said = "A draft is kept for 15 minutes. Go back to your TOM and submit it anew."
    return _render(404, "no_draft", heading="There is no such draft", said=said)


def _page(draft: Draft, answer: Answer | None = None) -> Response:
    """Show a draft as it stands; after a failed attempt to publish it, with why that failed."""
    g.client = draft.client.name
    document = draft.document
    if document is None:
        said = f"The broker has the message. Its id is {draft.uuid}."
        return _render(200, "shown", heading="Published", said=said, uuid=draft.uuid)
    said, left_out = "", 0
    problems: list[str] = []
    try:
        document = checked(document, submitter=draft.client.sender)
    except Refused as refused:
        problems = complaints(refused.errors)
        rest = without_refused_rows(document, refused.errors)
        if rest is not None and _is_good(rest[0], draft):
            document, left_out = checked(rest[0], submitter=draft.client.sender), rest[1]
    good = not problems or left_out > 0
    message = document if isinstance(document, dict) else {}
    if good and message["topic"] not in draft.client.topics:
        good, problems = False, [*problems, f"topic: this TOM may publish to {', '.join(draft.client.topics)} only"]
    if answer is not None and isinstance(answer.body, dict):
        said = str(answer.body.get("error") or answer.body.get("detail") or "It was refused; see below.")
    return _render(
        answer.status if answer else 200,
        answer.outcome if answer else "shown",
        heading="Not published" if answer else "Draft",
        said=said,
        uuid=draft.uuid,
        why=answer.why if answer else "",
        draft=draft,
        good=good,
        problems=problems,
        left_out=left_out,
        rows=_GOOD_ROWS if left_out else "all",
        **_shown(message),
    )


def _render(
    status: int, outcome: Outcome, *, heading: str, said: str, uuid: UUID | None = None, why: str = "", **more: Any
) -> Response:
    g.answer = Answer(status=status, body={}, outcome=outcome, uuid=uuid, why=why)
    nonce = secrets.token_urlsafe(16)
    page = render_template("draft.html", nonce=nonce, heading=heading, said=said, uuid=uuid, **more)
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def _is_good(document: JsonValue, draft: Draft) -> bool:
    try:
        checked(document, submitter=draft.client.sender)
    except Refused:
        return False
    return True


def _as_it_is(document: JsonValue) -> JsonValue:
    return document


def _without_refused(document: JsonValue) -> JsonValue:
    try:
        checked(document, submitter="-")
    except Refused as refused:
        rest = without_refused_rows(document, refused.errors)
        return document if rest is None else rest[0]
    return document


def _shown(message: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Return what the template shows of a message, whatever stands in it."""
    data = message.get("data")
    data = data if isinstance(data, dict) else {"data": data} if data is not None else {}
    tables = []
    for name in TABLES:
        rows = data.get(name)
        if isinstance(rows, list) and rows:
            shown = [row if isinstance(row, dict) else {"": row} for row in rows[:MOST_ROWS]]
            columns = list(dict.fromkeys(key for row in shown for key in row))[:MOST_COLUMNS]
            cells = [[_cell(row.get(column)) for column in columns] for row in shown]
            tables.append({"name": name, "columns": columns, "rows": cells, "count": len(rows), "more": len(rows) - len(shown)})
    known = {table["name"] for table in tables}
    others = {key: _cell(value) for key, value in list(data.items())[:MOST_COLUMNS] if key not in known}
    words = {word: _cell(message.get(word), most=2_000) for word in _WORDS}
    return {"words": words, "tables": tables, "others": {key: value for key, value in others.items() if value}}


def _cell(value: JsonValue, most: int = MOST_CHARACTERS) -> str:
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list) and len(value) > 6 and all(isinstance(item, int | float) for item in value):
        return f"{len(value):,} numbers"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(map(str, value))
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= most else f"{written[:most]}…"
