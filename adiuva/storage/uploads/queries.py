"""The SQL of intents, leases and reservations. Locks are taken in one order: intent, record, usage."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from adiuva.database import Connection
from adiuva.storage.uploads.models import Account, Doomed, Upload, Used


async def reserve(conn: Connection, account: Account, uploads: Sequence[Upload], lease: timedelta) -> bool:
    """Write down that uploads begin, and reserve their bytes; False if there is no room for all of them."""
    return (
        await conn.fetchval(
            """
            WITH room AS (
                INSERT INTO storage_usage AS usage (user_id, kind, reserved_bytes)
                SELECT $1, $2, $3::bigint WHERE $3 <= $4::bigint
                ON CONFLICT (user_id, kind) DO UPDATE
                SET reserved_bytes = usage.reserved_bytes + excluded.reserved_bytes
                WHERE usage.used_bytes + usage.reserved_bytes + $3 <= $4
                RETURNING user_id
            )
            INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
            SELECT upload.id, user_id, $2, 'upload', upload.key, upload.reserved, now() + $8::interval
            FROM room, unnest($5::uuid[], $6::text[], $7::bigint[]) AS upload (id, key, reserved)
            RETURNING true
            """,
            account.user_id,
            account.kind,
            sum(upload.reserved for upload in uploads),
            account.quota,
            [upload.id for upload in uploads],
            [upload.key for upload in uploads],
            [upload.reserved for upload in uploads],
            lease,
        )
        is True
    )


async def begin(conn: Connection, account: Account, uploads: Sequence[Upload], lease: timedelta) -> None:
    """Write down that uploads begin for which nothing has to be reserved; the counter's row is not locked for that."""
    await conn.execute(
        """
        WITH counter AS (
            INSERT INTO storage_usage (user_id, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING
        )
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT upload.id, $1, $2, 'upload', upload.key, 0, now() + $5::interval
        FROM unnest($3::uuid[], $4::text[]) AS upload (id, key)
        """,
        account.user_id,
        account.kind,
        [upload.id for upload in uploads],
        [upload.key for upload in uploads],
        lease,
    )


async def reserve_more(conn: Connection, account: Account, *, intent_id: UUID, amount: int) -> bool:
    """Reserve more for an upload that runs; False if there is no room, or the upload has lost its lease."""
    return (
        await conn.fetchval(
            """
            WITH upload AS (
                SELECT id FROM storage_intents WHERE id = $1 AND state = 'upload' FOR UPDATE
            ), room AS (
                UPDATE storage_usage AS usage SET reserved_bytes = usage.reserved_bytes + $4
                FROM upload
                WHERE usage.user_id = $2 AND usage.kind = $3
                    AND usage.used_bytes + usage.reserved_bytes + $4 <= $5
                RETURNING true
            )
            UPDATE storage_intents SET reserved_bytes = reserved_bytes + $4 FROM room WHERE id = $1 RETURNING true
            """,
            intent_id,
            account.user_id,
            account.kind,
            amount,
            account.quota,
        )
        is True
    )


async def renew(conn: Connection, intent_ids: Sequence[UUID], lease: timedelta) -> None:
    """Prolong the leases of uploads that run."""
    await conn.execute(
        "UPDATE storage_intents SET lease_until = now() + $2::interval WHERE id = ANY($1) AND state = 'upload'",
        intent_ids,
        lease,
    )


async def doom(conn: Connection, intent_id: UUID, lease: timedelta, *, abandoned: bool = False) -> str | None:
    """End an upload without a row, and give its reservation back; with ``abandoned`` only once its lease has ended.

    Gives the key of the blob that has to go; None if the upload was committed after all, or somebody else ended it.
    """
    key: str | None = await conn.fetchval(
        """
        WITH upload AS (
            SELECT id, user_id, kind, reserved_bytes FROM storage_intents
            WHERE id = $1 AND state = 'upload' AND (lease_until <= now() OR NOT $3)
            FOR UPDATE
        ), room AS (
            UPDATE storage_usage AS usage SET reserved_bytes = usage.reserved_bytes - upload.reserved_bytes
            FROM upload
            WHERE usage.user_id = upload.user_id AND usage.kind = upload.kind
        )
        UPDATE storage_intents AS intent SET state = 'doomed', reserved_bytes = 0, lease_until = now() + $2::interval
        FROM upload
        WHERE intent.id = upload.id
        RETURNING intent.blob_key
        """,
        intent_id,
        lease,
        abandoned,
    )
    return key


async def find_abandoned(conn: Connection) -> list[UUID]:
    """Uploads whose lease has ended: whoever ran them has died."""
    rows = await conn.fetch("SELECT id FROM storage_intents WHERE state = 'upload' AND lease_until <= now()")
    return [row["id"] for row in rows]


async def claim_doomed(conn: Connection, *, limit: int, lease: timedelta) -> list[Doomed]:
    """Blobs that have to go, and that nobody is taking care of; for the length of ``lease`` the caller does."""
    rows = await conn.fetch(
        """
        WITH due AS (
            SELECT id FROM storage_intents
            WHERE state = 'doomed' AND lease_until <= now()
            ORDER BY lease_until
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE storage_intents AS intent SET lease_until = now() + $2::interval
        FROM due
        WHERE intent.id = due.id
        RETURNING intent.id, intent.blob_key AS key
        """,
        limit,
        lease,
    )
    return [Doomed(**row) for row in rows]


async def forget(conn: Connection, intent_ids: Sequence[UUID]) -> None:
    """The blobs of these intents are gone."""
    await conn.execute("DELETE FROM storage_intents WHERE id = ANY($1) AND state = 'doomed'", intent_ids)


async def usage(conn: Connection, user_id: UUID) -> dict[str, Used]:
    """What a user has stored, by kind; a kind of which there never was anything is left out."""
    rows = await conn.fetch("SELECT kind, used_bytes, reserved_bytes FROM storage_usage WHERE user_id = $1", user_id)
    return {row["kind"]: Used(used_bytes=row["used_bytes"], reserved_bytes=row["reserved_bytes"]) for row in rows}
