"""Changes as clients see them."""

from datetime import datetime
from uuid import UUID

from attrs import frozen


@frozen(kw_only=True)
class Change:
    """What became of a record last; of one that is deleted there is nothing else to tell."""

    id: UUID
    table: str
    deleted: bool
    checksum: str | None
    size_bytes: int | None
    created_at: datetime | None
    updated_at: datetime  # or deleted


@frozen(kw_only=True)
class Changes:
    """What comes after a cursor, and the cursor that comes after this."""

    items: list[Change]
    cursor: str
    has_more: bool
