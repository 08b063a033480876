"""The SQL of batches of records."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from attrs import frozen

from adiuva.database import Connection
from adiuva.storage.errors import IdTakenError
from adiuva.storage.models import Record
from adiuva.storage.queries import CHANNEL


@frozen(kw_only=True)
class Insertion:
    """An upload, and the record that it becomes."""

    intent_id: UUID
    record_id: UUID
    table: str
    checksum: str
    size: int
    blocks: bytes | None


async def lock(conn: Connection, user_id: UUID, intent_ids: Sequence[UUID], record_ids: Sequence[UUID]) -> None:
    """Take the locks of a batch before any of its statements, in the order in which all of storage takes them."""
    await conn.execute("SELECT FROM storage_intents WHERE id = ANY($1) ORDER BY id FOR UPDATE", intent_ids)
    await conn.execute(
        "SELECT FROM storage_records WHERE user_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE", user_id, record_ids
    )


async def find_records(conn: Connection, user_id: UUID, record_ids: Sequence[UUID]) -> list[Record]:
    """Those of a user's records that have one of these ids."""
    rows = await conn.fetch(
        """
        SELECT id, table_name AS table, checksum, size_bytes, created_at, updated_at
        FROM storage_records
        WHERE user_id = $1 AND id = ANY($2)
        """,
        user_id,
        record_ids,
    )
    return [Record(**row) for row in rows]


async def insert_records(conn: Connection, user_id: UUID, insertions: Sequence[Insertion]) -> list[Record]:
    """Turn uploads into records, all or none; gives nothing if one of them has lost its lease.

    Raises:
        IdTakenError: the user has a record of one of the ids.
    """
    try:
        rows = await conn.fetch(
            """
            WITH uploads AS (
                SELECT id, blob_key, reserved_bytes FROM storage_intents
                WHERE id = ANY($2) AND state = 'upload'
                ORDER BY id
                FOR UPDATE
            ), uploaded AS (
                -- Where there is no quota, nothing was reserved.
                SELECT
                    count(*) AS number, sum(reserved_bytes) AS reserved,
                    (SELECT sum(size) FROM unnest($6::bigint[]) AS size) AS used
                FROM uploads
            ), usage AS (
                UPDATE storage_usage AS usage
                SET used_bytes = usage.used_bytes + uploaded.used,
                    reserved_bytes = usage.reserved_bytes - uploaded.reserved,
                    last_change = last_change + uploaded.number
                FROM uploaded
                WHERE usage.user_id = $1 AND usage.kind = 'records' AND uploaded.number = cardinality($2)
                RETURNING usage.last_change, uploaded.number
            ), stored AS (
                INSERT INTO storage_records
                    (user_id, id, table_name, blob_key, checksum, size_bytes, block_checksums, change)
                SELECT
                    $1, item.record_id, item.table_name, uploads.blob_key, item.checksum, item.size, item.blocks,
                    usage.last_change - usage.number + item.position
                FROM usage, uploads
                JOIN unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $8::bytea[]) WITH ORDINALITY
                    AS item (intent_id, record_id, table_name, checksum, size, blocks, position)
                    ON item.intent_id = uploads.id
                RETURNING id, table_name, checksum, size_bytes, created_at, updated_at
            ), revived AS (
                DELETE FROM storage_tombstones USING stored
                WHERE storage_tombstones.user_id = $1 AND storage_tombstones.id = stored.id
            ), done AS (
                DELETE FROM storage_intents USING usage WHERE storage_intents.id = ANY($2)
            ), told AS (
                SELECT pg_notify($7, $1 || ' ' || last_change) FROM usage
            )
            SELECT id, table_name AS table, checksum, size_bytes, created_at, updated_at FROM stored, told
            """,
            user_id,
            [insertion.intent_id for insertion in insertions],
            [insertion.record_id for insertion in insertions],
            [insertion.table for insertion in insertions],
            [insertion.checksum for insertion in insertions],
            [insertion.size for insertion in insertions],
            CHANNEL,
            [insertion.blocks for insertion in insertions],
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "storage_records_pkey":
            raise
        raise IdTakenError from None
    return [Record(**row) for row in rows]
