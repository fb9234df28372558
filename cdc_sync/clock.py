"""This machine's clock, for people to read: nothing is decided by it that a wrong clock could break."""

from datetime import UTC, datetime, timedelta


def now(*, days: float = 0) -> str:
    """ISO 8601 in UTC; so many days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
