"""The SQL of purchases and of the books: one function a statement; the caller owns the transaction."""

from uuid import UUID

from asyncpg import Record

from adiuva.billing.purchases.models import Buyer, Offer, Period, PluginEarnings, Purchase, Revenue
from adiuva.billing.shares import Shares
from adiuva.database import Connection


async def find_paid(conn: Connection, *, user_id: UUID, plugin_id: str, stub: bool) -> Purchase | None:
    """What a user has paid for a plugin, and not got back."""
    row = await conn.fetchrow(
        """
        SELECT
            purchases.id, purchases.user_id, purchases.plugin_id, purchases.currency, purchases.stub,
            purchases.paid_at, revenue_events.amount_cents, revenue_events.developer_share_cents,
            revenue_events.platform_share_cents, revenue_events.stripe_transfer_id
        FROM purchases
        JOIN revenue_events ON revenue_events.purchase_id = purchases.id AND revenue_events.kind = 'sale'
        WHERE purchases.user_id = $1 AND purchases.plugin_id = $2 AND purchases.stub = $3 AND purchases.state = 'paid'
        """,
        user_id,
        plugin_id,
        stub,
    )
    return _purchase(row) if row else None


async def insert_stub(conn: Connection, *, purchase_id: UUID, buyer: Buyer, offer: Offer) -> bool:
    """Note a purchase for which nobody pays; False where there is one already."""
    status = await conn.execute(
        """
        INSERT INTO purchases (id, user_id, plugin_id, developer_id, amount_cents, currency, stub, state, paid_at)
        VALUES ($1, $2, $3, $4, $5, $6, true, 'paid', now())
        ON CONFLICT (user_id, plugin_id, stub) WHERE state IN ('pending', 'paid') DO NOTHING
        """,
        purchase_id,
        buyer.user_id,
        offer.plugin_id,
        offer.author_id,
        offer.price_cents,
        offer.currency,
    )
    return status != "INSERT 0 0"


async def insert_sale(conn: Connection, *, event_id: UUID, purchase_id: UUID, shares: Shares) -> None:
    """Enter the sale of a purchase in the books."""
    await conn.execute(
        """
        INSERT INTO revenue_events (
            id, purchase_id, kind, stub, plugin_id, developer_id, user_id, amount_cents, developer_share_cents,
            platform_share_cents, currency
        )
        SELECT $1, id, 'sale', stub, plugin_id, developer_id, user_id, amount_cents, $3, $4, currency
        FROM purchases WHERE id = $2
        """,
        event_id,
        purchase_id,
        shares.developer_cents,
        shares.platform_cents,
    )


async def list_earnings(conn: Connection, *, developer_id: UUID, period: Period, stub: bool) -> list[PluginEarnings]:
    """What each plugin of an author has brought in a month."""
    rows = await conn.fetch(
        """
        SELECT
            plugin_id, sum(amount_cents) AS gross_cents, sum(developer_share_cents) AS developer_share_cents,
            sum(platform_share_cents) AS platform_share_cents, count(*) AS events
        FROM revenue_events
        WHERE
            developer_id = $1 AND stub = $4
            AND created_at >= make_timestamptz($2, $3, 1, 0, 0, 0, 'UTC')
            AND created_at < make_timestamptz($2, $3, 1, 0, 0, 0, 'UTC') + interval '1 month'
        GROUP BY plugin_id
        ORDER BY plugin_id
        """,
        developer_id,
        period.year,
        period.month,
        stub,
    )
    return [PluginEarnings(**row) for row in rows]


def _purchase(row: Record) -> Purchase:
    return Purchase(
        id=row["id"],
        user_id=row["user_id"],
        plugin_id=row["plugin_id"],
        currency=row["currency"],
        stub=row["stub"],
        paid_at=row["paid_at"],
        revenue=Revenue(
            amount_cents=row["amount_cents"],
            developer_share_cents=row["developer_share_cents"],
            platform_share_cents=row["platform_share_cents"],
            stripe_transfer_id=row["stripe_transfer_id"],
        ),
    )
