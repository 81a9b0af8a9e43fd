"""The one spelling of what is compared, hashed or used as a key: URLs, names, times, JSON."""

import json
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

__all__ = ["canonical_json", "normalise_url", "simplify_name", "utc_text"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalise_url(url: str) -> str:
    """Return a TOM's public URL in the one form that identifies it.

    Scheme and host in lower case, no default port, no query or fragment, one trailing slash (RFC 3986, section 6.2).

    Raises
    ------
    ValueError
        If it is not an http(s) URL with a host, or if it carries a user name or password.
    """
    try:
        parts = urlsplit(url.strip())
        port_number = parts.port
    except ValueError:  # urllib's own words would repeat the URL
        raise ValueError("not a TOM's URL: its host or port cannot be read") from None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not a TOM's URL: expected something like https://my-tom.org/")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a TOM's URL must not carry a user name or password")
    scheme, host = parts.scheme.lower(), parts.hostname.lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if port_number in {None, _DEFAULT_PORTS[scheme]} else f":{port_number}"
    return urlunsplit((scheme, host + port, parts.path.rstrip("/") + "/", "", ""))


def simplify_name(name: str) -> str:
    """Return a name as TOM Toolkit compares it: lower case, without spaces, ``-``, ``_``, ``(`` and ``)``.

    Source: ``tom_targets.base_models.TargetMatchManager.simplify_name``, the same in 2.32 and 3.1.
    """
    return name.lower().translate(str.maketrans("", "", " -_()"))


def utc_text(moment: datetime) -> str:
    """Return a moment as UTC in ISO 8601 with microseconds and ``Z``: the one spelling on the wire and in hashes."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical_json(value: object) -> bytes:
    """Encode JSON in the one way that hashes and TOMs see: sorted keys, no white space, UTF-8, shortest exact floats.

    Frozen: ``tests/data/canonical`` holds golden files. RFC 8785 is not used because its numbers are doubles, and
    survey identifiers of 19 digits in a datum's extras would lose their last ones.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
