"""The SQL of purchases and of the books: one function a statement; the caller owns the transaction."""

from datetime import timedelta
from uuid import UUID

from asyncpg import Record

from adiuva.billing.purchases.models import (
    Buyer,
    Offer,
    Order,
    Period,
    PluginEarnings,
    Purchase,
    RefundLine,
    RefundOrder,
    Revenue,
    UnmadeRefund,
)
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
        VALUES ($1, $2, $3, (SELECT id FROM users WHERE id = $4 FOR KEY SHARE), $5, $6, true, 'paid', now())
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


async def insert_order(conn: Connection, *, order_id: UUID, buyer: Buyer, offer: Offer) -> None:
    """Note that a user is about to buy, unless that is noted or done already."""
    await conn.execute(
        """
        INSERT INTO purchases (id, user_id, plugin_id, developer_id, amount_cents, currency, stub)
        VALUES ($1, $2, $3, (SELECT id FROM users WHERE id = $4 FOR KEY SHARE), $5, $6, false)
        ON CONFLICT (user_id, plugin_id, stub) WHERE state IN ('pending', 'paid') DO NOTHING
        """,
        order_id,
        buyer.user_id,
        offer.plugin_id,
        offer.author_id,
        offer.price_cents,
        offer.currency,
    )


async def find_order(conn: Connection, *, user_id: UUID, plugin_id: str) -> Order | None:
    """The order of a user for a plugin: on its way, or paid and not refunded."""
    row = await conn.fetchrow(
        """
        SELECT
            id, user_id, plugin_id, amount_cents, currency, state, attempt, way, stripe_payment_method_id,
            stripe_session_id
        FROM purchases
        WHERE user_id = $1 AND plugin_id = $2 AND NOT stub AND state IN ('pending', 'paid')
        """,
        user_id,
        plugin_id,
    )
    return Order(**row) if row else None


async def lock_order(conn: Connection, order_id: UUID) -> Order | None:
    """An order, for nobody else until the transaction ends."""
    row = await conn.fetchrow(
        """
        SELECT
            id, user_id, plugin_id, amount_cents, currency, state, attempt, way, stripe_payment_method_id,
            stripe_session_id
        FROM purchases WHERE id = $1 FOR NO KEY UPDATE
        """,
        order_id,
    )
    return Order(**row) if row else None


async def reprice(conn: Connection, order: Order, price_cents: int) -> None:
    """The price has changed before a way of paying was open."""
    await conn.execute(
        """
        UPDATE purchases SET amount_cents = $3
        WHERE id = $1 AND attempt = $2 AND way IS NULL AND state = 'pending'
        """,
        order.id,
        order.attempt,
        price_cents,
    )


async def choose_way(conn: Connection, order: Order, way: str, stripe_payment_method_id: str | None) -> None:
    """Open a way of paying, unless one is open: from now on the price stands."""
    await conn.execute(
        """
        UPDATE purchases SET way = $3, stripe_payment_method_id = $4, check_at = now() + interval '1 minute'
        WHERE id = $1 AND attempt = $2 AND way IS NULL AND state = 'pending'
        """,
        order.id,
        order.attempt,
        way,
        stripe_payment_method_id,
    )


async def next_attempt(conn: Connection, order: Order, way: str | None) -> None:
    """The way of paying is closed for good: go on with another one."""
    await conn.execute(
        """
        UPDATE purchases
        SET attempt = attempt + 1, way = $3, stripe_payment_method_id = NULL, stripe_session_id = NULL
        WHERE id = $1 AND attempt = $2 AND state = 'pending'
        """,
        order.id,
        order.attempt,
        way,
    )


async def is_open(conn: Connection, order: Order) -> bool:
    """Whether the way of paying is still the one that is open; waits for whoever is about to close it."""
    return bool(
        await conn.fetchval(
            "SELECT true FROM purchases WHERE id = $1 AND attempt = $2 AND state = 'pending' FOR SHARE",
            order.id,
            order.attempt,
        )
    )


async def give_up_attempt(conn: Connection, order: Order, call: str, quiet: timedelta) -> bool:
    """Close the way of paying that was open, unless ``call`` of Stripe was tried within ``quiet``.

    The order has to be locked: whoever notes a call after this has looked waits in `is_open`, and does not make it.
    """
    status = await conn.execute(
        """
        UPDATE purchases SET attempt = attempt + 1, way = NULL, stripe_payment_method_id = NULL
        WHERE id = $1 AND attempt = $2 AND state = 'pending'
            AND NOT EXISTS (SELECT FROM stripe_calls WHERE name = $3 AND tried_at > now() - $4::interval)
        """,
        order.id,
        order.attempt,
        call,
        quiet,
    )
    return status != "UPDATE 0"


async def set_session(conn: Connection, order: Order, stripe_session_id: str) -> None:
    """The checkout of an attempt has been opened."""
    await conn.execute(
        "UPDATE purchases SET stripe_session_id = $3 WHERE id = $1 AND attempt = $2 AND state = 'pending'",
        order.id,
        order.attempt,
        stripe_session_id,
    )


async def mark_paid(
    conn: Connection, *, order_id: UUID, stripe_payment_intent_id: str, stripe_charge_id: str, amount_cents: int
) -> bool:
    """The money is here; False if that was known."""
    status = await conn.execute(
        """
        UPDATE purchases
        SET
            state = 'paid', paid_at = now(), stripe_payment_intent_id = $2, stripe_charge_id = $3, amount_cents = $4
        WHERE id = $1 AND state = 'pending'
        """,
        order_id,
        stripe_payment_intent_id,
        stripe_charge_id,
        amount_cents,
    )
    return status != "UPDATE 0"


async def claim_stale(conn: Connection, *, limit: int, pause: timedelta) -> list[Order]:
    """Orders with an open way of paying that nobody has looked after for a while.

    Nobody else gets them before ``pause`` has passed, or a quarter of their age.
    """
    rows = await conn.fetch(
        """
        UPDATE purchases SET check_at = now() + greatest($2::interval, (now() - created_at) / 4)
        WHERE id IN (
            SELECT id FROM purchases WHERE state = 'pending' AND way IS NOT NULL AND check_at <= now()
            ORDER BY check_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING
            id, user_id, plugin_id, amount_cents, currency, state, attempt, way, stripe_payment_method_id,
            stripe_session_id
        """,
        limit,
        pause,
    )
    return [Order(**row) for row in rows]


async def set_reading(conn: Connection, order_id: UUID, reading: int) -> bool:
    """The books now follow this reading of an order's refunds; False where they follow a newer one."""
    status = await conn.execute("UPDATE purchases SET reading = $2 WHERE id = $1 AND reading < $2", order_id, reading)
    return status != "UPDATE 0"


async def list_payments_with_other_refunds(conn: Connection, told: list[tuple[str | None, str, bool]]) -> list[str]:
    """Payments of orders whose books have other refunds than these: payment, refund, and whether it counts."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT told.payment_intent
        FROM unnest($1::text[], $2::text[], $3::boolean[]) AS told (payment_intent, refund, counts)
        JOIN purchases ON purchases.stripe_payment_intent_id = told.payment_intent
        WHERE told.counts <> (
            EXISTS (SELECT FROM revenue_events WHERE stripe_refund_id = told.refund AND kind = 'refund')
            AND NOT EXISTS (SELECT FROM revenue_events WHERE stripe_refund_id = told.refund AND kind = 'undone')
        )
        """,
        *([list(column) for column in zip(*told, strict=True)] or ([], [], [])),
    )
    return [row["payment_intent"] for row in rows]


async def list_refunds(conn: Connection, order_id: UUID) -> list[RefundLine]:
    """The refunds of an order in the books."""
    rows = await conn.fetch(
        """
        SELECT stripe_refund_id, kind, amount_cents FROM revenue_events
        WHERE purchase_id = $1 AND kind <> 'sale' ORDER BY created_at, id
        """,
        order_id,
    )
    return [RefundLine(**row) for row in rows]


async def insert_refund(
    conn: Connection, *, event_id: UUID, order_id: UUID, kind: str, stripe_refund_id: str, shares: Shares
) -> None:
    """Enter a refund in the books, or that one was undone; the shares have the sign of the line."""
    await conn.execute(
        """
        INSERT INTO revenue_events (
            id, purchase_id, kind, stub, plugin_id, developer_id, user_id, amount_cents, developer_share_cents,
            platform_share_cents, currency, stripe_refund_id
        )
        SELECT $1, id, $3, stub, plugin_id, developer_id, user_id, $5::integer + $6::integer, $5, $6, currency, $4
        FROM purchases WHERE id = $2
        """,
        event_id,
        order_id,
        kind,
        stripe_refund_id,
        shares.developer_cents,
        shares.platform_cents,
    )


async def set_refunded(conn: Connection, order_id: UUID, *, refunded: bool) -> bool:
    """All of an order has been paid back, or, after all, not; False if that was known."""
    status = await conn.execute(
        """
        UPDATE purchases AS purchase SET state = CASE WHEN $2 THEN 'refunded' ELSE 'paid' END
        WHERE id = $1 AND state = CASE WHEN $2 THEN 'paid' ELSE 'refunded' END AND ($2 OR NOT EXISTS (
            SELECT FROM purchases
            WHERE user_id = purchase.user_id AND plugin_id = purchase.plugin_id AND stub = purchase.stub
                AND state IN ('pending', 'paid')
        ))
        """,
        order_id,
        refunded,
    )
    return status != "UPDATE 0"


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


async def order_refund(
    conn: Connection, *, refund_id: UUID, email: str, plugin_id: str, amount_cents: int | None
) -> int | None:
    """Note that what a user has paid for a plugin is to be paid back; gives how much, None where it is not there.

    Without an amount it is all that is left.
    """
    amount: int | None = await conn.fetchval(
        """
        WITH bought AS (
            SELECT purchases.id, purchases.amount_cents, purchases.paid_at
            FROM purchases JOIN users ON users.id = purchases.user_id
            WHERE lower(users.email) = lower($2) AND purchases.plugin_id = $3 AND NOT purchases.stub
                AND purchases.state <> 'pending'
            FOR NO KEY UPDATE OF purchases
        ), given AS (
            SELECT
                bought.id,
                bought.paid_at,
                bought.amount_cents + coalesce((
                    SELECT sum(amount_cents) FROM revenue_events WHERE purchase_id = bought.id AND kind <> 'sale'
                ), 0) - coalesce((
                    SELECT sum(amount_cents) FROM refunds WHERE purchase_id = bought.id AND state = 'due'
                ), 0) AS left_cents
            FROM bought
        )
        INSERT INTO refunds (id, purchase_id, amount_cents)
        SELECT $1, id, coalesce($4, left_cents) FROM given WHERE coalesce($4, left_cents) BETWEEN 1 AND left_cents
        ORDER BY paid_at LIMIT 1
        RETURNING amount_cents
        """,
        refund_id,
        email,
        plugin_id,
        amount_cents,
    )
    return amount


async def order_refund_of_rest(conn: Connection, *, refund_id: UUID, order_id: UUID, most: int) -> bool:
    """Note that what is left of an order is to be paid back; False where that was noted ``most`` times before."""
    status = await conn.execute(
        """
        INSERT INTO refunds (id, purchase_id, amount_cents)
        SELECT $1, purchases.id, purchases.amount_cents + coalesce(sum(revenue_events.amount_cents), 0)
        FROM purchases
        LEFT JOIN revenue_events ON revenue_events.purchase_id = purchases.id AND revenue_events.kind <> 'sale'
        WHERE purchases.id = $2
            AND NOT EXISTS (SELECT FROM refunds WHERE purchase_id = $2 AND state = 'due')
            AND (SELECT count(*) FROM refunds WHERE purchase_id = $2) < $3
        GROUP BY purchases.id
        """,
        refund_id,
        order_id,
        most,
    )
    return status != "INSERT 0 0"


async def order_refund_of_unavailable(conn: Connection, *, refund_id: UUID, order_id: UUID) -> bool:
    """Note that an order is to be paid back whose plugin or user has gone meanwhile.

    False where both are there, and where it has been noted before.
    """
    status = await conn.execute(
        """
        INSERT INTO refunds (id, purchase_id, amount_cents)
        SELECT $1, purchases.id, purchases.amount_cents
        FROM purchases LEFT JOIN plugins ON plugins.id = purchases.plugin_id
        WHERE purchases.id = $2 AND (plugins.status IS DISTINCT FROM 'approved' OR purchases.user_id IS NULL)
            AND NOT EXISTS (SELECT FROM refunds WHERE purchase_id = $2)
        """,
        refund_id,
        order_id,
    )
    return status != "INSERT 0 0"


async def list_due_refunds(conn: Connection, limit: int) -> list[RefundOrder]:
    """What is to be paid back, and put off so that nobody else does it meanwhile."""
    rows = await conn.fetch(
        """
        UPDATE refunds SET next_try_at = now() + interval '1 minute'
        FROM purchases
        WHERE purchases.id = refunds.purchase_id AND refunds.id IN (
            SELECT id FROM refunds WHERE state = 'due' AND next_try_at <= now()
            ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        RETURNING refunds.id, refunds.amount_cents, purchases.stripe_payment_intent_id
        """,
        limit,
    )
    return [RefundOrder(**row) for row in rows]


async def finish_refund(conn: Connection, refund_id: UUID, stripe_refund_id: str) -> None:
    """Stripe has paid back."""
    await conn.execute(
        "UPDATE refunds SET state = 'done', stripe_refund_id = $2, fault = NULL WHERE id = $1 AND state = 'due'",
        refund_id,
        stripe_refund_id,
    )


async def count_failure(conn: Connection, refund_id: UUID, fault: str, *, most: int) -> None:
    """Stripe refuses: try again later, with growing pauses of at most six hours; after ``most`` tries, no more."""
    await conn.execute(
        """
        UPDATE refunds
        SET
            tries = tries + 1, fault = $2,
            next_try_at = now() + least(interval '6 hours', interval '10 seconds' * 2 ^ tries),
            state = CASE WHEN tries + 1 >= $3 THEN 'refused' ELSE state END
        WHERE id = $1 AND state = 'due'
        """,
        refund_id,
        fault,
        most,
    )


async def retry_refused(conn: Connection) -> int:
    """Try the refunds anew that Stripe has refused for good; gives how many."""
    status = await conn.execute(
        "UPDATE refunds SET state = 'due', tries = 0, next_try_at = now() WHERE state = 'refused'"
    )
    return int(status.removeprefix("UPDATE "))


async def list_unmade_refunds(conn: Connection, limit: int) -> list[UnmadeRefund]:
    """Refunds that were ordered and are still to be made, or that Stripe has refused."""
    rows = await conn.fetch(
        """
        SELECT
            refunds.created_at, refunds.state, refunds.amount_cents, purchases.plugin_id, users.email AS buyer,
            refunds.fault
        FROM refunds
        JOIN purchases ON purchases.id = refunds.purchase_id
        LEFT JOIN users ON users.id = purchases.user_id
        WHERE refunds.state <> 'done' ORDER BY refunds.created_at LIMIT $1
        """,
        limit,
    )
    return [UnmadeRefund(**row) for row in rows]


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
