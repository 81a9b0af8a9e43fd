"""Data products: how a destination's copy of one is recognised."""

import hashlib
from collections.abc import Sequence

from bridge.events import DataProduct, TargetIdentity, TomIdentity, canonical_json

__all__ = ["DATUMS_MARK", "PRODUCT_MARK", "product_id"]

PRODUCT_MARK = "tom-bridge "
"""How the ``product_id`` of every product begins that came through the bridge."""
DATUMS_MARK = f"{PRODUCT_MARK}datums "
"""How that of a file begins that is nothing but datums, written at once; where others have 32 hexadecimal digits."""


def product_id(product: DataProduct, *, tom: TomIdentity, target: TargetIdentity, hops: Sequence[str] = ()) -> str:
    """Return the ``product_id`` of a product at a destination: unique to source, product, content and target.

    One that a hub passes on keeps the one it has there, so that it is one product at a destination which hears of it from
    several hubs.
    """
    if hops and product.product_id.startswith(PRODUCT_MARK):
        return product.product_id
    own = product.origin.primary_key if product.origin else product.product_id or product.name
    key = target.primary_key if target.primary_key is not None else target.name
    digest = hashlib.sha256(canonical_json([tom.url, own, product.sha256, key])).hexdigest()
    readable = " ".join((product.product_id or product.name).split())  # a TOM trims what it is given
    return f"{PRODUCT_MARK}{digest[:32]} {readable}"[:255].strip()
