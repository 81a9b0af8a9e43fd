"""Door to the web server: serves a WSGI application over HTTP with a bounded number of threads."""

import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from bridge.errors import Misconfigured

__all__ = ["WebServer"]

LOOP_SECONDS = 1.0
"""How long the loop sleeps when nothing comes in."""


class WebServer:
    """Listens from the beginning, and answers from `start` to `close`.

    Parameters
    ----------
    make_app
        Makes the application, from whether it is reached from loopback alone.
    name
        Of its thread.
    host, port
        Where; port 0 stands for any that is free.
    threads
        Requests that are answered at the same time.
    most_connections
        Beyond these, clients wait in the system's queue.
    silence_seconds
        How long a client may say nothing, within a request or between two.
    stalled_seconds
        How long a client may take nothing of what it is told; then it is cut off, for it holds a thread.
    options
        More of what bounds it, as waitress names it.

    Raises
    ------
    Misconfigured
        If the address cannot be had.
    """

    def __init__(
        self,
        make_app: Callable[[bool], Any],
        *,
        name: str,
        host: str,
        port: int,
        threads: int,
        most_connections: int,
        silence_seconds: int,
        stalled_seconds: float = math.inf,
        **options: Any,
    ) -> None:
        self._stalled_seconds = stalled_seconds
        self._socket = _listen(host, port)
        self._map: dict[int, Any] = {}
        self._ended = threading.Event()
        more: dict[str, Any] = {
            "sockets": [self._socket],
            "threads": threads,
            "connection_limit": most_connections,
            "channel_timeout": silence_seconds,
            "ident": None,
            **options,
        }
        # It warns of each request that waits for its turn, in lines of its own form.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        try:
            server: Any = create_server(make_app(self.is_loopback), map=self._map, **more)
        except BaseException:
            self._socket.close()
            raise
        self._server, self._maintain = server, server.maintenance
        server.maintenance = self._look_around
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        host = str(self._socket.getsockname()[0])
        return host.startswith("127.") or host == "::1"

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or an answer being sent."""
        with suppress(RuntimeError):  # a client came or went while they were looked at
            return any(channel.requests or channel.total_outbufs_len for channel in self._server.active_channels.values())
        return True

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Cut off whoever is still there, and end; it waits so long for threads that answer."""
        self._server.trigger.pull_trigger(self._cut_all)
        # Before the loop ends: they wake it through a pipe that it closes then.
        self._server.task_dispatcher.shutdown(timeout=seconds)
        self._ended.set()
        self._server.trigger.pull_trigger()
        self._thread.join(seconds)

    def _run(self) -> None:
        """Do what waitress' own ``run`` does, but so that it can be ended."""
        while not self._ended.is_set():
            wasyncore.loop(timeout=LOOP_SECONDS, use_poll=True, map=self._map, count=1)
        wasyncore.close_all(self._map)

    # What follows happens in the loop's thread: a socket that is closed while the loop waits for it could be another's by then.

    def _look_around(self, now: float) -> None:
        self._maintain(now)
        self._server.trigger.pull_trigger(self._cut_stalled)  # this turn waits for them already

    def _cut_stalled(self) -> None:
        since = time.time() - self._stalled_seconds  # the clock that the server notes it by
        for channel in list(self._server.active_channels.values()):
            if channel.total_outbufs_len and channel.last_activity < since:
                channel.handle_close()

    def _cut_all(self) -> None:
        wasyncore.dispatcher.close(self._server)  # nobody comes in any more
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()  # wakes a thread that waits for it to take something


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name that has both is taken by its IPv4 address: that is where clients look when they are told 127.0.0.1.
        family, _kind, _protocol, _name, place = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(place, family=family, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        raise Misconfigured(f"--http {host}:{port}: cannot listen there ({error}); choose another address") from error
