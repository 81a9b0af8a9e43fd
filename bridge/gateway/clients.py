"""Who may come in: the clients of the settings, told apart by their keys."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.settings import GatewayClient

__all__ = ["Client", "Clients"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A TOM that may publish. Its repr shows no secret.

    Parameters
    ----------
    name
        Its name in the settings.
    sender
        Who it is to readers.
    topics
        Those that it may publish to.
    digest
        Of its key.
    """

    name: str
    sender: str
    topics: tuple[str, ...]
    digest: bytes = field(repr=False)


class Clients:
    """All clients.

    Parameters
    ----------
    settings
        By name.
    """

    def __init__(self, settings: Mapping[str, GatewayClient]) -> None:
        self._clients = [
            Client(
                name=name,
                sender=client.sender or name,
                topics=tuple(client.topics),
                digest=_digest(client.HERMES_API_KEY.get_secret_value()),
            )
            for name, client in settings.items()
        ]

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that some client may publish to."""
        return tuple(sorted({topic for client in self._clients for topic in client.topics}))

    def of(self, authorization: str) -> Client | None:
        """Return whose key stands in an ``Authorization`` header (``Token <key>``), or None.

        How long it takes tells nothing of any key: digests are compared, each of them, and to the end.
        """
        scheme, _, key = authorization.strip().partition(" ")
        digest = _digest(key.strip())
        found = None
        for client in self._clients:
            if hmac.compare_digest(client.digest, digest):
                found = client
        return found if scheme.lower() == "token" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
