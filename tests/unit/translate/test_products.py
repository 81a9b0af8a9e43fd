"""How a destination's copy of a data product is recognised."""

from bridge import schemas
from bridge.events import DataProductShared, TomIdentity
from bridge.translate.products import PRODUCT_MARK, product_id

HUB = TomIdentity(name="Hub", url="https://hub.example.org/")


def example() -> DataProductShared:
    body = schemas.example_events()["data_product"].body
    assert isinstance(body, DataProductShared)
    return body


def test_a_product_is_another_one_at_another_source_target_or_with_another_content() -> None:
    shared = example()
    of_target = shared.target.model_copy(update={"primary_key": 4711})
    other = shared.product.model_copy(update={"sha256": "0" * 64})

    ids = {
        product_id(shared.product, tom=shared.tom, target=shared.target),
        product_id(shared.product, tom=HUB, target=shared.target),
        product_id(shared.product, tom=shared.tom, target=of_target),
        product_id(other, tom=shared.tom, target=shared.target),
    }

    assert len(ids) == 4
    assert all(identifier.startswith(PRODUCT_MARK) and len(identifier) <= 255 for identifier in ids)


def test_a_product_that_a_hub_passes_on_is_the_one_that_it_was() -> None:
    shared = example()
    first = product_id(shared.product, tom=shared.tom, target=shared.target)
    at_hub = shared.product.model_copy(update={"product_id": first, "origin": None})

    assert product_id(at_hub, tom=HUB, target=shared.target, hops=(shared.tom.url,)) == first
    assert product_id(at_hub, tom=HUB, target=shared.target) != first
