"""How property tests choose their random cases. `tests/conftest.py` calls this before it collects any test.

`make test` draws the same cases from the same code every time. `make explore` draws new ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

REPEATABLE, EXPLORE = "repeatable", "explore"


def load_profiles() -> None:
    """Register both profiles and load the repeatable one; `--hypothesis-profile` overrides that later."""
    slow = [HealthCheck.too_slow]
    settings.register_profile(REPEATABLE, derandomize=True, database=None, deadline=None, suppress_health_check=slow)
    settings.register_profile(EXPLORE, deadline=None, suppress_health_check=slow, print_blob=True)
    settings.load_profile(REPEATABLE)
    # Hypothesis also draws constants from the modules that happen to be loaded. Which those are depends on the tests
    # that ran before, so the same code would get other cases in another order or alone.
    if hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = lambda: providers._local_constants
