"""TOM Toolkit's own sharing, taught what a stream is.

TOM Toolkit has no plug-in point for destinations, so these names of its modules are wrapped when the app starts. Each
wrapper takes what goes to a Kafka stream of ``DATA_SHARING``, and leaves everything else to the original, errors included.

========================================================  =====================================================
``tom_targets.sharing.share_target_with_tom``             share pages of a target and of a list
``tom_dataproducts.sharing.share_data_with_tom``          the same, and the share form of data and products
``tom_targets.sharing.share_target_and_all_data``         a new ``PersistentShare`` with existing data
``tom_targets.sharing.continuous_share_data``             in a consumer's request, begins when that has committed
``tom_targets.sharing.PersistentShare``                   what ``continuous_share_data`` looks through
``tom_dataproducts.sharing.share_data_with_hermes``       2.x: where a stream's or topic's name has "hermes" in it
``tom_dataproducts.sharing.share_target_list_with_hermes``  2.x: the same, for a list
``tom_dataproducts.sharing.get_hermes_topics``            2.x: a stream whose key is "hermes"
========================================================  =====================================================
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.db import transaction

from bridge.emitter.configuration import is_stream
from bridge.emitter.marks import current_request, is_marked
from bridge.emitter.requesting import Words, request_shares
from bridge.emitter.tables import datum_models
from bridge.errors import BridgeError

__all__ = ["TESTED_VERSIONS", "problems", "toolkit_version", "wrap"]

TESTED_VERSIONS = ("2.32", "3.1")
"""Versions of TOM Toolkit that the wrappers were tested with."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrapped:
    """A name of TOM Toolkit that is wrapped: where it stands, its parameters in each version, and what takes its place."""

    module: str
    name: str
    parameters: Mapping[str, tuple[str, ...]]
    replacement: Callable[[Any], Any]


def wrap() -> None:
    """Wrap what is as expected; `problems` says what is not. Doing it twice does it once."""
    for wrapped in _WRAPPED:
        if _expected(wrapped) is not None and _problem(wrapped) is None:
            original = _original(wrapped)
            if not getattr(original, "_is_tom_bridge", False):
                replacement = wrapped.replacement(original)
                replacement._is_tom_bridge = True  # noqa: SLF001  ours
                _replace_everywhere(wrapped, original, replacement)


def problems() -> list[str]:
    """Return what this version of TOM Toolkit has otherwise than expected, a name each."""
    return [problem for wrapped in _WRAPPED if (problem := _problem(wrapped)) is not None]


def toolkit_version() -> str:
    """Return the version of TOM Toolkit."""
    return version("tomtoolkit")


def _expected(wrapped: _Wrapped) -> tuple[str, ...] | None:
    """Return the parameters that a name should have here, or None if this version is not to have it."""
    return wrapped.parameters.get("2" if toolkit_version().startswith("2.") else "3")


def _original(wrapped: _Wrapped) -> Any:
    return getattr(importlib.import_module(wrapped.module), wrapped.name, None)


def _problem(wrapped: _Wrapped) -> str | None:
    expected, original = _expected(wrapped), _original(wrapped)
    if expected is None:
        return None
    if original is None:
        return f"{wrapped.module}.{wrapped.name}: not there"
    if getattr(original, "_is_tom_bridge", False) or not expected:
        return None
    found = tuple(inspect.signature(original).parameters)
    return None if found == expected else f"{wrapped.module}.{wrapped.name}: has the parameters {', '.join(found) or 'none'}"


def _replace_everywhere(wrapped: _Wrapped, original: Any, replacement: Any) -> None:
    """Replace a name where it is defined and wherever it has been imported from there."""
    setattr(sys.modules[wrapped.module], wrapped.name, replacement)
    if inspect.isfunction(original):
        for module in list(sys.modules.values()):
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if value is original:
                    setattr(module, name, replacement)


def _for_streams(share: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a wrapper that gives `share` the bound arguments if the destination is a stream."""

    def wrapping(original: Any) -> Any:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            destination = str(bound.arguments["share_destination"])
            if not is_stream(destination):
                return original(*args, **kwargs)
            try:
                return share(destination, bound.arguments)
            except BridgeError as error:
                _log.warning("nothing is shared with %s: %s", destination, error)
                return {"message": f"ERROR: nothing is shared with {destination}: {error}"}

        return wrapper

    return wrapping


def _share_target(destination: str, given: Mapping[str, Any]) -> dict[str, str]:
    form = given["form_data"] or {}
    user = given.get("user")
    lists = [found.name for found in given.get("target_lists", ())]
    target = form["target"]
    request_shares(destination, [target.pk], words=_words(form, user), user=_user(user), lists=lists, tell_target=True)
    return _queued(destination, "the target")


def _share_data(destination: str, given: Mapping[str, Any]) -> dict[str, str]:
    form = given["form_data"] or {}
    selected = [int(pk) for pk in given["selected_data"] or ()]
    words, user = _words(form), _user()
    if given["product_id"]:
        request_shares(destination, (), words=words, user=user, product_pk=int(given["product_id"]))
        return _queued(destination, "the data product")
    if selected:
        request_shares(destination, (), words=words, user=user, datums={_photometry(): selected})
        return _queued(destination, f"{len(selected)} reduced datums")
    if given["target_id"]:
        request_shares(destination, [int(given["target_id"])], words=words, user=user, everything=True)
        return _queued(destination, "all data of the target")
    return {"message": "ERROR: nothing is selected to be shared."}


def _share_all(destination: str, given: Mapping[str, Any]) -> str:
    # TOM Toolkit's caller wants the bare message.
    user = given.get("user")
    pks = [given["target"].pk]
    request_shares(destination, pks, words=_words({}, user), user=_user(user), everything=True, tell_target=True)
    return _queued(destination, "the target and all its data")["message"]


def _share_target_or_data(destination: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Do what 2.x does for Hermes in one call: a target, or some of its data, or a product."""
    if given["product_id"] or not given["target_id"]:
        return _share_data(destination, given)
    selected = [int(pk) for pk in given["selected_data"] or ()]
    request_shares(
        destination,
        [int(given["target_id"])],
        words=_words(given["form_data"] or {}),
        user=_user(),
        datums={_photometry(): selected} if selected else None,
        tell_target=True,
    )
    return _queued(destination, f"the target{f' and {len(selected)} reduced datums' if selected else ''}")


def _share_list(destination: str, given: Mapping[str, Any]) -> dict[str, str]:
    form = given["form_data"] or {}
    pks = [int(pk) for pk in given["selected_targets"] or ()]
    everything = bool(given["include_all_data"])
    words, lists = _words(form), [form["target_list"].name]
    request_shares(destination, pks, words=words, user=_user(), lists=lists, everything=everything, tell_target=True)
    return _queued(destination, f"{len(pks)} targets{' and all their data' if everything else ''}")


def _without_streams(model: Any) -> Any:
    """Return what stands in for ``PersistentShare`` where TOM Toolkit looks for shares to act on at once."""

    class _Shares:
        @property
        def objects(self) -> Any:
            return _NoStreams(model)

    return _Shares()


class _NoStreams:
    """The manager's one method that ``continuous_share_data`` uses; shares with streams are not TOM Toolkit's to do."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def filter(self, **conditions: Any) -> Iterable[Any]:
        """Return the shares that meet the conditions and do not go to a stream."""
        found = self._model._default_manager.filter(**conditions)  # noqa: SLF001  Django's documented model API
        return [share for share in found if not is_stream(share.destination)]


def _topics_of_hermes(original: Any) -> Any:
    @functools.wraps(original)
    def topics(**kwargs: Any) -> Any:
        if not is_stream("hermes"):
            return original(**kwargs)
        entry = settings.DATA_SHARING["hermes"]
        if entry.get("USER_TOPICS") or str(entry.get("BASE_URL")).startswith("kafka:"):
            return list(entry.get("USER_TOPICS", []))
        try:
            return original(**kwargs)
        except OSError as error:  # Hermes is away; TOM Toolkit asks it while it is imported, and would not start
            _log.warning("Hermes does not say which topics it offers: %s", type(error).__name__)
            return []

    return topics


def _photometry() -> str:
    """Return the model that the share pages' check boxes mean."""
    labels = [str(model._meta.label_lower) for model in datum_models()]  # noqa: SLF001
    return "tom_dataproducts.photometryreduceddatum" if len(labels) > 1 else labels[0]


def _user(given: Any = None) -> Any:
    """Return whose permissions count: who is logged in, or, outside of a request, nobody's."""
    request = current_request()
    return getattr(request, "user", None) if request is not None else given


def _words(form: Mapping[str, Any], given: Any = None) -> Words:
    user = _user(given)
    submitter = user.get_username() if user is not None and user.is_authenticated else str(form.get("submitter") or "")
    return Words(
        submitter=submitter,
        title=str(form.get("share_title") or ""),
        message=str(form.get("share_message") or ""),
        authors=str(form.get("share_authors") or ""),
    )


def _queued(destination: str, what: str) -> dict[str, str]:
    # No names in here: TOM Toolkit takes a message that has "error" in it for one, and so "Terror-3" would be.
    return {"message": f"Queued for {destination}: {what}. It is published in the background."}


def _after_the_request(original: Any) -> Any:
    """Return a wrapper that lets a consumer's request commit first.

    TOM Toolkit shares within the save, and waits for the other TOM. Such a request is one transaction (`bridge.emitter.marks`),
    and on SQLite nobody else could write meanwhile.
    """

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        if is_marked():
            transaction.on_commit(lambda: original(*args, **kwargs))
        else:
            original(*args, **kwargs)

    return wrapper


_SHARE_DATA = ("share_destination", "form_data", "product_id", "target_id", "selected_data")
_WRAPPED = (
    _Wrapped(
        module="tom_targets.sharing",
        name="share_target_with_tom",
        parameters={
            "2": ("share_destination", "form_data", "target_lists"),
            "3": ("share_destination", "form_data", "target_lists", "user"),
        },
        replacement=_for_streams(_share_target),
    ),
    _Wrapped(
        module="tom_dataproducts.sharing",
        name="share_data_with_tom",
        parameters={"2": _SHARE_DATA, "3": _SHARE_DATA},
        replacement=_for_streams(_share_data),
    ),
    _Wrapped(
        module="tom_targets.sharing",
        name="share_target_and_all_data",
        parameters={"2": ("share_destination", "target"), "3": ("share_destination", "target", "user")},
        replacement=_for_streams(_share_all),
    ),
    _Wrapped(
        module="tom_targets.sharing",
        name="continuous_share_data",
        parameters={"2": ("target", "reduced_datums"), "3": ("target", "reduced_datums")},
        replacement=_after_the_request,
    ),
    _Wrapped(
        module="tom_targets.sharing",
        name="PersistentShare",
        parameters={"2": (), "3": ()},
        replacement=_without_streams,
    ),
    _Wrapped(
        module="tom_dataproducts.sharing",
        name="share_data_with_hermes",
        parameters={"2": _SHARE_DATA},
        replacement=_for_streams(_share_target_or_data),
    ),
    _Wrapped(
        module="tom_dataproducts.sharing",
        name="share_target_list_with_hermes",
        parameters={"2": ("share_destination", "form_data", "selected_targets", "include_all_data")},
        replacement=_for_streams(_share_list),
    ),
    _Wrapped(
        module="tom_dataproducts.sharing",
        name="get_hermes_topics",
        parameters={"2": ()},
        replacement=_topics_of_hermes,
    ),
)
