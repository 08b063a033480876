"""The SQL of records. A change of a record, of the usage and of the intent is one statement.

Locks are taken in one order: intent, record, usage. The usage row's lock is held from when a change gets its number to
the commit, so that nobody sees a change before all those with lower numbers.

What is subtracted was read under a lock, and so has to be what it is subtracted from: PostgreSQL checks the constraints
of an UPDATE that waited for a lock with what was there before, too. Hence ``counter``.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from adiuva.database import Connection
from adiuva.storage.errors import IdTakenError
from adiuva.storage.models import Blob, Record
from adiuva.storage.uploads.models import Doomed
from adiuva.web.paging import Page

CHANNEL = "adiuva_storage"
"""What is told here is that a user has changes, and up to which number."""


async def insert_record(
    conn: Connection,
    *,
    intent_id: UUID,
    user_id: UUID,
    record_id: UUID,
    table: str,
    checksum: str,
    size: int,
    blocks: bytes | None,
) -> Record | None:
    """Turn an upload into a record; None if the upload has lost its lease.

    Raises:
        IdTakenError: the user has a record of this id.
    """
    try:
        row = await conn.fetchrow(
            """
            WITH upload AS (
                SELECT id, blob_key, reserved_bytes FROM storage_intents
                WHERE id = $1 AND state = 'upload'
                FOR UPDATE
            ), usage AS (
                UPDATE storage_usage AS usage
                SET used_bytes = used_bytes + $6::bigint,
                    reserved_bytes = usage.reserved_bytes - upload.reserved_bytes,
                    last_change = last_change + 1
                FROM upload
                WHERE usage.user_id = $2 AND usage.kind = 'records'
                RETURNING usage.last_change
            ), stored AS (
                INSERT INTO storage_records
                    (user_id, id, table_name, blob_key, checksum, size_bytes, block_checksums, change)
                SELECT $2, $3, $4, upload.blob_key, $5, $6, $8, usage.last_change FROM upload, usage
                RETURNING id, created_at, updated_at
            ), revived AS (
                DELETE FROM storage_tombstones USING stored
                WHERE storage_tombstones.user_id = $2 AND storage_tombstones.id = stored.id
            ), done AS (
                DELETE FROM storage_intents USING stored WHERE storage_intents.id = $1
            )
            SELECT created_at, updated_at, pg_notify($7, $2 || ' ' || usage.last_change) FROM stored, usage
            """,
            intent_id,
            user_id,
            record_id,
            table,
            checksum,
            size,
            CHANNEL,
            blocks,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "storage_records_pkey":
            raise
        raise IdTakenError from None
    if row is None:
        return None
    return Record(
        id=record_id,
        table=table,
        checksum=checksum,
        size_bytes=size,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def replace_record(
    conn: Connection,
    *,
    intent_id: UUID,
    user_id: UUID,
    record_id: UUID,
    checksum: str,
    size: int,
    blocks: bytes | None,
    quota: int | None,
    expected: Sequence[str] | None,
    lease: timedelta,
) -> tuple[Record, str] | None:
    """Let a record have the bytes of an upload; gives it, and the key of the bytes it had, which the intent now dooms.

    None if there is no such record, its checksum is none of ``expected``, it would grow over the quota, or the upload
    has lost its lease.
    """
    row = await conn.fetchrow(
        """
        WITH upload AS (
            SELECT id, blob_key, reserved_bytes FROM storage_intents
            WHERE id = $1 AND state = 'upload'
            FOR UPDATE
        ), old AS (
            SELECT blob_key, size_bytes FROM storage_records
            WHERE user_id = $2 AND id = $3 AND ($7::text[] IS NULL OR checksum = ANY($7))
            FOR UPDATE
        ), counter AS (
            SELECT
                usage.used_bytes + $5::bigint - old.size_bytes AS used,
                usage.reserved_bytes - upload.reserved_bytes AS reserved,
                usage.last_change + 1 AS change,
                $5 - old.size_bytes <= upload.reserved_bytes AS is_covered
            FROM storage_usage AS usage, upload, old
            WHERE usage.user_id = $2 AND usage.kind = 'records'
            FOR UPDATE OF usage
        ), usage AS (
            UPDATE storage_usage AS usage
            SET used_bytes = counter.used, reserved_bytes = counter.reserved, last_change = counter.change
            FROM counter
            WHERE usage.user_id = $2 AND usage.kind = 'records'
                AND ($6::bigint IS NULL OR is_covered OR counter.used + counter.reserved <= $6)
            RETURNING usage.last_change
        ), stored AS (
            UPDATE storage_records AS record
            SET blob_key = upload.blob_key, checksum = $4, size_bytes = $5, block_checksums = $10,
                change = usage.last_change, updated_at = now()
            FROM upload, usage
            WHERE record.user_id = $2 AND record.id = $3
            RETURNING record.id, record.table_name, record.created_at, record.updated_at
        ), doomed AS (
            UPDATE storage_intents AS intent
            SET state = 'doomed', blob_key = old.blob_key, reserved_bytes = 0, lease_until = now() + $8::interval
            FROM old, stored
            WHERE intent.id = $1
        )
        SELECT
            stored.id, stored.table_name AS table, stored.created_at, stored.updated_at, old.blob_key,
            pg_notify($9, $2 || ' ' || usage.last_change)
        FROM stored, old, usage
        """,
        intent_id,
        user_id,
        record_id,
        checksum,
        size,
        quota,
        expected,
        lease,
        CHANNEL,
        blocks,
    )
    if row is None:
        return None
    record = Record(
        id=record_id,
        table=row["table"],
        checksum=checksum,
        size_bytes=size,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
    return record, row["blob_key"]


async def delete_record(
    conn: Connection,
    *,
    intent_id: UUID,
    user_id: UUID,
    record_id: UUID,
    expected: Sequence[str] | None,
    lease: timedelta,
) -> Doomed | None:
    """Turn a record into a tombstone, and doom its bytes; None if there is none, or its checksum is no ``expected``."""
    row = await conn.fetchrow(
        """
        WITH old AS (
            SELECT id, table_name, blob_key, size_bytes FROM storage_records
            WHERE user_id = $2 AND id = $3 AND ($4::text[] IS NULL OR checksum = ANY($4))
            FOR UPDATE
        ), counter AS (
            SELECT usage.used_bytes - old.size_bytes AS used, usage.last_change + 1 AS change
            FROM storage_usage AS usage, old
            WHERE usage.user_id = $2 AND usage.kind = 'records'
            FOR UPDATE OF usage
        ), usage AS (
            UPDATE storage_usage AS usage SET used_bytes = counter.used, last_change = counter.change
            FROM counter
            WHERE usage.user_id = $2 AND usage.kind = 'records'
            RETURNING usage.last_change
        ), gone AS (
            DELETE FROM storage_records AS record USING old, usage
            WHERE record.user_id = $2 AND record.id = old.id
            RETURNING record.id, old.table_name, old.blob_key, usage.last_change
        ), told AS (
            SELECT pg_notify($6, $2 || ' ' || last_change) FROM gone
        ), tombstone AS (
            INSERT INTO storage_tombstones (user_id, id, table_name, change)
            SELECT $2, id, table_name, last_change FROM gone
            -- One is there where a record of this id came back while the one before was being deleted.
            ON CONFLICT (user_id, id) DO UPDATE SET table_name = excluded.table_name, change = excluded.change
        )
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT $1, $2, 'records', 'doomed', blob_key, 0, now() + $5::interval FROM gone, told
        RETURNING id, blob_key AS key
        """,
        intent_id,
        user_id,
        record_id,
        expected,
        lease,
        CHANNEL,
    )
    return Doomed(id=row["id"], key=row["key"]) if row else None


async def find_record(conn: Connection, user_id: UUID, record_id: UUID) -> Record | None:
    """One record of a user."""
    row = await conn.fetchrow(
        """
        SELECT id, table_name AS table, checksum, size_bytes, created_at, updated_at
        FROM storage_records
        WHERE user_id = $1 AND id = $2
        """,
        user_id,
        record_id,
    )
    return Record(**row) if row else None


async def find_blob(conn: Connection, user_id: UUID, record_id: UUID) -> Blob | None:
    """Where the bytes of a record are."""
    row = await conn.fetchrow(
        """
        SELECT blob_key AS key, checksum, size_bytes AS size, updated_at AS modified, block_checksums AS blocks
        FROM storage_records
        WHERE user_id = $1 AND id = $2
        """,
        user_id,
        record_id,
    )
    return Blob(**row) if row else None


async def list_records(conn: Connection, user_id: UUID, table: str | None, page: Page) -> tuple[list[Record], int]:
    """A page of a user's records, of one table or of all, newest first; and how many there are in all pages."""
    if table is None:
        return await _list_all(conn, user_id, page)
    rows = await conn.fetch(
        """
        WITH counted AS (
            SELECT count(*) AS total FROM storage_records WHERE user_id = $1 AND table_name = $2
        ), page AS (
            SELECT id, table_name AS table, checksum, size_bytes, created_at, updated_at
            FROM storage_records
            WHERE user_id = $1 AND table_name = $2
            ORDER BY created_at DESC, id
            LIMIT $3 OFFSET $4
        )
        SELECT page.*, counted.total FROM counted LEFT JOIN page ON true ORDER BY page.created_at DESC, page.id
        """,
        user_id,
        table,
        page.limit,
        page.offset,
    )
    return _page(rows)


async def _list_all(conn: Connection, user_id: UUID, page: Page) -> tuple[list[Record], int]:
    rows = await conn.fetch(
        """
        WITH counted AS (
            SELECT count(*) AS total FROM storage_records WHERE user_id = $1
        ), page AS (
            SELECT id, table_name AS table, checksum, size_bytes, created_at, updated_at
            FROM storage_records
            WHERE user_id = $1
            ORDER BY created_at DESC, id
            LIMIT $2 OFFSET $3
        )
        SELECT page.*, counted.total FROM counted LEFT JOIN page ON true ORDER BY page.created_at DESC, page.id
        """,
        user_id,
        page.limit,
        page.offset,
    )
    return _page(rows)


def _page(rows: list[asyncpg.Record]) -> tuple[list[Record], int]:
    items = [dict(row) for row in rows if row["id"] is not None]
    for item in items:
        del item["total"]
    return [Record(**item) for item in items], rows[0]["total"]
