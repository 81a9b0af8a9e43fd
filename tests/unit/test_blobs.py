"""A data product's bytes: packed, verified, and never from where the operator did not allow it."""

import base64
import gzip
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.blobs import INLINE_BYTES, fetch, may_be_fetched, pack, sha256
from bridge.errors import Rejected
from bridge.events import DataProduct, InlineContent, ReferencedContent


def product(content: bytes, place: InlineContent | ReferencedContent | None = None, **changed: Any) -> DataProduct:
    about: dict[str, Any] = {"name": "a.csv", "data_product_type": "photometry", "content": place or pack(content)}
    return DataProduct(**(about | {"size": len(content), "sha256": sha256(content)} | changed))


def fetched(wanted: DataProduct, most_bytes: int = 10**9) -> bytes:
    return fetch(wanted, allowed=[], most_bytes=most_bytes)


def end_of(wanted: DataProduct) -> bytes | str:
    try:
        return fetched(wanted)
    except Rejected as error:
        return error.reason


def reason(wanted: DataProduct, most_bytes: int = 10**9) -> str:
    with pytest.raises(Rejected) as refused:
        fetched(wanted, most_bytes)
    return refused.value.reason


@given(st.binary(max_size=3_000))
def test_what_was_packed_comes_out_as_it_was(content: bytes) -> None:
    assert fetched(product(content)) == content


@given(st.binary(max_size=300))
def test_the_same_bytes_pack_the_same(content: bytes) -> None:
    assert pack(content) == pack(content)


def test_a_file_that_stays_large_when_packed_does_not_go_inline() -> None:
    import random

    noise = random.Random(4).randbytes(INLINE_BYTES)

    assert pack(noise) is None
    assert pack(noise[: INLINE_BYTES // 2]) is not None
    assert pack(b"0" * 10 * INLINE_BYTES) is not None


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_single_damaged_byte_is_found(content: bytes, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(content, mtime=0))
    where = data.draw(st.integers(10, len(packed) - 9))
    packed[where] ^= 1 << data.draw(st.integers(0, 7))
    wanted = product(content, InlineContent(data=base64.b64encode(packed).decode()))

    assert end_of(wanted) in {content, "product_damaged"}  # some bits do not matter to gzip


@pytest.mark.parametrize(
    "data",
    [
        "",
        "not base64!",
        base64.b64encode(b"not gzip").decode(),
        base64.b64encode(gzip.compress(b"hello", mtime=0)[:12]).decode(),
        base64.b64encode(gzip.compress(b"hello", mtime=0)).decode()[:-1],
        "é",
    ],
)
def test_what_is_no_packed_file_is_damaged(data: str) -> None:
    assert reason(product(b"hello", InlineContent(data=data))) == "product_damaged"


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"size": 4}, {"size": 6}])
def test_size_and_hash_have_to_be_what_the_event_says(changed: dict[str, Any]) -> None:
    assert reason(product(b"hello", **changed)) == "product_damaged"


def test_a_file_larger_than_allowed_is_not_even_unpacked() -> None:
    bad = product(b"hello", InlineContent(data="not base64!"))

    assert reason(bad, most_bytes=4) == "product_too_large"
    assert reason(bad, most_bytes=5) == "product_damaged"


def test_a_bomb_stays_small() -> None:
    """A hundred megabytes of zeros, announced as ten bytes, take about as much memory as those."""
    packed = base64.b64encode(gzip.compress(bytes(100_000_000), compresslevel=1)).decode()
    bomb = product(bytes(10), InlineContent(data=packed))
    tracemalloc.start()
    try:
        assert reason(bomb) == "product_damaged"
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10 * len(packed)


def test_a_reference_is_refused_where_nothing_is_allowed() -> None:
    assert reason(product(b"x", ReferencedContent(url="https://ok.org/x"))) == "fetch_not_allowed"


ALLOWED = ["https://ok.org/data/", "https://files.ok.org:8443", "s3://bucket/shared"]
FETCHED = [
    "https://ok.org/data/a.fits",
    "https://ok.org/data/deep/er/a.fits",
    "HTTPS://OK.ORG/data/a.fits",
    "https://ok.org/data/a%20b.fits",
    "https://ok.org/data/a.fits?version=2",
    "https://ok.org/data/..a/b..fits",
    "https://files.ok.org:8443/anything",
    "s3://bucket/shared/a.fits",
]
REFUSED = {
    "another host": "https://evil.org/data/a.fits",
    "a host that begins alike": "https://ok.org.evil.org/data/a.fits",
    "a host that ends alike": "https://evilok.org/data/a.fits",
    "a host below": "https://sub.ok.org/data/a.fits",
    "a user that looks like the host": "https://ok.org@evil.org/data/a.fits",
    "a user at the host": "https://user@ok.org/data/a.fits",
    "an empty user": "https://@ok.org/data/a.fits",
    "a password": "https://user:pw@ok.org/data/a.fits",
    "another scheme": "http://ok.org/data/a.fits",
    "a file": "file:///data/a.fits",
    "another port": "https://ok.org:8443/data/a.fits",
    "no port": "https://files.ok.org/anything",
    "a port that is no number": "https://ok.org:x/data/a.fits",
    "a path that begins alike": "https://ok.org/database/a.fits",
    "the path above": "https://ok.org/",
    "another case of the path": "https://ok.org/DATA/a.fits",
    "a way up": "https://ok.org/data/../secret",
    "an encoded way up": "https://ok.org/data/%2e%2e/secret",
    "an encoded slash on the way up": "https://ok.org/data/..%2fsecret",
    "a way up at the end": "https://ok.org/data/..",
    "a backslash": "https://ok.org/data/..\\..\\secret",
    "an encoded backslash": "https://ok.org/data/..%5csecret",
    "a backslash before the host": "https://evil.org\\@ok.org/data/a.fits",
    "another bucket": "s3://bucket2/shared/a.fits",
    "a broken IPv6 address": "https://[::1/data/a.fits",
    "no address": "",
    "a path": "/data/a.fits",
    "without a scheme": "//ok.org/data/a.fits",
    "a tab in the host": "https://ok.\torg/data/a.fits",
    "a line end in the scheme": "ht\ntps://ok.org/data/a.fits",
}


@pytest.mark.parametrize("url", FETCHED)
def test_what_is_below_an_allowed_prefix_may_be_fetched(url: str) -> None:
    assert may_be_fetched(url, ALLOWED)


@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_may_not(case: str) -> None:
    assert not may_be_fetched(REFUSED[case], ALLOWED)


@given(st.text(max_size=60))
def test_nothing_may_be_fetched_where_nothing_is_allowed_and_no_address_breaks_the_question(url: str) -> None:
    assert not may_be_fetched(url, [])
    assert not may_be_fetched(url, ALLOWED)
    may_be_fetched(f"https://ok.org/{url}", ALLOWED)
