"""The SQL of backups. Locks are taken in one order: intent, backup, usage."""

from datetime import timedelta
from uuid import UUID

import asyncpg

from adiuva.backup.models import Backup, Label, StoredBackup
from adiuva.database import Connection
from adiuva.storage.uploads.models import Doomed
from adiuva.web.paging import Page


async def insert_backup(
    conn: Connection,
    *,
    intent_id: UUID,
    user_id: UUID,
    backup_id: UUID,
    label: Label,
    checksum: str,
    size: int,
    blocks: bytes | None,
) -> Backup | None:
    """Turn an upload into a backup; None if the upload has lost its lease."""
    row = await conn.fetchrow(
        """
        WITH upload AS (
            SELECT id, blob_key, reserved_bytes FROM storage_intents
            WHERE id = $1 AND state = 'upload'
            FOR UPDATE
        ), usage AS (
            UPDATE storage_usage AS usage
            SET used_bytes = used_bytes + $7::bigint, reserved_bytes = usage.reserved_bytes - upload.reserved_bytes
            FROM upload
            WHERE usage.user_id = $2 AND usage.kind = 'backups'
            RETURNING usage.user_id
        ), stored AS (
            INSERT INTO backup_metadata
                (id, user_id, version, taken_at, blob_key, checksum, size_bytes, block_checksums)
            SELECT $3, $2, $4, $5, upload.blob_key, $6, $7, $8 FROM upload, usage
            RETURNING id, version, taken_at AS timestamp, checksum, size_bytes, created_at
        ), done AS (
            DELETE FROM storage_intents USING stored WHERE storage_intents.id = $1
        )
        SELECT id, version, timestamp, checksum, size_bytes, created_at FROM stored
        """,
        intent_id,
        user_id,
        backup_id,
        label.version,
        label.timestamp,
        checksum,
        size,
        blocks,
    )
    return Backup(**row) if row else None


async def delete_backup(
    conn: Connection, *, intent_id: UUID, user_id: UUID, backup_id: UUID, lease: timedelta
) -> Doomed | None:
    """Delete a backup, and doom its bytes; None if there is none."""
    row = await conn.fetchrow(
        """
        WITH old AS (
            SELECT id, blob_key, size_bytes FROM backup_metadata WHERE user_id = $2 AND id = $3 FOR UPDATE
        ), counter AS (
            SELECT usage.used_bytes - old.size_bytes AS used
            FROM storage_usage AS usage, old
            WHERE usage.user_id = $2 AND usage.kind = 'backups'
            FOR UPDATE OF usage
        ), usage AS (
            UPDATE storage_usage AS usage SET used_bytes = counter.used
            FROM counter
            WHERE usage.user_id = $2 AND usage.kind = 'backups'
            RETURNING usage.user_id
        ), gone AS (
            DELETE FROM backup_metadata USING old, usage
            WHERE backup_metadata.id = old.id
            RETURNING old.blob_key
        )
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT $1, $2, 'backups', 'doomed', blob_key, 0, now() + $4::interval FROM gone
        RETURNING id, blob_key AS key
        """,
        intent_id,
        user_id,
        backup_id,
        lease,
    )
    return Doomed(**row) if row else None


async def find_backup(conn: Connection, user_id: UUID, backup_id: UUID) -> StoredBackup | None:
    """One backup of a user."""
    row = await conn.fetchrow(
        """
        SELECT id, version, taken_at AS timestamp, checksum, size_bytes, created_at, blob_key,
            block_checksums AS blocks
        FROM backup_metadata
        WHERE user_id = $1 AND id = $2
        """,
        user_id,
        backup_id,
    )
    return _stored(row)


async def find_newest(conn: Connection, user_id: UUID) -> StoredBackup | None:
    """The backup of a user that was taken last."""
    row = await conn.fetchrow(
        """
        SELECT id, version, taken_at AS timestamp, checksum, size_bytes, created_at, blob_key,
            block_checksums AS blocks
        FROM backup_metadata
        WHERE user_id = $1
        ORDER BY taken_at DESC, created_at DESC, id
        LIMIT 1
        """,
        user_id,
    )
    return _stored(row)


async def list_backups(conn: Connection, user_id: UUID, page: Page) -> tuple[list[Backup], int]:
    """A page of a user's backups, the last taken first; and how many there are in all pages."""
    rows = await conn.fetch(
        """
        WITH counted AS (
            SELECT count(*) AS total FROM backup_metadata WHERE user_id = $1
        ), page AS (
            SELECT id, version, taken_at AS timestamp, checksum, size_bytes, created_at
            FROM backup_metadata
            WHERE user_id = $1
            ORDER BY taken_at DESC, created_at DESC, id
            LIMIT $2 OFFSET $3
        )
        SELECT page.*, counted.total
        FROM counted LEFT JOIN page ON true
        ORDER BY page.timestamp DESC, page.created_at DESC, page.id
        """,
        user_id,
        page.limit,
        page.offset,
    )
    items = [dict(row) for row in rows if row["id"] is not None]
    for item in items:
        del item["total"]
    return [Backup(**item) for item in items], rows[0]["total"]


def _stored(row: asyncpg.Record | None) -> StoredBackup | None:
    if row is None:
        return None
    values = dict(row)
    return StoredBackup(key=values.pop("blob_key"), blocks=values.pop("blocks"), backup=Backup(**values))
