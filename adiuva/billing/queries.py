"""The SQL that all of billing shares: calls of Stripe, and users as its customers."""

from datetime import timedelta
from uuid import UUID

from asyncpg import Record

from adiuva.billing.models import Call, Customer
from adiuva.database import Connection


async def begin_call(conn: Connection, name: str) -> Call:
    """Note that a call is about to be made; ``tries`` counts this time too."""
    row = await conn.fetchrow(
        """
        INSERT INTO stripe_calls (name) VALUES ($1)
        ON CONFLICT (name) DO UPDATE SET tries = stripe_calls.tries + 1, tried_at = now()
        RETURNING key_number, tries
        """,
        name,
    )
    assert row is not None
    return Call(**row)


async def use_up_key(conn: Connection, name: str, key_number: int) -> None:
    """The next try is made with another idempotency key; several that say so of the same key change it once."""
    await conn.execute(
        "UPDATE stripe_calls SET key_number = key_number + 1 WHERE name = $1 AND key_number = $2", name, key_number
    )


async def begin_round(conn: Connection, name: str, pause: timedelta) -> bool:
    """Claim the next round of something that one server does for all; False within ``pause`` of the last one."""
    return bool(
        await conn.fetchval(
            """
            INSERT INTO stripe_rounds (name, begun_at) VALUES ($1, now())
            ON CONFLICT (name) DO UPDATE SET begun_at = now() WHERE stripe_rounds.begun_at <= now() - $2::interval
            RETURNING true
            """,
            name,
            pause,
        )
    )


async def next_reading(conn: Connection) -> int:
    """The number of a reading of Stripe that is about to be made."""
    number: int = await conn.fetchval("SELECT nextval('stripe_readings')")
    return number


async def insert_customer(
    conn: Connection, *, row_id: UUID, user_id: UUID, email: str, stripe_customer_id: str | None = None
) -> None:
    """Note that a user is to be a customer, unless there is a row already."""
    await conn.execute(
        """
        INSERT INTO stripe_customers (id, user_id, email, stripe_customer_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        row_id,
        user_id,
        email,
        stripe_customer_id,
    )


async def find_customer_of_user(conn: Connection, user_id: UUID) -> Customer | None:
    """A user as Stripe's customer, or on the way to be."""
    row = await conn.fetchrow(
        "SELECT id, user_id, email, stripe_customer_id FROM stripe_customers WHERE user_id = $1", user_id
    )
    return _customer(row)


async def find_customer(conn: Connection, stripe_customer_id: str) -> Customer | None:
    """The row of a customer; its user is None once the account is gone."""
    row = await conn.fetchrow(
        "SELECT id, user_id, email, stripe_customer_id FROM stripe_customers WHERE stripe_customer_id = $1",
        stripe_customer_id,
    )
    return _customer(row)


async def set_customer_id(conn: Connection, row_id: UUID, stripe_customer_id: str) -> None:
    """Stripe's customer has been made."""
    await conn.execute(
        "UPDATE stripe_customers SET stripe_customer_id = $2 WHERE id = $1 AND stripe_customer_id IS NULL",
        row_id,
        stripe_customer_id,
    )


async def forget_customer(conn: Connection, user_id: UUID, gone: str) -> None:
    """Stripe does not know a customer any more: the user will need another one."""
    await conn.execute("DELETE FROM stripe_customers WHERE user_id = $1 AND stripe_customer_id = $2", user_id, gone)


async def list_customers_without_user(conn: Connection, limit: int, *, being_made: timedelta) -> list[Customer]:
    """Customers whose account is gone, and who have to go too; not yet those who may just be made at Stripe."""
    rows = await conn.fetch(
        """
        SELECT id, user_id, email, stripe_customer_id FROM stripe_customers
        WHERE user_id IS NULL AND (stripe_customer_id IS NOT NULL OR NOT EXISTS (
            SELECT FROM stripe_calls WHERE name = 'customer-' || stripe_customers.id AND tried_at > now() - $2::interval
        ))
        ORDER BY read_at NULLS FIRST LIMIT $1
        """,
        limit,
        being_made,
    )
    return [Customer(**row) for row in rows]


async def put_off_customer(conn: Connection, row_id: UUID) -> None:
    """It did not work with this one: others come first."""
    await conn.execute("UPDATE stripe_customers SET read_at = now() WHERE id = $1", row_id)


async def delete_customer(conn: Connection, row_id: UUID) -> None:
    """Nothing of a customer is left at Stripe."""
    await conn.execute("DELETE FROM stripe_customers WHERE id = $1 AND user_id IS NULL", row_id)


async def list_customers(conn: Connection, *, after: UUID | None, limit: int) -> list[Customer]:
    """A page of the customers that Stripe knows and who have an account, in the order of their ids."""
    rows = await conn.fetch(
        """
        SELECT id, user_id, email, stripe_customer_id FROM stripe_customers
        WHERE user_id IS NOT NULL AND stripe_customer_id IS NOT NULL AND ($1::uuid IS NULL OR id > $1)
        ORDER BY id LIMIT $2
        """,
        after,
        limit,
    )
    return [Customer(**row) for row in rows]


async def find_email(conn: Connection, user_id: UUID) -> str | None:
    """A user's address; None if there is no such user."""
    email: str | None = await conn.fetchval("SELECT email FROM users WHERE id = $1", user_id)
    return email


def _customer(row: Record | None) -> Customer | None:
    return Customer(**row) if row else None
