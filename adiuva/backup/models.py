"""Backups as clients see them, and as they are kept."""

from datetime import datetime
from uuid import UUID

from attrs import frozen


@frozen(kw_only=True)
class Label:
    """What a client says of a backup."""

    version: str
    timestamp: datetime


@frozen(kw_only=True)
class Backup:
    """What is known of a backup; its content is ciphertext."""

    id: UUID
    version: str
    timestamp: datetime
    checksum: str
    size_bytes: int
    created_at: datetime


@frozen(kw_only=True)
class StoredBackup:
    """A backup, and where its bytes are."""

    backup: Backup
    key: str
    blocks: bytes | None  # checksums of its blocks (`adiuva.blobs.blocks`)
