"""The gateway's web server: a bounded number of threads, and requests end before it closes."""

import time
from types import TracebackType
from typing import Any, Self

from flask import Flask

from bridge.gateway.api import RETRY_SECONDS
from bridge.gateway.app import MAX_BODY_BYTES
from bridge.wsgi import WebServer

__all__ = ["GatewayServer"]

MOST_CONNECTIONS = 200
SILENCE_SECONDS = 60
CLOSING_SECONDS = 20.0
"""How long requests have to end when the gateway is to stop: longer than the broker has to confirm a message."""
CUTTING_SECONDS = 5.0
"""How long those that have not may still hold it up."""
TURN_SECONDS = 0.05


class GatewayServer:
    """Serves while it is open, as a context manager.

    Parameters
    ----------
    app
        What answers.
    host, port
        Where; port 0 stands for any that is free.
    threads
        Requests that are answered at the same time.

    Raises
    ------
    Misconfigured
        If the address cannot be had.
    """

    def __init__(self, app: Flask, *, host: str, port: int, threads: int) -> None:
        self._closing = False
        self._web = WebServer(
            lambda _is_loopback: self._turnstile(app),
            name="gateway-http",
            host=host,
            port=port,
            threads=threads,
            most_connections=MOST_CONNECTIONS,
            silence_seconds=SILENCE_SECONDS,
            # The application answers 413 itself, and logs it; this is for what is far beyond.
            max_request_body_size=2 * MAX_BODY_BYTES,
        )

    def __enter__(self) -> Self:
        self._web.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing = True
        until = time.monotonic() + CLOSING_SECONDS
        while self._web.is_busy and time.monotonic() < until:
            time.sleep(TURN_SECONDS)
        self._web.close(CUTTING_SECONDS)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._web.url

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines may reach it."""
        return not self._web.is_loopback

    def _turnstile(self, app: Flask) -> Any:
        """Return the application, which answers 503 to what comes in while it closes."""

        def enter(environ: dict[str, Any], start_response: Any) -> Any:
            if self._closing:
                headers = [("Content-Type", "application/json"), ("Retry-After", str(RETRY_SECONDS))]
                start_response("503 Service Unavailable", headers)
                return [b'{"error": "The gateway is being stopped. Submit it again later."}']
            return app(environ, start_response)

        return enter
