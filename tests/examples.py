"""How many examples a property gets: all in `make test`, a twentieth in `make test-fast`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("fast", max_examples=5)  # of 100, which is Hypothesis's own measure


def tried(count: int) -> Callable[[Any], Any]:
    """Tries a property with the share of `count` examples that this run's profile wants.

    Coverage, which would double its time, is not measured meanwhile: what hundreds of examples
    run, the examples that are written down run too.
    """
    limits = settings(max_examples=max(1, count * settings().max_examples // 100), deadline=None)
    return lambda test: pytest.mark.no_cover(limits(test))
