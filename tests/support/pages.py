"""What a browser makes of a page of TOM Toolkit: its forms, and the messages it shows."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple

__all__ = ["Choice", "Feedback", "Form", "Page"]

SCRIPTS = re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE)
"""A target's page has 13 MB of them, and none makes a form."""
LEVELS = {"danger": "error"}
"""Bootstrap's names for Django's levels of messages, where they differ."""
MESSAGE = {"alert-dismissible", "fade"}
"""Classes of a message about what was done before."""
COMPLAINTS = {"alert-danger", "errorlist", "invalid-feedback"}
"""Classes of what a page says about a form it refused."""
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Choice(NamedTuple):
    """One of the choices that a control of a form offers."""

    value: str
    label: str


class Feedback(NamedTuple):
    """A message that a page shows about what was done before."""

    level: str
    """success, info, warning or error."""
    text: str


@dataclass
class Form:
    """A form as the page has it, and then as somebody fills it in.

    A value that the form has no control for is refused: a page that changed makes its test fail, and not pass by luck.
    """

    id: str
    action: str
    """Where the form, or the only button that says otherwise, sends it; empty: to the page's own address."""
    values: list[tuple[str, str]] = field(default_factory=list)
    """What would be sent, without any button."""
    controls: dict[str, list[Choice]] = field(default_factory=dict)
    """Name -> choices, which only lists, radio buttons and check boxes have."""
    buttons: list[str] = field(default_factory=list)
    """Names of the submit buttons."""

    def fill(self, values: Mapping[str, object]) -> None:
        """Put these values in place of those that the page came with; a sequence checks several boxes."""
        for name, value in values.items():
            if name not in self.controls and value not in ([], ()):
                raise KeyError(f"the form has no {name!r}, but {sorted(self.controls)}")
            texts = [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
            self.values = [pair for pair in self.values if pair[0] != name]
            self.values += [(name, text) for text in texts]

    def press(self, button: str) -> None:
        """Choose the button that sends the form."""
        if button not in self.buttons:
            raise KeyError(f"the form has no button {button!r}, but {self.buttons}")
        self.values.append((button, button))

    def value_of(self, name: str, label: str) -> str:
        """Return the value of the choice that has this label."""
        found = [choice.value for choice in self.controls[name] if choice.label == label]
        if len(found) != 1:
            raise KeyError(f"{name!r} offers {label!r} {len(found)} times, among {self.controls[name]}")
        return found[0]


class Page:
    """A page's forms and messages."""

    def __init__(self, html: str) -> None:
        reader = _Reader()
        reader.feed(SCRIPTS.sub("", html))
        reader.close()
        self.forms = reader.finish()
        self.feedback = [Feedback(level, _one_line(texts)) for level, texts in reader.alerts if level]
        self.complaints = [text for level, texts in reader.alerts if not level and (text := _one_line(texts))]

    def form(self, chosen: Callable[[Form], bool] = lambda _: True, *, having: Iterable[str] = ()) -> Form:
        """Return the only form that is chosen and has controls of these names."""
        wanted = set(having)
        found = [form for form in self.forms if chosen(form) and wanted <= form.controls.keys()]
        if len(found) != 1:
            raise LookupError(f"{len(found)} such forms, among {[(form.id, form.action) for form in self.forms]}")
        return found[0]


def _one_line(texts: Sequence[str]) -> str:
    return " ".join("".join(texts).split())


class _Reader(HTMLParser):
    """Reads forms as the HTML standard says, which matters: TOM Toolkit's share page has a form inside a form.

    Of those the inner tag counts for nothing, its controls belong to the outer form, and its end ends that one. A control
    with a ``form`` attribute belongs to the form of that id, wherever it stands, and to none if the page has no such form.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.alerts: list[tuple[str, list[str]]] = []
        self._forms: list[Form] = []
        self._open: Form | None = None
        self._loose: list[tuple[str, Form]] = []  # controls of a form by its id, which may come later
        self._select: tuple[Form, str, bool] | None = None
        self._options: list[tuple[str | None, bool, list[str]]] = []
        self._textarea: tuple[Form, str, list[str]] | None = None
        self._label: list[str] | None = None
        self._labels: dict[str, list[str]] = {}
        self._boxes: list[tuple[Form, str, str, str]] = []
        self._alert_depth = 0
        self._in_button = False

    def finish(self) -> list[Form]:
        """Return the forms, once everything is read."""
        for form, name, value, box_id in self._boxes:
            form.controls.setdefault(name, []).append(Choice(value, _one_line(self._labels.get(box_id, []))))
        by_id = {form.id: form for form in self._forms if form.id}
        for form_id, loose in self._loose:
            if owner := by_id.get(form_id):
                owner.values += loose.values
                owner.buttons += loose.buttons
                owner.action = loose.action or owner.action
                for name, choices in loose.controls.items():
                    owner.controls.setdefault(name, []).extend(choices)
        return self._forms

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self._follow_alert(tag, found)
        self._in_button = self._in_button or tag == "button"
        if tag == "form":
            if self._open is None:
                self._open = Form(id=found.get("id", ""), action=found.get("action", ""))
                self._forms.append(self._open)
        elif tag == "label":
            self._label = self._labels.setdefault(found.get("for", ""), [])
        elif tag == "option":
            self._options.append((found.get("value"), "selected" in found, []))
        elif tag in {"input", "button", "select", "textarea"} and (owner := self._owner(found)) is not None:
            self._control(tag, found, owner)

    def handle_endtag(self, tag: str) -> None:
        if self._alert_depth and tag not in VOID:
            self._alert_depth -= 1
        if tag == "form":
            self._open = None
        elif tag == "label":
            self._label = None
        elif tag == "button":
            self._in_button = False
        elif tag == "select" and self._select is not None:
            self._end_select(*self._select)
        elif tag == "textarea" and self._textarea is not None:
            form, name, texts = self._textarea
            form.values.append((name, "".join(texts).removeprefix("\r\n").removeprefix("\n")))
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self._textarea[2].append(data)
        if self._options and self._select is not None:
            self._options[-1][2].append(data)
        if self._label is not None:
            self._label.append(data)
        if self._alert_depth and not self._in_button:  # the button is the cross that closes the message
            self.alerts[-1][1].append(data)

    def _owner(self, found: dict[str, str]) -> Form | None:
        if "form" not in found:
            return self._open
        loose = Form(id="", action="")
        self._loose.append((found["form"], loose))
        return loose

    def _control(self, tag: str, found: dict[str, str], owner: Form) -> None:
        name, kind = found.get("name", ""), found.get("type", "submit" if tag == "button" else "text").lower()
        if tag == "button" or kind in {"submit", "button", "image", "reset"}:
            if kind == "submit":
                owner.buttons.append(name)
                owner.action = found.get("formaction", owner.action)
        elif not name:
            return
        elif tag == "select":
            self._select, self._options = (owner, name, "multiple" in found), []
        elif tag == "textarea":
            owner.controls.setdefault(name, [])
            self._textarea = (owner, name, [])
        elif kind in {"checkbox", "radio"}:
            value = found.get("value", "on")
            owner.controls.setdefault(name, [])
            self._boxes.append((owner, name, value, found.get("id", "")))
            if "checked" in found:
                owner.values.append((name, value))
        else:
            owner.controls.setdefault(name, [])
            if kind != "file":
                owner.values.append((name, found.get("value", "")))

    def _end_select(self, form: Form, name: str, multiple: bool) -> None:
        choices = [(Choice(_one_line(texts) if value is None else value, _one_line(texts)), chosen)
                   for value, chosen, texts in self._options]  # fmt: skip
        form.controls[name] = [choice for choice, _ in choices]
        selected = [choice.value for choice, chosen in choices if chosen]
        if not multiple:  # the last that says so, or else the first of all
            selected = selected[-1:] or [choice.value for choice, _ in choices[:1]]
        form.values += [(name, value) for value in selected]
        self._select, self._options = None, []

    def _follow_alert(self, tag: str, found: dict[str, str]) -> None:
        classes = set(found.get("class", "").split())
        if self._alert_depth:
            self._alert_depth += tag not in VOID
            self.handle_data(" " * (tag == "br"))
        elif classes >= MESSAGE:
            level = next(name.removeprefix("alert-") for name in found["class"].split() if name.startswith("alert-"))
            self.alerts.append((LEVELS.get(level, level), []))
            self._alert_depth = 1
        elif classes & COMPLAINTS:
            self.alerts.append(("", []))
            self._alert_depth = 1
