"""Which target lists a target is in, as far as a TOM tells.

The JSON API filters targets by a list's primary key but names no lists. The page that the same API shows in a browser does,
in its filter form, and where a TOM has it, it is read: so a target that is in its lists already is left untouched, and a
list name that exists twice, on which the TOM would fail, is seen beforehand. Without the page every list is asked for anew,
which changes nothing but the target's ``modified``.
"""

import re
import time
from collections.abc import Container, Iterable
from html.parser import HTMLParser

from bridge.tom.session import TomSession

__all__ = ["TargetLists"]

ASK_AGAIN_SECONDS = 600.0
"""How long a TOM that has no such page is not asked for it again."""


class TargetLists:
    """The target lists of one TOM.

    Parameters
    ----------
    session
        The TOM.
    """

    def __init__(self, session: TomSession) -> None:
        self._session = session
        self._keys: dict[str, list[int]] = {}
        self._ask_again_at = 0.0

    def sort_out(self, target_id: int, target_name: str, wanted: Iterable[str]) -> tuple[list[str], list[str]]:
        """Tell which of the wanted lists a target still has to be added to.

        Returns
        -------
        missing, ambiguous
            Lists that it is not known to be in, and lists whose name exists more than once.
        """
        missing, ambiguous = [], []
        for name in dict.fromkeys(wanted):
            keys = self._keys_of(name)
            if keys is not None and len(keys) > 1:
                ambiguous.append(name)
            elif not keys or not self._contains(keys[0], target_id, target_name):
                missing.append(name)
        return missing, ambiguous

    def ambiguous(self, wanted: Iterable[str]) -> list[str]:
        """Return those of the wanted lists whose name exists more than once at the TOM."""
        return [name for name in dict.fromkeys(wanted) if len(self._keys_of(name) or ()) > 1]

    def has(self, name: str, target_id: int, target_name: str) -> bool:
        """Whether a target is known to be in the list of that name."""
        return any(self._contains(key, target_id, target_name) for key in self._keys_of(name) or ())

    def any_has(self, names: re.Pattern[str], target_id: int, target_name: str, *, but: Container[str]) -> bool:
        """Whether a target is known to be in a list whose name is like that.

        Parameters
        ----------
        names
            What the lists' names look like.
        target_id, target_name
            The target.
        but
            Names of lists that are not asked about.
        """
        asked: set[int] = set()
        for is_read_anew in (False, True):
            if is_read_anew:
                self._read()  # a creation, here or by another replica, may have made lists since
            alike = (name for name in self._keys if names.fullmatch(name) and name not in but)
            keys = {key for name in alike for key in self._keys[name]} - asked
            if any(self._contains(key, target_id, target_name) for key in keys):
                return True
            asked |= keys
        return False

    def _keys_of(self, name: str) -> list[int] | None:
        """Return the primary keys of the lists of a name, or None where the TOM does not tell."""
        if name not in self._keys:
            self._read()
        return None if time.monotonic() < self._ask_again_at else self._keys.get(name, [])

    def _read(self) -> None:
        """Ask for the names of all lists, unless the TOM did not tell them a while ago."""
        if time.monotonic() < self._ask_again_at:
            return
        page = self._session.get_page("api/targets/", {"limit": 1})
        choices = None if page is None else _list_choices(page)
        self._ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS if choices is None else 0.0
        self._keys = choices or {}

    def _contains(self, key: int, target_id: int, target_name: str) -> bool:
        answer = self._session.get("api/targets/", {"targetlist__name": key, "name": target_name, "limit": 1_000})
        if not answer.ok:
            self._keys = {}  # the list is gone: look again next time
            return False
        return any(row["id"] == target_id for row in answer.body["results"])


class _Choices(HTMLParser):
    """Collects the options of the filter form's ``targetlist__name``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[int]] = {}
        self.form_seen = False
        self._inside = False
        self._key: int | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "select":
            self._inside = values.get("name") == "targetlist__name"
            self.form_seen |= self._inside
        elif tag == "option" and self._inside:
            value = values.get("value") or ""
            self._key, self._text = (int(value) if value.isdigit() else None), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "option" and self._key is not None:
            self.found.setdefault(self._text, []).append(self._key)
            self._key = None
        elif tag == "select":
            self._inside = False


def _list_choices(page: str) -> dict[str, list[int]] | None:
    parser = _Choices()
    parser.feed(page)
    parser.close()
    return parser.found if parser.form_seen else None
