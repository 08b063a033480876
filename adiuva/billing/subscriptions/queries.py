"""The SQL of subscriptions and checkouts: one function a statement; the caller owns the transaction."""

from uuid import UUID

from adiuva.billing.subscriptions.models import LockedCustomer, OpenCheckout, Row
from adiuva.database import Connection


async def find(conn: Connection, user_id: UUID) -> Row | None:
    """A user's subscription."""
    row = await conn.fetchrow(
        """
        SELECT tier::text, status, stripe_subscription_id, current_period_end, cancel_at_period_end, told_at
        FROM subscriptions WHERE user_id = $1
        """,
        user_id,
    )
    return Row(**row) if row else None


async def lock_customer(conn: Connection, stripe_customer_id: str) -> LockedCustomer | None:
    """A customer's row, for nobody else until the transaction ends."""
    row = await conn.fetchrow(
        """
        SELECT id, user_id, reading FROM stripe_customers WHERE stripe_customer_id = $1 FOR NO KEY UPDATE
        """,
        stripe_customer_id,
    )
    return LockedCustomer(**row) if row else None


async def outdate_readings(conn: Connection, user_id: UUID) -> None:
    """Whatever was read of a user's subscription until now is older than what is written now."""
    await conn.execute("UPDATE stripe_customers SET reading = nextval('stripe_readings') WHERE user_id = $1", user_id)


async def set_reading(conn: Connection, customer_id: UUID, reading: int) -> None:
    """The subscription now follows this reading of Stripe."""
    await conn.execute("UPDATE stripe_customers SET reading = $2, read_at = now() WHERE id = $1", customer_id, reading)


async def save(conn: Connection, *, user_id: UUID, stripe_customer_id: str, row: Row) -> None:
    """Write a user's subscription."""
    await conn.execute(
        """
        INSERT INTO subscriptions (
            user_id, tier, status, stripe_customer_id, stripe_subscription_id, current_period_end,
            cancel_at_period_end, told_at
        )
        VALUES ($1, $2::text::billing_tier, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (user_id) DO UPDATE SET
            tier = excluded.tier, status = excluded.status, stripe_customer_id = excluded.stripe_customer_id,
            stripe_subscription_id = excluded.stripe_subscription_id,
            current_period_end = excluded.current_period_end, cancel_at_period_end = excluded.cancel_at_period_end,
            told_at = greatest(subscriptions.told_at, excluded.told_at), updated_at = now()
        """,
        user_id,
        row.tier,
        row.status,
        stripe_customer_id,
        row.stripe_subscription_id,
        row.current_period_end,
        row.cancel_at_period_end,
        row.told_at,
    )


async def cancel(conn: Connection, *, user_id: UUID, stripe_subscription_id: str | None) -> bool:
    """End the subscription with this id, or the admin's one without any; False where it is another one by now."""
    status = await conn.execute(
        """
        UPDATE subscriptions SET status = 'canceled', cancel_at_period_end = false, updated_at = now()
        WHERE user_id = $1 AND stripe_subscription_id IS NOT DISTINCT FROM $2
        """,
        user_id,
        stripe_subscription_id,
    )
    return status != "UPDATE 0"


async def open_checkout(conn: Connection, *, row_id: UUID, user_id: UUID, tier: str) -> None:
    """Note that a checkout is to be opened, unless one is open."""
    await conn.execute(
        """
        INSERT INTO checkouts (id, user_id, tier) VALUES ($1, $2, $3::text::billing_tier)
        ON CONFLICT (user_id) WHERE closed_at IS NULL DO NOTHING
        """,
        row_id,
        user_id,
        tier,
    )


async def find_open_checkout(conn: Connection, user_id: UUID) -> OpenCheckout | None:
    """A user's open checkout."""
    row = await conn.fetchrow(
        "SELECT id, tier::text, stripe_session_id FROM checkouts WHERE user_id = $1 AND closed_at IS NULL", user_id
    )
    return OpenCheckout(**row) if row else None


async def set_session(conn: Connection, row_id: UUID, stripe_session_id: str) -> None:
    """The checkout has been opened."""
    await conn.execute("UPDATE checkouts SET stripe_session_id = $2 WHERE id = $1", row_id, stripe_session_id)


async def close_checkout(conn: Connection, row_id: UUID) -> None:
    """The checkout is over, however it ended."""
    await conn.execute("UPDATE checkouts SET closed_at = now() WHERE id = $1 AND closed_at IS NULL", row_id)
