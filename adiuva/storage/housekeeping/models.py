"""What housekeeping did, and what verifying found."""

from uuid import UUID

from attrs import define, field, frozen


@define(kw_only=True)
class Tidied:
    """What one round has put right."""

    abandoned: int = 0  # uploads whose server died; their reservations are given back
    deleted: int = 0  # blobs that had to go
    orphans: int = 0  # blobs that neither a row nor an upload knew of
    repaired: int = 0  # counters of usage that were wrong


@frozen(kw_only=True)
class StoredRow:
    """A row of a record or a backup."""

    key: str
    checksum: str
    size: int


@frozen(kw_only=True)
class Finding:
    """A row whose bytes are not what it says, or bytes without a row."""

    key: str
    fault: str


@define(kw_only=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    rows: int = 0
    size: int = 0
    findings: list[Finding] = field(factory=list)


@frozen(kw_only=True)
class Counter:
    """A row of usage that does not agree with what is stored."""

    user_id: UUID
    kind: str
