"""How many examples a property is tried with: all in `make test`, a tenth in `make test-fast`."""

from hypothesis import settings

settings.register_profile("fast", max_examples=10)  # of 100, which is Hypothesis's own measure


def examples(count: int) -> int:
    """The share of `count` that this run's profile of Hypothesis wants."""
    return max(1, count * settings().max_examples // 100)
