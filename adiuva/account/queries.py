"""The SQL of the end of an account. The caller's transaction locks in the order of storage: records, then usage."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from adiuva.account.models import Remains
from adiuva.database import Connection


async def lock_storage(conn: Connection, user_id: UUID) -> None:
    """Let nobody change what a user has stored: an upload that is under way then finds that there is no user."""
    await conn.execute("SELECT FROM storage_records WHERE user_id = $1 ORDER BY id FOR UPDATE", user_id)
    await conn.execute("SELECT FROM backup_metadata WHERE user_id = $1 ORDER BY id FOR UPDATE", user_id)
    await conn.execute("SELECT FROM storage_usage WHERE user_id = $1 ORDER BY kind FOR UPDATE", user_id)


async def doom_blobs(conn: Connection, user_id: UUID) -> None:
    """All that a user has stored has to go, from now on."""
    await conn.execute(
        """
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT gen_random_uuid(), $1, kind, 'doomed', blob_key, 0, now()
        FROM (
            SELECT 'records' AS kind, blob_key FROM storage_records WHERE user_id = $1
            UNION ALL
            SELECT 'backups', blob_key FROM backup_metadata WHERE user_id = $1
        ) AS stored
        """,
        user_id,
    )


async def delete_user(conn: Connection, user_id: UUID) -> bool:
    """Delete an account with all its rows; False if there is none."""
    return await conn.execute("DELETE FROM users WHERE id = $1", user_id) != "DELETE 0"


async def remember(conn: Connection, user_id: UUID, names: Mapping[str, str]) -> None:
    """Remember that something of a user is left in these places, and what the user is called there."""
    await conn.execute(
        """
        INSERT INTO account_remains (user_id, place, name)
        SELECT $1, place, name FROM unnest($2::text[], $3::text[]) AS remains (place, name)
        """,
        user_id,
        list(names),
        list(names.values()),
    )


async def list_remains(conn: Connection, place: str) -> list[Remains]:
    """The deleted users of whom something may be left there."""
    rows = await conn.fetch("SELECT user_id, name FROM account_remains WHERE place = $1 ORDER BY deleted_at", place)
    return [Remains(**row) for row in rows]


async def forget_remains(conn: Connection, user_id: UUID, place: str, after: timedelta) -> None:
    """Nothing of a user is left there; said too early, while a request of the user may still run, it does not count."""
    await conn.execute(
        "DELETE FROM account_remains WHERE user_id = $1 AND place = $2 AND deleted_at <= now() - $3::interval",
        user_id,
        place,
        after,
    )
