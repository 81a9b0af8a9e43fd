"""Raw tables become checked sections; what is wrong with one is said with file, section, key and the nearest known key."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.errors import Misconfigured
from bridge.settings.entries import Section

__all__ = ["Tables", "unknown"]

_S = TypeVar("_S", bound=Section)


class Tables:
    """Reads the tables of one file or module.

    Parameters
    ----------
    origin
        Where they come from: a file's path or a module's name; named in every complaint.
    environment
        Values for ``${NAME}``; None: nothing is expanded.
    """

    def __init__(self, *, origin: str, environment: Mapping[str, str] | None) -> None:
        self._origin = origin
        self._environment = environment

    def raw(self, place: str, table: Any) -> dict[str, Any]:
        """Return a table's keys and values, with what stands in the environment put in.

        Parameters
        ----------
        place
            The section, without brackets, for complaints.
        table
            As it was read.

        Raises
        ------
        Misconfigured
            If it is no table, or the environment has not what it names.
        """
        if not isinstance(table, Mapping):
            raise Misconfigured(f"{self._origin}: [{place}]: has to be a table of keys and values")
        return {name: self._expand(f"[{place}] {name}", value) for name, value in table.items()}

    def checked(self, model: type[_S], place: str, raw: Mapping[str, Any]) -> _S:
        """Return a section.

        Raises
        ------
        Misconfigured
            If something about it is wrong: one line for each key.
        """
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            lines = []
            for problem in error.errors(include_url=False, include_input=False):
                field = ".".join(map(str, problem["loc"]))
                message = problem["msg"].removeprefix("Value error, ")
                if problem["type"] == "extra_forbidden":
                    message = unknown(field, model.model_fields)
                if problem["type"] == "missing":
                    message = "missing; add it"
                lines.append(f"{self._origin}: [{place}]{' ' if field else ''}{field}: {message}")
            raise Misconfigured("\n".join(lines)) from None

    def _expand(self, where: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._expand(where, item) for item in value]
        environment = self._environment
        if not isinstance(value, str) or environment is None:
            return value

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                raise Misconfigured(f"{self._origin}: {where}: ${{...}} holds what is no name of an environment variable")
            if name not in environment:
                raise Misconfigured(f"{self._origin}: {where}: the environment has no {name}; set it, or write the value")
            return environment[name]

        return re.sub(r"\$\{([^}]*)\}", replace, value)


def unknown(name: str, known: Iterable[str]) -> str:
    """Return what is said of a name that is none of the known ones."""
    names = list(known)
    close = difflib.get_close_matches(name.lower(), [each.lower() for each in names], n=1)
    meant = next((each for each in names if close and each.lower() == close[0]), None)
    hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(names) or 'none'}"
    return f"{name} is unknown; {hint}"
