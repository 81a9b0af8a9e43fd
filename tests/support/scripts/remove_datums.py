"""Remove the datums that were made of a data product, and leave the product: run inside a TOM by `Tom.run_script`.

The payload is ``{"product": primary key}``, the result how many there were.
"""

import json
import sys

from tom_dataproducts import models as data

product = json.load(sys.stdin)["product"]
models = getattr(data, "REDUCED_DATUM_MODELS", (data.ReducedDatum,))
removed = sum(model.objects.filter(data_product=product).delete()[0] for model in models)
print("TOM-RESULT " + json.dumps(removed))
