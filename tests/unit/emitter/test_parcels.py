"""What goes to whom: every row that may go goes once, nothing else does, and nobody gets back what they sent."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.emitter.parcels import Noted, Parcel, Recipient, parcels_of_changes

A, B = "https://a.example.org/", "https://b.example.org/"
PLAIN, HUB = Recipient(is_hub=False), Recipient(is_hub=True)

rows = st.tuples(st.sampled_from(["app.photometry", "app.spectroscopy"]), st.integers(1, 20))
kinds = st.sampled_from(["target", "datum", "datum", "datum", "product"])
routes = st.sampled_from([None, None, (A,), (A, B), (B,)])


@st.composite
def histories(draw: st.DrawFn) -> list[Noted]:
    """Return changes of one target, in order; a row is noted at most once, as the database does for what is new."""
    drawn = draw(st.lists(st.tuples(kinds, rows, routes, st.none() | st.integers(1, 3)), max_size=40, unique_by=lambda x: x[1]))
    return [
        Noted(number=number, kind=kind, row=row, product=product if kind == "datum" else None, hops=hops)
        for number, (kind, row, hops, product) in enumerate(drawn)
    ]


def sent(parcels: list[Parcel]) -> list[tuple[str, int]]:
    """Return the datums that go, alone or with a product."""
    return [row for parcel in parcels for row in (*parcel.datums, *(row for row, _product in parcel.of_products))]


def datum(number: int, *, hops: tuple[str, ...] | None = None, product: int | None = None) -> Noted:
    return Noted(number=number, kind="datum", row=("app.photometry", number), product=product, hops=hops)


def shared(number: int, *, pk: int) -> Noted:
    return Noted(number=number, kind="share", row=("tom_targets.persistentshare", pk))


@given(histories())
def test_every_local_datum_goes_once_and_nothing_that_arrived_does(history: list[Noted]) -> None:
    parcels = list(parcels_of_changes(history, PLAIN))

    assert sorted(sent(parcels)) == sorted(change.row for change in history if change.kind == "datum" and change.hops is None)
    assert all(parcel.hops == () for parcel in parcels)


@given(histories())
def test_a_hub_passes_everything_on_once_and_says_where_it_has_been(history: list[Noted]) -> None:
    parcels = list(parcels_of_changes(history, HUB))

    assert sorted(sent(parcels)) == sorted(change.row for change in history if change.kind == "datum")
    by_row = {change.row: change.hops or () for change in history}
    assert all(by_row[row] == parcel.hops for parcel in parcels for row in sent([parcel]))
    assert len({parcel.hops for parcel in parcels}) == len(parcels)


@given(histories(), st.integers(0, 40))
def test_what_was_there_before_a_share_does_not_go_with_it(history: list[Noted], position: int) -> None:
    at = min(position, len(history))
    ordered = [*history[:at], shared(0, pk=7), *history[at:]]
    renumbered = [Noted(number=n, kind=c.kind, row=c.row, product=c.product, hops=c.hops) for n, c in enumerate(ordered)]

    parcels = list(parcels_of_changes(renumbered, Recipient(is_hub=False, consented_from=at)))

    after = [change.row for change in history[at:] if change.kind == "datum" and change.hops is None]
    assert sorted(sent(parcels)) == sorted(after)
    assert parcels[0].tells_target


def test_what_goes_already_because_somebody_asked_for_it_does_not_go_again() -> None:
    parcels = list(parcels_of_changes([datum(1), datum(2)], PLAIN, done={("app.photometry", 1)}))

    assert sent(parcels) == [("app.photometry", 2)]


def test_datums_of_a_product_are_told_from_others() -> None:
    product = Noted(number=0, kind="product", row=("tom_dataproducts.dataproduct", 5))

    (parcel,) = parcels_of_changes([product, datum(1, product=5), datum(2)], PLAIN)

    assert parcel.products == (5,)
    assert parcel.of_products == ((("app.photometry", 1), 5),)
    assert parcel.datums == (("app.photometry", 2),)


def test_only_what_arrived_tells_a_plain_recipient_nothing() -> None:
    arrived = Noted(number=0, kind="target", row=("tom_targets.basetarget", 1), hops=(A,))

    assert list(parcels_of_changes([arrived, datum(1, hops=(A,))], PLAIN)) == []


def test_a_local_edit_of_an_imported_target_is_told() -> None:
    arrived = Noted(number=0, kind="target", row=("tom_targets.basetarget", 1), hops=(A,))
    edited = Noted(number=1, kind="target", row=("tom_targets.targetname", 9))

    (parcel,) = parcels_of_changes([arrived, edited], PLAIN)

    assert parcel == Parcel(tells_target=True)
