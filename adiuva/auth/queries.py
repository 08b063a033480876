"""The SQL of accounts and sessions: one function a statement; the caller owns the transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from adiuva.auth.models import Credentials, Rotation, Session, SpentToken, User
from adiuva.database import Connection


async def insert_user(
    conn: Connection,
    *,
    user_id: UUID,
    email: str,
    password_hash: str,
    login_id: UUID,
    user_agent: str | None,
    token_hash: bytes,
    lifetime: timedelta,
) -> datetime | None:
    """Make an account with a first login and its refresh token; gives the time, or None where the address is taken."""
    issued_at: datetime | None = await conn.fetchval(
        """
        WITH account AS (
            INSERT INTO users (id, email, password_hash) VALUES ($1, $2, $3)
            ON CONFLICT (lower(email)) DO NOTHING
            RETURNING id
        ), login AS (
            INSERT INTO logins (id, user_id, user_agent) SELECT $4, account.id, $5 FROM account
            RETURNING id, created_at
        )
        INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at)
        SELECT $6, login.id, login.created_at, login.created_at + $7::interval FROM login
        RETURNING created_at
        """,
        user_id,
        email,
        password_hash,
        login_id,
        user_agent,
        token_hash,
        lifetime,
    )
    return issued_at


async def find_credentials(conn: Connection, email: str) -> Credentials | None:
    """The account of an address, in whatever case it is written."""
    row = await conn.fetchrow(
        "SELECT id AS user_id, email, password_hash FROM users WHERE lower(email) = lower($1)", email
    )
    return Credentials(**row) if row else None


async def find_password_hash(conn: Connection, user_id: UUID) -> str | None:
    """The hash of a user's password."""
    password_hash: str | None = await conn.fetchval("SELECT password_hash FROM users WHERE id = $1", user_id)
    return password_hash


async def insert_login(
    conn: Connection,
    *,
    credentials: Credentials,
    login_id: UUID,
    user_agent: str | None,
    token_hash: bytes,
    lifetime: timedelta,
) -> datetime | None:
    """Make a login with its refresh token; gives the time, or None if the password is no longer the one checked.

    The user's row is locked, so that a change of password either comes first, or finds this login and revokes it.
    The user's logins whose tokens have all expired are swept away.
    """
    issued_at: datetime | None = await conn.fetchval(
        """
        WITH account AS (
            SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE
        ), swept AS (
            DELETE FROM logins USING account
            WHERE logins.user_id = account.id AND NOT EXISTS (
                SELECT FROM refresh_tokens WHERE login_id = logins.id AND expires_at > now()
            )
        ), login AS (
            INSERT INTO logins (id, user_id, user_agent) SELECT $3, account.id, $4 FROM account
            RETURNING id, created_at
        )
        INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at)
        SELECT $5, login.id, login.created_at, login.created_at + $6::interval FROM login
        RETURNING created_at
        """,
        credentials.user_id,
        credentials.password_hash,
        login_id,
        user_agent,
        token_hash,
        lifetime,
    )
    return issued_at


async def rotate(
    conn: Connection, *, token_hash: bytes, salt: bytes, successor_hash: bytes, lifetime: timedelta
) -> Rotation | None:
    """Spend a refresh token and store its successor; None if the token cannot be spent (any more).

    Of parallel calls one wins: the others wait for its row, and then find it spent.
    """
    row = await conn.fetchrow(
        """
        WITH spent AS (
            UPDATE refresh_tokens AS token
            SET spent_at = clock_timestamp(), successor_salt = $2, successor_hash = $3
            FROM logins JOIN users ON users.id = logins.user_id
            WHERE token.token_hash = $1
                AND token.spent_at IS NULL
                AND token.expires_at > now()
                AND logins.id = token.login_id
                AND logins.revoked_at IS NULL
            RETURNING users.id AS user_id, users.email, token.login_id, token.spent_at, token.successor_salt
        ), stored AS (
            INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at)
            SELECT $3, spent.login_id, spent.spent_at, spent.spent_at + $4::interval FROM spent
        ), used AS (
            UPDATE logins SET last_used_at = spent.spent_at FROM spent WHERE logins.id = spent.login_id
        ), swept AS (
            DELETE FROM refresh_tokens
            USING spent
            WHERE refresh_tokens.login_id = spent.login_id AND refresh_tokens.expires_at <= now()
        )
        SELECT spent.user_id, spent.email, spent.login_id, spent.successor_salt, spent.spent_at AS rotated_at
        FROM spent
        """,
        token_hash,
        salt,
        successor_hash,
        lifetime,
    )
    return Rotation(**row) if row else None


async def find_spent(conn: Connection, *, token_hash: bytes, grace: timedelta) -> SpentToken | None:
    """A token that was spent before.

    It is replayable as long as its login lives, its successor is unspent, and the grace since then has not passed.
    """
    row = await conn.fetchrow(
        """
        SELECT
            users.id AS user_id, users.email, token.login_id, token.successor_salt, token.spent_at AS rotated_at,
            logins.revoked_at IS NULL
                AND successor.spent_at IS NULL
                AND clock_timestamp() < token.spent_at + $2::interval AS replayable
        FROM refresh_tokens AS token
        JOIN refresh_tokens AS successor ON successor.token_hash = token.successor_hash
        JOIN logins ON logins.id = token.login_id
        JOIN users ON users.id = logins.user_id
        WHERE token.token_hash = $1
        """,
        token_hash,
        grace,
    )
    if row is None:
        return None
    values = dict(row)
    return SpentToken(replayable=values.pop("replayable"), rotation=Rotation(**values))


async def find_principals(conn: Connection, login_ids: list[UUID]) -> list[Record]:
    """The users of those of ``login_ids`` that live: every field of ``Principal`` but its expiry.

    ``tier`` is null without a plan; each of ``plugins`` is an id and, after it, its permissions: approved and accepted.
    """
    return await conn.fetch(
        """
        SELECT login.*
        -- Within a subquery the planner cannot count the ids: one plan serves any number, and is made only once.
        FROM unnest((SELECT $1::uuid[])) AS wanted (id)
        -- LIMIT keeps it at looking up one after the other, instead of reading whole tables to join them.
        CROSS JOIN LATERAL (
            SELECT
                users.id AS user_id, users.email, users.is_admin, users.created_at, logins.id AS login_id,
                CASE
                    WHEN subscriptions.status IN ('active', 'trialing', 'past_due') THEN subscriptions.tier::text
                END AS tier,
                ARRAY(
                    SELECT concat_ws(' ', plugins.id, array_to_string(ARRAY(
                        SELECT unnest(plugin_installations.accepted_permissions)
                        INTERSECT SELECT unnest(plugins.permissions)
                    ), ' '))
                    FROM plugin_installations
                    CROSS JOIN LATERAL (
                        SELECT id, permissions FROM plugins
                        WHERE plugins.id = plugin_installations.plugin_id AND plugins.status = 'approved'
                        LIMIT 1
                    ) AS plugins
                    WHERE plugin_installations.user_id = logins.user_id
                ) AS plugins
            FROM logins
            JOIN users ON users.id = logins.user_id
            LEFT JOIN subscriptions ON subscriptions.user_id = logins.user_id
            WHERE logins.id = wanted.id AND logins.revoked_at IS NULL
            LIMIT 1
        ) AS login
        """,
        login_ids,
    )


async def revoke_login(conn: Connection, *, login_id: UUID, user_id: UUID) -> bool:
    """Revoke one of a user's logins; False if it is not there, not the user's, or revoked already."""
    status = await conn.execute(
        "UPDATE logins SET revoked_at = now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL", login_id, user_id
    )
    return status != "UPDATE 0"


async def revoke_login_of_token(conn: Connection, token_hash: bytes) -> None:
    """Revoke the login that a refresh token, spent or not, belongs to."""
    await conn.execute(
        """
        UPDATE logins SET revoked_at = now()
        FROM refresh_tokens
        WHERE refresh_tokens.token_hash = $1 AND logins.id = refresh_tokens.login_id AND logins.revoked_at IS NULL
        """,
        token_hash,
    )


async def revoke_other_logins(conn: Connection, *, user_id: UUID, login_id: UUID) -> None:
    """Revoke all logins of a user but one."""
    await conn.execute(
        "UPDATE logins SET revoked_at = now() WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL", user_id, login_id
    )


async def replace_password_hash(conn: Connection, *, user_id: UUID, old: str, new: str) -> bool:
    """Change a user's password; False if ``old`` is no longer its hash."""
    status = await conn.execute(
        "UPDATE users SET password_hash = $3, updated_at = now() WHERE id = $1 AND password_hash = $2",
        user_id,
        old,
        new,
    )
    return status != "UPDATE 0"


async def list_sessions(conn: Connection, *, user_id: UUID, current: UUID) -> list[Session]:
    """The logins of a user that can still be refreshed, the last used first."""
    rows = await conn.fetch(
        """
        SELECT id, created_at, last_used_at, user_agent, id = $2 AS current
        FROM logins
        WHERE user_id = $1 AND revoked_at IS NULL AND EXISTS (
            SELECT FROM refresh_tokens
            WHERE refresh_tokens.login_id = logins.id AND spent_at IS NULL AND expires_at > now()
        )
        ORDER BY last_used_at DESC, id
        """,
        user_id,
        current,
    )
    return [Session(**row) for row in rows]


async def find_live_logins(conn: Connection, login_ids: list[UUID]) -> set[UUID]:
    """Those of ``login_ids`` that are not revoked."""
    rows = await conn.fetch("SELECT id FROM logins WHERE id = ANY($1) AND revoked_at IS NULL", login_ids)
    return {row["id"] for row in rows}


async def insert_ticket(
    conn: Connection, *, ticket_hash: bytes, login_id: UUID, session_expires_at: datetime, lifetime: timedelta
) -> None:
    """Store a ticket, and sweep away those of the same login that nobody redeemed."""
    await conn.execute(
        """
        WITH swept AS (
            DELETE FROM websocket_tickets WHERE login_id = $2 AND expires_at <= now()
        )
        INSERT INTO websocket_tickets (ticket_hash, login_id, session_expires_at, expires_at)
        VALUES ($1, $2, $3, now() + $4::interval)
        """,
        ticket_hash,
        login_id,
        session_expires_at,
        lifetime,
    )


async def redeem_ticket(conn: Connection, ticket_hash: bytes) -> tuple[UUID, datetime] | None:
    """Use up a ticket; gives its login, and when the session that it opens has to end."""
    row = await conn.fetchrow(
        """
        DELETE FROM websocket_tickets
        WHERE ticket_hash = $1
        RETURNING login_id, session_expires_at, expires_at > now() AS valid
        """,
        ticket_hash,
    )
    return (row["login_id"], row["session_expires_at"]) if row and row["valid"] else None


async def set_admin(conn: Connection, email: str, *, is_admin: bool) -> bool:
    """Make a user an admin, or no longer one; False if nobody has this address."""
    status = await conn.execute(
        "UPDATE users SET is_admin = $2, updated_at = now() WHERE lower(email) = lower($1)", email, is_admin
    )
    return status != "UPDATE 0"


async def set_tier(conn: Connection, email: str, tier: str) -> bool:
    """Give a user a subscription in force with ``tier``; False if nobody has this address.

    What Stripe says of its own subscription later wins again, unless that one has ended.
    """
    status = await conn.execute(
        """
        INSERT INTO subscriptions (user_id, tier, status)
        SELECT id, $2::text::billing_tier, 'active' FROM users WHERE lower(email) = lower($1) FOR KEY SHARE
        ON CONFLICT (user_id) DO UPDATE SET
            tier = excluded.tier, status = 'active', updated_at = now(),
            stripe_subscription_id = CASE
                WHEN subscriptions.status NOT IN ('canceled', 'incomplete_expired')
                THEN subscriptions.stripe_subscription_id
            END,
            current_period_end = CASE
                WHEN subscriptions.status NOT IN ('canceled', 'incomplete_expired')
                THEN subscriptions.current_period_end
            END
        """,
        email,
        tier,
    )
    return status != "INSERT 0 0"


async def list_users(conn: Connection) -> list[User]:
    """All users, the oldest first."""
    rows = await conn.fetch(
        """
        SELECT
            users.id, users.email, users.is_admin, users.created_at,
            CASE
                WHEN subscriptions.status IN ('active', 'trialing', 'past_due') THEN subscriptions.tier::text
            END AS tier
        FROM users
        LEFT JOIN subscriptions ON subscriptions.user_id = users.id
        ORDER BY users.created_at, users.id
        """
    )
    return [User(**row) for row in rows]
