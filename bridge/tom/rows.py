"""The datums that a target has at a TOM."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.tom.session import TomSession
from bridge.translate.datums import DatumRequest, datum_mark
from bridge.translate.dialect import Dialect
from bridge.verdict import Answer

__all__ = ["Rows"]


class Rows:
    """The datums that a target has at the TOM, asked for once, when in doubt; safe to use from many threads.

    Parameters
    ----------
    session
        The TOM.
    target_id
        Primary key of the target there.
    dialect
        Its rules.
    """

    def __init__(self, session: TomSession, target_id: int, dialect: Dialect) -> None:
        self._session = session
        self._target_id = target_id
        self._dialect = dialect
        self._by_type: dict[str, dict[datetime, list[dict[str, Any]]]] = {}
        self._added: set[str] = set()
        self._lock = threading.Lock()

    @staticmethod
    def says_duplicate(answer: Answer) -> bool:
        """Whether an answer may mean that the datum is there: 200 of 3.x, 500 of 2.x."""
        return answer.status == 500 or (answer.ok and bool(answer.body.get("already_exists")))

    def add(self, request: DatumRequest) -> None:
        """Note a datum that was just written."""
        self._added.add(str(request.datum.id))

    def forget(self) -> None:
        """Ask the TOM anew next time."""
        with self._lock:
            self._by_type.clear()

    def has_our_own(self, request: DatumRequest) -> bool:
        """Whether a row is there that carries the datum's own mark, because we wrote it one by one."""
        mark = datum_mark(request.body["source_location"])
        return any(datum_mark(row["source_location"]) == mark for row in self._at(request))

    def has(self, request: DatumRequest) -> bool:
        """Whether the datum is there."""
        if str(request.datum.id) in self._added:
            return True
        return any(self._dialect.is_row(row, request) for row in self._at(request))

    def of_type(self, data_type: str) -> list[dict[str, Any]]:
        """Return all rows of a type."""
        return [row for rows in self._by_moment(data_type).values() for row in rows]

    def count(self, data_type: str) -> int:
        """Return how many rows of a type the target has now. Those that were asked for before stay as they were."""
        query = {"target__id": self._target_id, "data_type": data_type, "limit": 1}
        return int(self._session.get_ok("api/reduceddatums/", query)["count"])

    def _at(self, request: DatumRequest) -> Sequence[dict[str, Any]]:
        """Return the rows of the datum's type and time."""
        moment = datetime.fromisoformat(request.body["timestamp"]).astimezone(UTC)
        return self._by_moment(str(request.body["data_type"])).get(moment, ())

    def _by_moment(self, data_type: str) -> dict[datetime, list[dict[str, Any]]]:
        with self._lock:
            if data_type not in self._by_type:
                self._by_type[data_type] = self._ask(data_type)
            return self._by_type[data_type]

    def _ask(self, data_type: str) -> dict[datetime, list[dict[str, Any]]]:
        query = {"target__id": self._target_id, "data_type": data_type, "limit": 10_000_000}
        by_moment: dict[datetime, list[dict[str, Any]]] = {}
        rows: Sequence[dict[str, Any]] = self._session.get_ok("api/reduceddatums/", query)["results"]
        for row in rows:
            moment = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
            by_moment.setdefault(moment, []).append(row)
        return by_moment
