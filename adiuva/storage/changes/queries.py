"""The SQL of changes.

A change gets its number under the lock of its user's row of usage, which is held until the commit: so whoever sees a
number sees all those below it, and nothing is ever added below a cursor that was given out.
"""

from uuid import UUID

from adiuva.database import Connection
from adiuva.storage.changes.models import Change


async def list_changes(conn: Connection, user_id: UUID, *, after: int, limit: int) -> tuple[list[Change], int]:
    """The changes with the lowest numbers above ``after``; and the highest of these numbers, ``after`` without any."""
    rows = await conn.fetch(
        """
        SELECT change, id, table_name AS table, deleted, checksum, size_bytes, created_at, updated_at
        FROM (
            (
                SELECT change, id, table_name, false AS deleted, checksum, size_bytes, created_at, updated_at
                FROM storage_records
                WHERE user_id = $1 AND change > $2
                ORDER BY change
                LIMIT $3
            )
            UNION ALL
            (
                SELECT change, id, table_name, true, NULL, NULL, NULL, deleted_at
                FROM storage_tombstones
                WHERE user_id = $1 AND change > $2
                ORDER BY change
                LIMIT $3
            )
        ) AS changes
        ORDER BY change
        LIMIT $3
        """,
        user_id,
        after,
        limit,
    )
    found = [dict(row) for row in rows]
    numbers = [change.pop("change") for change in found]
    return [Change(**change) for change in found], numbers[-1] if numbers else after


async def ping(conn: Connection) -> None:
    """Whether the connection is still one."""
    await conn.execute("SELECT")
