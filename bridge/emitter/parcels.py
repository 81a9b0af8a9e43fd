"""What has to be told to whom, from what changed and what was asked for: a pure decision."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Going", "Noted", "Parcel", "Recipient", "parcels_of_changes"]

Going = tuple[str, int]
"""A row that goes: label of its model, in lower case, and its primary key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A change, as the decision needs it.

    Parameters
    ----------
    number
        Its place in the order of changes.
    kind
        ``target`` (anything that belongs to the target itself), ``datum``, ``product`` or ``share``.
    row
        The row that changed.
    product
        Of a datum: the data product that it came from.
    hops
        The TOMs it had been through when it arrived, the last one first sender included; None for a local change.
    """

    number: int
    kind: str
    row: Going
    product: int | None = None
    hops: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A destination that a target's changes may go to.

    Parameters
    ----------
    is_hub
        Whether what arrived through the bridge goes there, too.
    consented_from
        Number of the change that made the ``PersistentShare`` that is the consent, if one is: what was there before it does
        not go.
    """

    is_hub: bool
    consented_from: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What goes out together: the target, if the stream has not been told its present state yet, then these rows.

    Parameters
    ----------
    hops
        The TOMs that it has been through before this one.
    datums, products
        Rows that go, each once, in the order in which they were written.
    of_products
        Datums that came from a data product, with its primary key. They go with that product, and by themselves only if
        the product has no file.
    tells_target
        Whether something about the target itself is new.
    """

    hops: tuple[str, ...] = ()
    tells_target: bool = False
    datums: tuple[Going, ...] = ()
    products: tuple[int, ...] = ()
    of_products: tuple[tuple[Going, int], ...] = ()


def parcels_of_changes(changes: Sequence[Noted], recipient: Recipient, *, done: Collection[Going] = ()) -> Iterator[Parcel]:
    """Yield what goes to one recipient, local changes first, then what arrived, by where it has been.

    Parameters
    ----------
    changes
        Of one target, in order.
    recipient
        Who may have them.
    done
        Rows that go there already because somebody asked for it.
    """
    routes: dict[tuple[str, ...], list[Noted]] = {}
    for change in changes:
        if change.hops is None:
            routes.setdefault((), []).append(change)
        elif change.hops and recipient.is_hub:  # where it came from is known, and so where it must not go back
            routes.setdefault(change.hops, []).append(change)
    for hops in sorted(routes, key=len):
        fresh = [change for change in routes[hops] if change.number > recipient.consented_from and change.row not in done]
        tells_target = any(change.kind in {"target", "share"} for change in routes[hops])
        if not fresh and not tells_target:
            continue
        yield Parcel(
            hops=hops,
            tells_target=tells_target,
            datums=_once(change.row for change in fresh if change.kind == "datum" and change.product is None),
            products=tuple(pk for _model, pk in _once(change.row for change in fresh if change.kind == "product")),
            of_products=tuple(
                dict.fromkeys(
                    (change.row, change.product) for change in fresh if change.kind == "datum" and change.product is not None
                )
            ),
        )


def _once(rows: Iterable[Going]) -> tuple[Going, ...]:
    return tuple(dict.fromkeys(rows))
