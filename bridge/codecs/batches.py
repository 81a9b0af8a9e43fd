"""Splitting what does not fit into one event."""

from collections.abc import Callable, Iterator, Sequence

from bridge.codecs.native import MAX_RECORD_BYTES
from bridge.events import ReducedDatum

__all__ = ["BATCH_BYTES", "PRODUCT_DATUM_BYTES", "fit_beside_file", "split_datums"]

BATCH_BYTES = MAX_RECORD_BYTES - 50_000
"""Room for an event's datums; the rest is for its identity block, key and headers (a target with 400 long aliases)."""

PRODUCT_DATUM_BYTES = 300_000
"""Bytes that a data product's datums may take in its event, beside the file."""


def fit_beside_file(datums: Sequence[ReducedDatum]) -> bool:
    """Whether the datums that processing a data product made fit into its event, beside the file."""
    return sum(_size(datum) for datum in datums) <= PRODUCT_DATUM_BYTES


def split_datums(
    datums: Sequence[ReducedDatum],
    *,
    most_bytes: int = BATCH_BYTES,
    too_large: Callable[[ReducedDatum, int], None],
) -> Iterator[tuple[ReducedDatum, ...]]:
    """Split datums into batches, in order, each of which fits into one event.

    Parameters
    ----------
    datums
        Any number of them.
    most_bytes
        Bytes that the datums of one event may take, as JSON.
    too_large
        Called with a datum that alone is larger than that, and its size; it is left out.

    Yields
    ------
    tuple of ReducedDatum
        At least one each.
    """
    batch: list[ReducedDatum] = []
    used = 0
    for datum in datums:
        size = _size(datum)
        if size > most_bytes:
            too_large(datum, size)
            continue
        if used + size > most_bytes:
            yield tuple(batch)
            batch, used = [], 0
        batch.append(datum)
        used += size
    if batch:
        yield tuple(batch)


def _size(datum: ReducedDatum) -> int:
    """Return the bytes that a datum takes in a list, its comma included."""
    return len(datum.model_dump_json(exclude_none=True).encode()) + 1
