"""What people and programs do at a source TOM, done for real: its pages, its API, and code inside its Django.

Pages are used as a browser would: their forms are read from the page, filled in and sent, with whatever hidden fields the
page brought. Where TOM Toolkit's page lets nobody do it, the method's docstring says what is done instead.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests

from bridge.demo.toms import Tom
from tests.support.pages import Choice, Feedback, Form, Page

__all__ = ["Ingest", "Refused", "TomFailed"]

SCRIPT = Path(__file__).with_name("scripts") / "ingest_script.py"
SECONDS = 60.0
"""For one answer; a target's page alone takes two, and the first after a start more."""
LOGIN = "/accounts/login/"
LIGHT_PAGE = "targets/targetgrouping/create/"
"""A page that is quickly made: messages are shown on whatever page comes next, and a target's has 13 MB."""


class Refused(Exception):
    """The TOM said no: a form's complaints, a lack of permission, an API's field errors."""


class TomFailed(Exception):
    """The TOM answered 500; the text is its exception."""


class Ingest:
    """One user's work at a TOM, which runs.

    Parameters
    ----------
    tom
        Of either version.
    username
        Who works there; the administrator if nobody is named.
    password
        Theirs, if the TOM was made without them.
    """

    def __init__(self, tom: Tom, *, username: str | None = None, password: str | None = None) -> None:
        self.tom = tom
        self.username = username or tom.admin
        self._http = requests.Session()
        page = self.page(LOGIN)
        form = page.form(having=["password"])
        name = next(name for name in ("username", "login") if name in form.controls)  # 2.x, 3.x
        form.fill({name: self.username, "password": password or tom.users[self.username]})
        answer = self._send(form, at=LOGIN)
        if not answer.is_redirect:
            raise Refused(f"{self.username} cannot log in: {_complaints(answer)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def headers(self) -> MutableMapping[str, str | bytes]:
        """Headers of all further requests."""
        return self._http.headers

    def close(self) -> None:
        """Close the connections; the login stays as it is."""
        self._http.close()

    # Targets and lists

    def create_target_by_form(
        self,
        name: str,
        ra: float,
        dec: float,
        *,
        aliases: Sequence[str] = (),
        extras: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        **fields: object,
    ) -> int:
        """Create a sidereal target with the form, which has room for three aliases and three extras; return its key."""
        form = self.page("targets/create/").form(having=["name", "ra"])
        _fill_target(form, aliases=aliases, extras=extras or {}, fields={"name": name, "ra": ra, "dec": dec, **fields})
        form.fill({"groups": [form.value_of("groups", group) for group in groups]} if groups else {})
        return _key_in(self._done(self._send(form, at="targets/create/")))

    def update_target_by_form(
        self, pk: int, *, aliases: Sequence[str] = (), extras: Mapping[str, str] | None = None, **fields: object
    ) -> None:
        """Change fields of a target, and add aliases and extras."""
        path = f"targets/{pk}/update/"
        form = self.page(path).form(having=["name", "permissions"])
        _fill_target(form, aliases=aliases, extras=extras or {}, fields=fields)
        self._done(self._send(form, at=path))

    def import_targets_by_form(self, content: str) -> list[Feedback]:
        """Create targets from a CSV file."""
        form = self.page("targets/import/").form(having=["target_csv"])
        return self._feedback(self._send(form, at="targets/import/", files={"target_csv": ("targets.csv", content)}))

    def create_target_by_api(
        self,
        name: str,
        ra: float,
        dec: float,
        *,
        aliases: Sequence[str] = (),
        extras: Mapping[str, str] | None = None,
        lists: Sequence[str] = (),
        **fields: object,
    ) -> int:
        """Create a sidereal target; return its key."""
        body = {"name": name, "type": "SIDEREAL", "ra": ra, "dec": dec, **_parts(aliases, extras, lists), **fields}
        return int(self._api("POST", "api/targets/", json=body)["id"])

    def patch_target_by_api(
        self,
        pk: int,
        *,
        aliases: Sequence[str] = (),
        extras: Mapping[str, str] | None = None,
        lists: Sequence[str] = (),
        **fields: object,
    ) -> dict[str, Any]:
        """Change fields of a target and add aliases, extras and lists; return what the TOM has then."""
        return self._api("PATCH", f"api/targets/{pk}/", json={**_parts(aliases, extras, lists), **fields})

    def create_list_by_form(self, name: str) -> int:
        """Create a target list; return its key."""
        form = self.page("targets/targetgrouping/create/").form(having=["name"])
        form.fill({"name": name})
        self._done(self._send(form, at="targets/targetgrouping/create/"))
        return int(self.page("targets/").form(_named("grouping-form")).value_of("grouping", name))

    def fill_list_by_form(self, list_pk: int, target_pks: Sequence[int], *, button: str = "add") -> list[Feedback]:
        """Add targets to a list, or remove or move them there, on the page of targets.

        The page shows twenty targets, newest first; more than those are checked all the same.
        """
        form = self.page("targets/").form(_named("grouping-form"))
        form.fill({"grouping": list_pk, "selected-target": list(target_pks)})
        form.press(button)
        return self._feedback(self._send(form, at="targets/"))

    # Data

    def post_datum_by_api(
        self,
        pk: int,
        *,
        value: Mapping[str, object],
        timestamp: str,
        data_type: str = "photometry",
        source_name: str = "",
        source_location: str = "",
    ) -> dict[str, Any]:
        """Add one datum, its value as in 2.x, which 3.x takes, too; return what the TOM made of it (without a key)."""
        body = {
            "target": pk, "data_type": data_type, "timestamp": timestamp, "value": dict(value),
            "source_name": source_name, "source_location": source_location,
        }  # fmt: skip
        return self._api("POST", "api/reduceddatums/", json=body)

    def upload_csv_by_form(
        self, pk: int, filename: str, content: bytes, *, data_product_type: str = "photometry"
    ) -> list[Feedback]:
        """Upload a file on the target's page."""
        form = self.page(f"targets/{pk}/").form(having=["files", "data_product_type"])
        form.fill({"data_product_type": data_product_type})
        return self._feedback(self._send(form, at=f"targets/{pk}/", files={"files": (filename, content)}))

    def upload_by_api(
        self, pk: int, filename: str, content: bytes, *, data_product_type: str = "photometry", **fields: str
    ) -> dict[str, Any]:
        """Upload a file; return the data product as the TOM shows it."""
        body = {"target": pk, "data_product_type": data_product_type, **fields}
        return self._api("POST", "api/dataproducts/", data=body, files={"file": (filename, content)})

    # Sharing

    def share_options(self, pk: int, *, persistent: bool = False) -> list[Choice]:
        """Return the destinations that a target's share page offers; `persistent`: in the form for continuous sharing."""
        page = self.page(f"targets/{pk}/share/")
        name = "destination" if persistent else "share_destination"
        return page.form(having=[name]).controls[name]

    def photometry_offered(self, pk: int) -> list[int]:
        """Return the keys of the photometry that a target's share page offers, newest first: the API tells no keys."""
        form = self.page(f"targets/{pk}/share/").form(_named("target-share-form"))
        return [int(choice.value) for choice in form.controls.get("share-box", ())]

    def persistent_share(self, pk: int, destination: str, *, existing_data: bool = False) -> tuple[int, Any]:
        """Begin continuous sharing as the page's script does; return the status, and the JSON or text that it shows.

        302 is what it shows as "Your account lacks the proper permissions". Ordinary users do, and see no form:
        ``run("allow_persistent_shares", user=...)``.
        """
        body = {"destination": destination, "target": pk, "share_existing_data": existing_data}
        return self._fetch("POST", "targets/persistentshare/", json=body)

    def delete_persistent_share(self, share_pk: int) -> tuple[int, Any]:
        """End continuous sharing as the page's script does."""
        return self._fetch("DELETE", f"targets/persistentshare/{share_pk}/")

    def share_target_by_form(
        self, pk: int, destination: str, *, datum_pks: Sequence[int] = (), message: str = ""
    ) -> list[Feedback]:
        """Share a target, and photometry of it, on its share page."""
        path = f"targets/{pk}/share/"
        form = self.page(path).form(_named("target-share-form"))
        return self._share(form, path, destination, message, {"share-box": list(datum_pks)})

    def share_product_by_form(self, product_pk: int, target_pk: int, destination: str, *, message: str = "") -> list[Feedback]:
        """Share a data product on its target's page."""
        path = f"targets/{target_pk}/"
        form = self.page(path).form(lambda found: found.action == f"/dataproducts/data/{product_pk}/share/")
        return self._share(form, path, destination, message)

    def share_data_by_form(
        self, target_pk: int, destination: str, *, datum_pks: Sequence[int], message: str = ""
    ) -> list[Feedback]:
        """Share photometry of a target on its page.

        The page's button waits until a datum is checked. Without any, TOM Toolkit would share all data of the target:
        programs may send that, and so does this.
        """
        path = f"targets/{target_pk}/"
        form = self.page(path).form(_named("photometry-data-share-form"))
        return self._share(form, path, destination, message, {"share-box": list(datum_pks)})

    def share_list_by_form(
        self, list_pk: int, destination: str, target_pks: Sequence[int], *, with_data: bool, message: str = ""
    ) -> list[Feedback]:
        """Share targets of a list.

        The page with this form fails in both versions, so nobody can fill it in; what it would send is sent without it.
        """
        values = [
            ("csrfmiddlewaretoken", self._http.cookies["csrftoken"]),
            ("target_list", str(list_pk)),
            ("submitter", self.username),
            ("share_destination", destination),
            ("share_title", "Updated targets for a group."),
            ("share_message", message),
            *(("selected-target", str(pk)) for pk in target_pks),
            *([("dataSwitch", "on")] if with_data else []),
        ]
        return self._feedback(self._request("POST", f"targets/targetgrouping/{list_pk}/share/", data=values))

    def post_form(self, path: str, values: Mapping[str, str]) -> list[Feedback]:
        """Send a form as a program would, whatever this user's pages have; return the messages of the next page."""
        self.page(LIGHT_PAGE)  # shows what was said before, so that it is not taken for an answer to this
        token = {"csrfmiddlewaretoken": self._http.cookies["csrftoken"]}
        self._request("POST", path, data=token | dict(values))
        return self.page(LIGHT_PAGE).feedback

    # Inside the TOM's Django

    def run(self, do: str, **arguments: object) -> Any:
        """Do one of the actions of ``scripts/ingest_script.py`` in a process of its own; return its result."""
        return self.tom.run_script(SCRIPT, {"do": do, **arguments})

    def run_code(self, code: str, **arguments: object) -> Any:
        """Run Python code that reads ``arguments``, a dictionary, and sets ``result``."""
        return self.run("execute", code=code, arguments=arguments)

    # Pages and requests

    def page(self, path: str) -> Page:
        """Return a page."""
        return Page(self.text(path))

    def text(self, path: str) -> str:
        """Return a page as it is sent."""
        answer = self._request("GET", path)
        if answer.status_code != 200:
            raise Refused(f"{path}: {answer.status_code} {answer.headers.get('Location', '')}")
        return answer.text

    def _share(
        self, form: Form, path: str, destination: str, message: str, checked: Mapping[str, object] | None = None
    ) -> list[Feedback]:
        form.fill({"share_destination": destination, "share_message": message, **(checked or {})})
        return self._feedback(self._send(form, at=path))

    def _send(self, form: Form, *, at: str, files: Mapping[str, Any] | None = None) -> requests.Response:
        return self._request("POST", urljoin(urljoin(self.tom.url, at), form.action), data=form.values, files=files)

    def _feedback(self, answer: requests.Response) -> list[Feedback]:
        """Return the messages of the next page, whichever it is."""
        self._done(answer)
        return self.page(LIGHT_PAGE).feedback

    def _done(self, answer: requests.Response) -> requests.Response:
        """Return the answer to a form that was accepted: those send elsewhere, and others show the form again."""
        if not answer.is_redirect:
            raise Refused(f"{urlsplit(answer.url).path}: {answer.status_code} {_complaints(answer)}")
        if urlsplit(answer.headers["Location"]).path == LOGIN:
            raise Refused(f"{urlsplit(answer.url).path}: {self.username} may not")
        return answer

    def _api(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        status, body = self._fetch(method, path, **content)
        if not isinstance(body, dict) or status not in {200, 201}:
            raise Refused(f"{path}: {status} {body}")
        return body

    def _fetch(self, method: str, path: str, **content: Any) -> tuple[int, Any]:
        headers = {"X-CSRFToken": self._http.cookies["csrftoken"], "Accept": "application/json"}
        answer = self._request(method, path, headers=headers, **content)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json else answer.text

    def _request(self, method: str, path: str, **content: Any) -> requests.Response:
        url = urljoin(self.tom.url, path)
        answer = self._http.request(method, url, timeout=SECONDS, allow_redirects=False, **content)
        if answer.status_code >= 500:
            raise TomFailed(f"{method} {urlsplit(url).path}: {answer.status_code} {_exception(answer)}")
        return answer


def _fill_target(form: Form, *, aliases: Sequence[str], extras: Mapping[str, str], fields: Mapping[str, object]) -> None:
    form.fill({name: "" if value is None else value for name, value in fields.items()})
    form.fill(dict(zip(_empty_rows(form, "aliases", "name"), aliases, strict=False)))
    for key_field, (key, value) in zip(_empty_rows(form, "targetextra_set", "key"), extras.items(), strict=False):
        form.fill({key_field: key, key_field.removesuffix("key") + "value": value})
    if left := {*aliases, *extras} - {text for _, text in form.values}:
        raise ValueError(f"the form has no room for {left}: add them with another update")


def _empty_rows(form: Form, rows: str, column: str) -> list[str]:
    return [name for name, text in form.values if re.fullmatch(rf"{rows}-\d+-{column}", name) and not text]


def _parts(aliases: Sequence[str], extras: Mapping[str, str] | None, lists: Sequence[str]) -> dict[str, Any]:
    """Return what is not a field of the target, as its API has it, and only what there is."""
    parts = {
        "aliases": [{"name": alias} for alias in aliases],
        "targetextra_set": [{"key": key, "value": value} for key, value in (extras or {}).items()],
        "target_lists": [{"name": name} for name in lists],
    }
    return {name: part for name, part in parts.items() if part}


def _named(form_id: str) -> Callable[[Form], bool]:
    return lambda form: form.id == form_id


def _key_in(answer: requests.Response) -> int:
    found = re.fullmatch(r"/targets/(\d+)/", urlsplit(answer.headers["Location"]).path)
    if found is None:
        raise Refused(f"no target's page, but {answer.headers['Location']}")
    return int(found[1])


def _complaints(answer: requests.Response) -> list[str]:
    page = Page(answer.text)
    return page.complaints + [feedback.text for feedback in page.feedback]


def _exception(answer: requests.Response) -> str:
    """Return the exception from Django's debug page, or the text as it is."""
    found = re.search(r'<title>(.*?)</title>.*?<pre class="exception_value">(.*?)</pre>', answer.text, re.DOTALL)
    text = unescape(": ".join(found.groups())) if found else answer.text.split("\n\n", maxsplit=1)[0]
    return " ".join(text.split())[:500]
