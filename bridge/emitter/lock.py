"""The relay's lock: of all relays of a TOM one works, and the others wait for it to end."""

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from bridge.errors import Misconfigured

__all__ = ["RelayLock"]

SESSION_LOCK = int.from_bytes(hashlib.sha256(b"tom-bridge relay").digest()[:8], "big", signed=True)
"""PostgreSQL's number of the lock. One is enough where TOMs share a database server: advisory locks are per database."""


class RelayLock:
    """A lock that ends with its process, even with one that is killed.

    On PostgreSQL an advisory lock of the connection's session; on SQLite, whose users all sit on one machine, a lock on a
    file beside the database.

    Parameters
    ----------
    connection
        Django's connection to the TOM's database, of this thread.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._file: int | None = None
        self._session: Any = None

    def acquire(self) -> bool:
        """Take the lock, or keep it; return whether it is ours."""
        return self._acquire_file() if self._connection.vendor == "sqlite" else self._acquire_session()

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._session is not None and self._session is self._connection.connection:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SESSION_LOCK])
        self._session = None

    def is_held_elsewhere(self) -> bool:
        """Whether another relay works now. Takes the lock for a moment to find out."""
        mine = self.acquire()
        if mine:
            self.release()
        return not mine

    def _acquire_file(self) -> bool:
        if self._file is not None:
            return True
        path = Path(f"{self._connection.settings_dict['NAME']}.bridge-relay")
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            who = "remove it, or run the relay as the account that it belongs to"
            raise Misconfigured(f"the relay's lock {path} cannot be opened: {who}") from error
        with suppress(OSError):  # whoever may write to the database may be the relay, whoever looked first
            database = Path(self._connection.settings_dict["NAME"]).stat()
            os.fchown(file, database.st_uid, database.st_gid)
            os.fchmod(file, database.st_mode & 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def _acquire_session(self) -> bool:
        # A connection that was lost took the lock with it; Django has opened another by now.
        if self._session is not None and self._session is self._connection.connection:
            return True
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [SESSION_LOCK])
            row = cursor.fetchone()
        mine = bool(row and row[0])
        self._session = self._connection.connection if mine else None
        return mine
