"""Share events: what TOMs tell each other, and the words for it.

An event is a CloudEvent [1]_ whose body (its ``data``) is one of the four models in ``shares``. Field names
are TOM Toolkit's own wherever it has one (``tom_targets.base_models.BaseTarget`` and the typed reduced datums of
TOM Toolkit 3). Angles are degrees (ICRS for positions, J2000 ecliptic for orbital elements) unless a field says otherwise.
Unknown fields are kept, so that a tool which passes an event on loses nothing of a later version.

.. [1] https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from bridge.events.canonical import canonical_json, normalise_url, simplify_name, utc_text
from bridge.events.datums import (
    AstrometryDatum,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    SpectroscopyDatum,
    datum_identities,
    datum_identity,
    datum_value,
)
from bridge.events.products import DataProduct, InlineContent, ReferencedContent
from bridge.events.shares import (
    EVENT_TYPES,
    RESERVED_TYPES,
    DataProductShared,
    Destinations,
    Hops,
    ListMember,
    ReducedDatumsShared,
    ShareBody,
    ShareEvent,
    TargetListShared,
    TargetShared,
)
from bridge.events.targets import Target, TargetIdentity
from bridge.events.words import Origin, TomIdentity

__all__ = [
    "EVENT_TYPES",
    "RESERVED_TYPES",
    "AstrometryDatum",
    "DataProduct",
    "DataProductShared",
    "Destinations",
    "Hops",
    "InlineContent",
    "ListMember",
    "Origin",
    "OtherDatum",
    "PhotometryDatum",
    "ReducedDatum",
    "ReducedDatumsShared",
    "ReferencedContent",
    "ShareBody",
    "ShareEvent",
    "SpectroscopyDatum",
    "Target",
    "TargetIdentity",
    "TargetListShared",
    "TargetShared",
    "TomIdentity",
    "canonical_json",
    "datum_identities",
    "datum_identity",
    "datum_value",
    "normalise_url",
    "simplify_name",
    "utc_text",
]
