"""How Hypothesis tries properties: by examples, never by the clock of the machine.

All examples in `make test`, a twentieth in `make test-fast`.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Upon what Hypothesis takes by itself: in CI it tries the same examples each time.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")
settings.register_profile("fast", max_examples=5)  # of 100, which is Hypothesis's own measure


def tried(count: int) -> Callable[[Any], Any]:
    """Tries a property with the share of `count` examples that this run's profile wants.

    Coverage, which would double its time, is not measured meanwhile: what hundreds of examples
    run, the examples that are written down run too.
    """
    limits = settings(max_examples=max(1, count * settings().max_examples // 100))
    return lambda test: pytest.mark.no_cover(limits(test))
