"""The SQL of housekeeping."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from adiuva.database import Connection
from adiuva.storage.housekeeping.models import Counter, StoredRow


async def find_unknown(conn: Connection, keys: Sequence[str]) -> list[str]:
    """Those of ``keys`` that no record, backup or plugin's package, and no intent names.

    The intent is there before the bytes are, and the row takes its place in one step: so whatever has bytes and is
    unknown has been given up.
    """
    rows = await conn.fetch(
        """
        SELECT key FROM unnest($1::text[]) AS key
        WHERE NOT EXISTS (SELECT FROM storage_records WHERE blob_key = key)
            AND NOT EXISTS (SELECT FROM backup_metadata WHERE blob_key = key)
            AND NOT EXISTS (SELECT FROM plugin_versions WHERE package_key = key)
            AND NOT EXISTS (SELECT FROM storage_intents WHERE blob_key = key)
        """,
        keys,
    )
    return [row["key"] for row in rows]


async def find_birth(conn: Connection) -> datetime:
    """When this database was first migrated."""
    born: datetime = await conn.fetchval("SELECT min(applied_at_utc) AT TIME ZONE 'UTC' FROM _yoyo_migration")
    return born


async def find_drift(conn: Connection) -> list[Counter]:
    """The counters that do not agree with the rows and the intents."""
    rows = await conn.fetch(
        """
        WITH stored AS (
            SELECT user_id, 'records' AS kind, sum(size_bytes) AS size FROM storage_records GROUP BY user_id
            UNION ALL
            SELECT user_id, 'backups', sum(size_bytes) FROM backup_metadata GROUP BY user_id
        ), reserved AS (
            SELECT user_id, kind, sum(reserved_bytes) AS size FROM storage_intents GROUP BY user_id, kind
        )
        SELECT usage.user_id, usage.kind
        FROM storage_usage AS usage
        LEFT JOIN stored ON stored.user_id = usage.user_id AND stored.kind = usage.kind
        LEFT JOIN reserved ON reserved.user_id = usage.user_id AND reserved.kind = usage.kind
        WHERE usage.used_bytes <> coalesce(stored.size, 0) OR usage.reserved_bytes <> coalesce(reserved.size, 0)
        """
    )
    return [Counter(**row) for row in rows]


async def lock_counter(conn: Connection, counter: Counter) -> None:
    """Let nobody change what this counts until the end of the transaction."""
    await conn.execute(
        "SELECT FROM storage_usage WHERE user_id = $1 AND kind = $2 FOR UPDATE", counter.user_id, counter.kind
    )


async def recount(conn: Connection, counter: Counter) -> None:
    """Count anew; to be called under its lock, so that all that counts is visible."""
    await conn.execute(
        """
        UPDATE storage_usage SET
            used_bytes = coalesce(CASE kind
                WHEN 'records' THEN (SELECT sum(size_bytes) FROM storage_records WHERE user_id = $1)
                WHEN 'backups' THEN (SELECT sum(size_bytes) FROM backup_metadata WHERE user_id = $1)
            END, 0),
            reserved_bytes = coalesce(
                (SELECT sum(reserved_bytes) FROM storage_intents WHERE user_id = $1 AND kind = $2), 0
            )
        WHERE user_id = $1 AND kind = $2
        """,
        counter.user_id,
        counter.kind,
    )


async def list_users(conn: Connection) -> list[UUID]:
    """Everybody who ever stored something."""
    rows = await conn.fetch("SELECT DISTINCT user_id FROM storage_usage")
    return [row["user_id"] for row in rows]


async def list_rows(conn: Connection, user_id: UUID) -> list[StoredRow]:
    """The records and backups of a user, and the packages of its plugins."""
    rows = await conn.fetch(
        """
        SELECT blob_key AS key, checksum, size_bytes AS size FROM storage_records WHERE user_id = $1
        UNION ALL
        SELECT blob_key, checksum, size_bytes FROM backup_metadata WHERE user_id = $1
        UNION ALL
        SELECT package_key, package_checksum, package_size_bytes
        FROM plugin_versions JOIN plugins ON plugins.id = plugin_id
        WHERE author_id = $1 AND package_key IS NOT NULL
        """,
        user_id,
    )
    return [StoredRow(**row) for row in rows]


async def is_named(conn: Connection, key: str) -> bool:
    """Whether a record, a backup or a package still has its bytes there."""
    named: bool = await conn.fetchval(
        """
        SELECT EXISTS (SELECT FROM storage_records WHERE blob_key = $1)
            OR EXISTS (SELECT FROM backup_metadata WHERE blob_key = $1)
            OR EXISTS (SELECT FROM plugin_versions WHERE package_key = $1)
        """,
        key,
    )
    return named
