"""The clock, read by views and tasks alone; below them the instant is passed in."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant in UTC, to the microsecond."""
    return datetime.now(UTC)
