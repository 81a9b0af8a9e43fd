"""A data product's bytes: inside the event or fetched by reference, and verified."""

import base64
import binascii
import gzip
import hashlib
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

import requests

from bridge.errors import Misconfigured, Rejected, Retryable
from bridge.events import DataProduct, InlineContent

__all__ = ["INLINE_BYTES", "fetch", "may_be_fetched", "pack", "sha256"]

INLINE_BYTES = 500_000
"""A file whose packed form is larger goes by reference, so that its event keeps room for its datums."""
FETCH_SECONDS = (5.0, 60.0)
"""Time for connecting, and longest silence, when fetching by reference."""


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def pack(content: bytes) -> InlineContent | None:
    """Return a file as it goes inside an event, or None if it is too large for that. The same bytes pack the same."""
    data = base64.b64encode(gzip.compress(content, compresslevel=9, mtime=0)).decode()
    return InlineContent(data=data) if len(data) <= INLINE_BYTES else None


def fetch(product: DataProduct, *, allowed: Sequence[str], most_bytes: int) -> bytes:
    """Return a data product's bytes, verified against its size and SHA-256.

    Parameters
    ----------
    product
        From the event.
    allowed
        URL prefixes from which files may be fetched (``fetch_from``).
    most_bytes
        Largest file that is accepted.

    Raises
    ------
    Rejected
        If it is too large, damaged, not what the event says, or its address is not allowed.
    Retryable
        If its place can't be reached now.
    """
    if product.size > most_bytes:
        raise Rejected("product_too_large", f"{product.size:,} bytes; max_product_bytes is {most_bytes:,}")
    if isinstance(product.content, InlineContent):
        content = _unpack(product.content, product.size)
    else:
        if not may_be_fetched(product.content.url, allowed):
            raise Rejected(
                "fetch_not_allowed",
                "the file is elsewhere, and its address is not below any of this consumer's fetch_from",
            )
        content = _take(_chunks(product.content.url), product.size)
    if len(content) != product.size or sha256(content) != product.sha256:
        raise Rejected("product_damaged", "the file's size or SHA-256 is not what the event says")
    return content


def may_be_fetched(url: str, allowed: Sequence[str]) -> bool:
    """Whether an address is below one of the allowed prefixes: same scheme, host and port, and a path inside theirs."""
    try:
        # urllib drops tabs and line ends, wherever they stand; fsspec chains file systems at "::".
        if not url.isprintable() or " " in url or "::" in url:
            return False
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.username is not None or "\\" in path or posixpath.normpath(path) != path.rstrip("/"):
            return False
        for prefix in map(urlsplit, allowed):
            same_place = (parts.scheme, parts.hostname, parts.port) == (prefix.scheme, prefix.hostname, prefix.port)
            if same_place and (path + "/").startswith(prefix.path.rstrip("/") + "/"):
                return True
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
    return False


def _unpack(content: InlineContent, size: int) -> bytes:
    try:
        packed = base64.b64decode(content.data, validate=True)
        # Never more than the event announces, so that a few bytes cannot blow up to gigabytes.
        return zlib.decompressobj(wbits=31).decompress(packed, size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise Rejected("product_damaged", f"the inline file cannot be unpacked: {error}") from error


def _take(chunks: Iterator[bytes], size: int) -> bytes:
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if len(taken) > size:
            raise Rejected("product_damaged", "the file is larger than the event says")
    return bytes(taken)


def _chunks(url: str) -> Iterator[bytes]:
    if urlsplit(url).scheme in {"http", "https"}:
        yield from _http_chunks(url)
        return
    try:
        import fsspec  # noqa: PLC0415  an extra: tom-bridge[storage]
    except ImportError as error:
        raise Misconfigured(
            "fetch_from: other addresses than https need more packages; from a clone: pip install '.[storage]'"
        ) from error
    try:
        with fsspec.open(url, "rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except (FileNotFoundError, PermissionError) as error:
        raise Rejected("fetch_failed", f"the file cannot be had ({type(error).__name__})") from error
    except OSError as error:
        detail = f"a data product's file cannot be read ({type(error).__name__})"
        raise Retryable(detail, reason="file_unavailable") from error
    except (ImportError, ValueError) as error:
        raise Misconfigured(f"fetch_from: the file system of that address cannot be used: {error}") from error


def _http_chunks(url: str) -> Iterator[bytes]:
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Accept-Encoding"] = "identity"
        try:
            with http.get(url, timeout=FETCH_SECONDS, allow_redirects=False, stream=True) as response:
                if response.status_code in {408, 425, 429} or response.status_code >= 500:
                    detail = f"a data product's file cannot be fetched now (HTTP {response.status_code})"
                    raise Retryable(detail, reason="file_unavailable")
                if response.status_code != 200:
                    raise Rejected("fetch_failed", f"the file's address answers HTTP {response.status_code}")
                yield from response.iter_content(1 << 20)
        except ValueError as error:  # InvalidURL, InvalidSchema and their like
            raise Rejected("fetch_failed", f"the file's address cannot be fetched ({type(error).__name__})") from error
        except requests.RequestException as error:
            detail = f"a data product's file cannot be fetched now ({type(error).__name__})"
            raise Retryable(detail, reason="file_unavailable") from error
