"""Records as clients see them, and as they are kept."""

import re
from datetime import datetime
from typing import Final
from uuid import UUID

from attrs import frozen

TABLE: Final = r"[a-z][a-z0-9_]{0,62}"
TABLE_MEANING: Final = "a lower-case letter, then at most 62 lower-case letters, digits or _"
CHECKSUM: Final = r"[0-9a-f]{64}"
CHECKSUM_MEANING: Final = "a SHA-256 as 64 lower-case hex digits"

is_table = re.compile(TABLE).fullmatch
is_checksum = re.compile(CHECKSUM).fullmatch


@frozen(kw_only=True)
class Record:
    """What is known of a record; its content is ciphertext."""

    id: UUID
    table: str
    checksum: str
    size_bytes: int
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class Blob:
    """Where the bytes of a record or a backup are, and what they have to be."""

    key: str
    checksum: str
    size: int
    modified: datetime
    blocks: bytes | None = None  # the checksums of its blocks (`adiuva.blobs.blocks`)


@frozen(kw_only=True)
class UsageOf:
    """How much of a share is used; no quota is "without a limit"."""

    used_bytes: int
    quota_bytes: int | None


@frozen(kw_only=True)
class Usage:
    """A user's two shares."""

    records: UsageOf
    backups: UsageOf
