"""Bare ``requests``: datums sent to a TOM as fast as some connections can, which is what the bridge is measured by."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import requests

from bridge.demo.toms import Tom
from bridge.settings import TomEntry
from bridge.tom.account import Account, Login
from bridge.tom.transport import Transport

__all__ = ["Volley", "body", "log_in"]

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
START_SECONDS = 0.2
"""Until then every process has what it is to do; they begin together."""


def log_in(tom: Tom, username: str = "bridge") -> Login:
    """Log in as the bridge does."""
    transport = Transport(tom.name, tom.url, observe=lambda _method, _status, _seconds: None)
    entry = TomEntry.model_validate({"BASE_URL": tom.url, "USERNAME": username, "PASSWORD": tom.users[username]})
    try:
        account = Account("bench", entry, transport=transport, marks=dict)
        return account.log_in_by_token() or account.log_in_by_page()
    finally:
        transport.close()


def body(target: int, number: int) -> dict[str, object]:
    """Return a datum as the bridge sends it; no two numbers of a target are alike."""
    return {
        "target": target,
        "data_type": "photometry",
        "timestamp": (BEGIN + timedelta(seconds=number)).isoformat(),
        "value": {"magnitude": round(15 + number % 5000 / 1000, 3), "filter": "r"},
        "source_name": "Bench TOM",
        "source_location": f"https://bench.example.org/targets/{target}/#{number:08d}",
        "data_product": "",
    }


@dataclass(frozen=True, slots=True)
class _Order:
    """What one connection is to do."""

    url: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    targets: Sequence[int]
    first: int
    step: int
    begin: float
    seconds: float


class Volley:
    """Processes that each have a connection. Use as a context manager.

    Parameters
    ----------
    tom
        Where datums go.
    targets
        To which targets there, in turn.
    most
        How many connections there can be.
    """

    def __init__(self, tom: Tom, targets: Sequence[int], *, most: int = 8) -> None:
        self._tom = tom
        self._targets = targets
        self._login = log_in(tom)
        self._number = 0
        processes = multiprocessing.get_context("spawn")
        all_here = processes.Barrier(most + 1)
        self._pool = processes.Pool(most, initializer=all_here.wait)
        all_here.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()
        self._pool.join()

    def rate(self, connections: int, seconds: float, *, targets: Sequence[int] | None = None) -> float:
        """Send datums for so long, and return how many a second the TOM took.

        Parameters
        ----------
        connections, seconds
            How many send, and for how long.
        targets
            To which; to all if none are given.
        """
        begin = time.time() + START_SECONDS
        orders = [
            _Order(
                url=f"{self._tom.url}api/reduceddatums/",
                headers={**self._login.headers, "Content-Type": "application/json", "Accept": "application/json"},
                cookies=self._login.cookies,
                targets=self._targets if targets is None else targets,
                first=self._number + number,
                step=connections,
                begin=begin,
                seconds=seconds,
            )
            for number in range(connections)
        ]
        results = self._pool.map(_send, orders, chunksize=1)
        self._number += connections * max(sent for sent, _ in results)
        return sum(sent for sent, _ in results) / (max(end for _, end in results) - begin)


def _send(order: _Order) -> tuple[int, float]:
    """Send datums until the time is over; return how many, and when the last was answered."""
    with requests.Session() as http:
        http.trust_env = False
        http.headers.update(order.headers)
        http.cookies.update(order.cookies)
        time.sleep(max(order.begin - time.time(), 0.0))
        sent = 0
        while time.time() < order.begin + order.seconds:
            number = order.first + sent * order.step
            datum = json.dumps(body(order.targets[number % len(order.targets)], number))
            answer = http.post(order.url, data=datum, timeout=60, allow_redirects=False)
            if answer.status_code != 201:
                raise RuntimeError(f"HTTP {answer.status_code} to a datum: {answer.text[:500]}")
            sent += 1
        return sent, time.time()
