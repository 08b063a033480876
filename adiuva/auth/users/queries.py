"""The SQL of accounts as admins see them; what changes them is in ``adiuva.auth.queries``."""

from uuid import UUID

from asyncpg import Record

from adiuva.auth.models import User
from adiuva.database import Connection
from adiuva.web.paging import Page


async def find_user(conn: Connection, user_id: UUID) -> User | None:
    """The account with this id."""
    row = await conn.fetchrow(
        """
        SELECT
            users.id, users.email, users.is_admin, users.created_at,
            CASE
                WHEN subscriptions.status IN ('active', 'trialing', 'past_due') THEN subscriptions.tier::text
            END AS tier
        FROM users
        LEFT JOIN subscriptions ON subscriptions.user_id = users.id
        WHERE users.id = $1
        """,
        user_id,
    )
    return User(**row) if row else None


async def search_users(conn: Connection, text: str, page: Page) -> tuple[list[User], int]:
    """A page of the accounts that have ``text`` in their address or as their id, the oldest first, and their number."""
    rows = await conn.fetch(
        """
        WITH found AS (
            SELECT id, email, is_admin, created_at FROM users
            WHERE strpos(lower(email), lower($1)) > 0 OR id::text = lower($1)
        )
        SELECT
            total.n, account.id, account.email, account.is_admin, account.created_at,
            CASE
                WHEN subscriptions.status IN ('active', 'trialing', 'past_due') THEN subscriptions.tier::text
            END AS tier
        FROM (SELECT count(*) AS n FROM found) AS total
        LEFT JOIN (
            SELECT id, email, is_admin, created_at FROM found ORDER BY created_at, id LIMIT $2 OFFSET $3
        ) AS account ON true
        LEFT JOIN subscriptions ON subscriptions.user_id = account.id
        ORDER BY account.created_at, account.id
        """,
        text,
        page.limit,
        page.offset,
    )
    return [_user(row) for row in rows if row["id"] is not None], rows[0]["n"]


async def lock_admins(conn: Connection) -> set[UUID]:
    """The admins, none of whom becomes an ordinary user before the transaction ends, but by it."""
    rows = await conn.fetch("SELECT id FROM users WHERE is_admin ORDER BY id FOR NO KEY UPDATE")
    return {row["id"] for row in rows}


def _user(row: Record) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        tier=row["tier"],
        is_admin=row["is_admin"],
        created_at=row["created_at"],
    )
