"""TOM Toolkit's models that the emitter reads; reduced datums have one table in 2.x, and four in 3.x."""

from typing import Any

from django.apps import apps

__all__ = ["PRODUCT", "SHARE", "datum_models", "is_typed", "targets"]

PRODUCT = "tom_dataproducts.dataproduct"
SHARE = "tom_targets.persistentshare"
"""Labels of models, in lower case."""

_DATUM_MODELS = ("ReducedDatum", "PhotometryReducedDatum", "SpectroscopyReducedDatum", "AstrometryReducedDatum")


def datum_models() -> list[Any]:
    """Return the models of reduced datums that this version of TOM Toolkit has."""
    names = {model.__name__ for model in apps.get_app_config("tom_dataproducts").get_models()}
    return [apps.get_model("tom_dataproducts", name) for name in _DATUM_MODELS if name in names]


def is_typed(model: Any) -> bool:
    """Whether a model has columns for what was measured (3.x), instead of a JSON value that holds it (2.x)."""
    return str(model.__name__) != "ReducedDatum"


def targets() -> Any:
    """Return the model of this TOM's targets, which may be its own."""
    from tom_targets.models import Target  # noqa: PLC0415  not before Django is set up

    return Target
