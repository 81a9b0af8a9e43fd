"""The page's web server: as many threads as may watch and some for all else; who takes nothing is cut off."""

from collections.abc import Callable
from typing import Any, Self

from bridge.observe.page.streams import MOST_WATCHERS
from bridge.wsgi import WebServer

__all__ = ["PageServer"]

MORE_THREADS = 6
"""For what is answered at once."""
MOST_CONNECTIONS = 4 * MOST_WATCHERS
SILENCE_SECONDS = 30
STALLED_SECONDS = 20.0
MOST_WAITING_BYTES = 1_000_000
"""What may wait for a client that takes it slowly; then nothing more is made for it."""
TURN_SECONDS = 5
"""How often silent and stalled clients are looked for."""
MOST_REQUEST_BYTES = 64_000
CLOSING_SECONDS = 1.0


class PageServer:
    """Serves while it is open, as a context manager.

    Parameters
    ----------
    make_app
        Makes the application, from whether it is reached from loopback alone.
    host, port
        Where; port 0 stands for any that is free.

    Raises
    ------
    Misconfigured
        If the address cannot be had.
    """

    def __init__(self, make_app: Callable[[bool], Any], *, host: str, port: int) -> None:
        self._web = WebServer(
            make_app,
            name="page http",
            host=host,
            port=port,
            threads=MOST_WATCHERS + MORE_THREADS,
            most_connections=MOST_CONNECTIONS,
            silence_seconds=SILENCE_SECONDS,
            stalled_seconds=STALLED_SECONDS,
            cleanup_interval=TURN_SECONDS,
            channel_request_lookahead=1,  # so that it reads on, and hears of a browser that goes away
            outbuf_high_watermark=MOST_WAITING_BYTES,
            max_request_body_size=MOST_REQUEST_BYTES,
            max_request_header_size=MOST_REQUEST_BYTES,
        )

    def __enter__(self) -> Self:
        self._web.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._web.close(CLOSING_SECONDS)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._web.url

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self._web.is_loopback
