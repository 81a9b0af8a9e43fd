"""Settings of the unit tests: enough examples to find things, few enough to stay below ten seconds in all."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit",
    max_examples=25,
    derandomize=os.environ.get("CI") == "true",  # CI repeats itself; everybody else explores
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("unit")
