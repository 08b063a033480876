"""The one place that tells the time and makes ids, so that tests can hold both still."""

from datetime import UTC, datetime
from uuid import UUID, uuid4


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A new random id (version 4)."""
    return uuid4()
