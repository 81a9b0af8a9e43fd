"""hop's own credentials: the auth file that ``hop auth add`` writes, read by hop itself."""

from dataclasses import dataclass, field

from bridge.errors import Misconfigured

__all__ = ["HopCredentials", "hop_credentials"]


@dataclass(frozen=True, slots=True)
class HopCredentials:
    """A login that hop knows for a host."""

    username: str
    mechanism: str
    ca_location: str
    password: str = field(repr=False)


def hop_credentials(bootstrap: str, username: str) -> HopCredentials | None:
    """Return hop's login for a broker, chosen by host as hop does, or None.

    Parameters
    ----------
    bootstrap
        ``host:port`` of the broker.
    username
        The user named in the URL, or empty for any.

    Raises
    ------
    Misconfigured
        If hop's auth file cannot be used, or has several logins for that host.
    """
    try:
        from hop.auth import load_auth, select_matching_auth  # noqa: PLC0415  an extra: tom-bridge[hop]
    except ImportError:
        return None
    try:
        found = select_matching_auth(load_auth(), bootstrap, username or None)
    except FileNotFoundError:
        return None
    except (RuntimeError, ValueError) as error:
        if "No matching credential" in str(error):
            return None
        raise Misconfigured(f"hop's auth file cannot be used for {bootstrap}: {error}") from error
    return HopCredentials(
        username=found.username,
        password=found.password,
        mechanism=str(found.mechanism),
        ca_location=found.ssl_ca_location if isinstance(found.ssl_ca_location, str) else "",
    )
