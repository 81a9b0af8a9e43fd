"""Free ports on loopback."""

import itertools
import os
import socket

__all__ = ["free_port"]


FIRST, LAST = 15_000, 31_999
"""Below the ports that Linux gives to outgoing connections (32768 and up): one of those may take a port that a server
comes back to after a restart, and a client that keeps trying a port of that range can even connect to itself."""

_candidates = itertools.count(os.getpid() * 97)  # other processes begin elsewhere


def free_port() -> int:
    """Return a port that nobody uses at this moment, and another one each time."""
    for _ in range(FIRST, LAST + 1):
        port = FIRST + next(_candidates) % (LAST + 1 - FIRST)
        with socket.socket() as probe:
            # As servers do: without it, a connection that lingers in TIME_WAIT makes the port look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # taken; the next one, then
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
