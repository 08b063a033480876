"""The SQL of authors' accounts and of transfers: one function a statement; the caller owns the transaction."""

from datetime import timedelta
from uuid import UUID

from adiuva.billing.payouts.models import Account, AccountState, StuckTransfer, Transfer
from adiuva.database import Connection


async def insert_account(conn: Connection, row_id: UUID, user_id: UUID) -> None:
    """Note that an author is to have an account, unless there is a row already."""
    await conn.execute(
        "INSERT INTO payout_accounts (id, user_id) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING", row_id, user_id
    )


async def find_account(conn: Connection, user_id: UUID) -> Account | None:
    """An author's account."""
    row = await conn.fetchrow(
        "SELECT id, stripe_account_id, created_at FROM payout_accounts WHERE user_id = $1", user_id
    )
    return Account(**row) if row else None


async def set_account_id(conn: Connection, row_id: UUID, stripe_account_id: str) -> None:
    """Stripe's account has been made."""
    await conn.execute(
        """
        UPDATE payout_accounts SET stripe_account_id = $2, updated_at = now()
        WHERE id = $1 AND stripe_account_id IS NULL
        """,
        row_id,
        stripe_account_id,
    )


async def set_account_state(conn: Connection, *, stripe_account_id: str, state: AccountState, reading: int) -> bool:
    """What a reading of Stripe tells of an account, unless a newer one has told; False if it is none of ours."""
    known: bool = await conn.fetchval(
        """
        WITH told AS (
            UPDATE payout_accounts SET state = $2, reading = $3, updated_at = now()
            WHERE stripe_account_id = $1 AND reading < $3
        )
        SELECT EXISTS (SELECT FROM payout_accounts WHERE stripe_account_id = $1)
        """,
        stripe_account_id,
        state,
        reading,
    )
    return known


async def list_waiting_accounts(conn: Connection, limit: int) -> list[str]:
    """Accounts that do not take transfers yet, the longest unasked first."""
    rows = await conn.fetch(
        """
        SELECT stripe_account_id FROM payout_accounts
        WHERE state <> 'active' AND stripe_account_id IS NOT NULL ORDER BY updated_at LIMIT $1
        """,
        limit,
    )
    return [row["stripe_account_id"] for row in rows]


async def put_off_account(conn: Connection, stripe_account_id: str) -> None:
    """It could not be read: others come first."""
    await conn.execute("UPDATE payout_accounts SET updated_at = now() WHERE stripe_account_id = $1", stripe_account_id)


async def owns_plugins(conn: Connection, user_id: UUID) -> bool:
    """Whether a user is a plugin's author."""
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM plugins WHERE author_id = $1)", user_id)
    return found


async def held_cents(conn: Connection, user_id: UUID) -> int:
    """An author's shares that wait for the account."""
    cents: int = await conn.fetchval(
        "SELECT coalesce(sum(amount_cents), 0) FROM transfers WHERE developer_id = $1 AND state = 'held'", user_id
    )
    return cents


async def insert_transfer(conn: Connection, *, row_id: UUID, event_id: UUID) -> None:
    """Note the share that is due for a line of the books that gives the author something.

    Nothing where there is no author to be paid, or nothing to pay, as of a cent's refund.
    """
    await conn.execute(
        """
        INSERT INTO transfers (
            id, revenue_event_id, purchase_id, developer_id, payout_account_id, kind, amount_cents, state
        )
        SELECT
            $1, revenue_events.id, purchase_id, developer_id, payout_accounts.id, 'transfer', developer_share_cents,
            CASE WHEN payout_accounts.state = 'active' THEN 'due' ELSE 'held' END
        FROM revenue_events
        LEFT JOIN payout_accounts ON payout_accounts.user_id = revenue_events.developer_id
        WHERE revenue_events.id = $2 AND developer_id IS NOT NULL AND developer_share_cents > 0
        """,
        row_id,
        event_id,
    )


async def net(conn: Connection, *, purchase_id: UUID, amount_cents: int) -> bool:
    """Take a refund's part off a transfer that has not left; False where it has, or there is none so large."""
    status = await conn.execute(
        """
        UPDATE transfers
        SET amount_cents = amount_cents - $2, state = CASE WHEN amount_cents = $2 THEN 'netted' ELSE state END
        WHERE id = (
            SELECT id FROM transfers
            WHERE purchase_id = $1 AND kind = 'transfer' AND state IN ('held', 'due', 'parked') AND begun_at IS NULL
                AND amount_cents >= $2
            ORDER BY created_at LIMIT 1 FOR UPDATE
        )
        """,
        purchase_id,
        amount_cents,
    )
    return status != "UPDATE 0"


async def lock_transfers(conn: Connection, purchase_id: UUID) -> None:
    """Wait for whoever changes the transfers of a purchase, and keep others from it."""
    await conn.execute("SELECT FROM transfers WHERE purchase_id = $1 ORDER BY id FOR UPDATE", purchase_id)


async def net_part(conn: Connection, reversal_id: UUID) -> bool:
    """Take all of the largest transfer that has not left off a reversal, which is larger; False where there is none."""
    status = await conn.execute(
        """
        WITH unsent AS (
            SELECT sent.id, sent.amount_cents
            FROM transfers AS sent JOIN transfers AS reversal USING (purchase_id)
            WHERE reversal.id = $1 AND reversal.state = 'due' AND reversal.reverses IS NULL
                AND sent.kind = 'transfer' AND sent.state IN ('held', 'due', 'parked') AND sent.begun_at IS NULL
                AND sent.amount_cents < reversal.amount_cents
            ORDER BY sent.amount_cents DESC LIMIT 1
        ), netted AS (
            UPDATE transfers SET amount_cents = 0, state = 'netted' FROM unsent WHERE transfers.id = unsent.id
        )
        UPDATE transfers SET amount_cents = transfers.amount_cents - unsent.amount_cents, next_try_at = now()
        FROM unsent WHERE transfers.id = $1
        """,
        reversal_id,
    )
    return status != "UPDATE 0"


async def split(conn: Connection, reversal_id: UUID, rest_id: UUID) -> bool:
    """Let a reversal take what is left of the transfer that has most left, and a second one the rest.

    False where nothing is left of any, or one has enough left for all of it.
    """
    status = await conn.execute(
        """
        WITH sent AS (
            SELECT transfers.id, transfers.amount_cents - coalesce(sum(back.amount_cents), 0) AS left_cents
            FROM transfers
            JOIN transfers AS reversal USING (purchase_id)
            LEFT JOIN transfers AS back ON back.reverses = transfers.id
            WHERE reversal.id = $1 AND reversal.state = 'due' AND reversal.reverses IS NULL
                AND transfers.kind = 'transfer' AND transfers.state = 'done'
            GROUP BY transfers.id, reversal.amount_cents
            HAVING transfers.amount_cents - coalesce(sum(back.amount_cents), 0) BETWEEN 1 AND reversal.amount_cents - 1
            ORDER BY left_cents DESC LIMIT 1
        ), rest AS (
            INSERT INTO transfers (id, revenue_event_id, purchase_id, developer_id, kind, amount_cents, state)
            SELECT $2, revenue_event_id, purchase_id, developer_id, 'reversal', amount_cents - left_cents, 'due'
            FROM transfers, sent WHERE transfers.id = $1
        )
        UPDATE transfers SET amount_cents = left_cents, reverses = sent.id, next_try_at = now()
        FROM sent WHERE transfers.id = $1
        """,
        reversal_id,
        rest_id,
    )
    return status != "UPDATE 0"


async def insert_reversal(conn: Connection, *, row_id: UUID, event_id: UUID, netted: bool) -> None:
    """Note what the author gives back for a refund in the books; nothing where the author got nothing."""
    await conn.execute(
        """
        INSERT INTO transfers (id, revenue_event_id, purchase_id, developer_id, kind, amount_cents, state)
        SELECT
            $1, id, purchase_id, developer_id, 'reversal', -developer_share_cents,
            CASE WHEN $3 THEN 'netted' ELSE 'due' END
        FROM revenue_events
        WHERE id = $2 AND developer_share_cents < 0 AND EXISTS (
            SELECT FROM transfers WHERE transfers.purchase_id = revenue_events.purchase_id AND kind = 'transfer'
        )
        """,
        row_id,
        event_id,
        netted,
    )


async def release_held(conn: Connection) -> None:
    """What waited for an account that takes it now is due."""
    await conn.execute(
        """
        UPDATE transfers SET state = 'due', next_try_at = now(), payout_account_id = payout_accounts.id
        FROM payout_accounts
        WHERE transfers.state = 'held' AND payout_accounts.state = 'active' AND (
            payout_accounts.user_id = transfers.developer_id OR payout_accounts.id = transfers.payout_account_id
        )
        """
    )


async def claim_due(conn: Connection, *, purchase_id: UUID | None, limit: int) -> list[UUID]:
    """Transfers that are due, all or of one purchase; nobody else gets them within the next minute."""
    rows = await conn.fetch(
        """
        UPDATE transfers
        SET
            next_try_at = now() + interval '1 minute', begun_at = coalesce(begun_at, now()),
            reverses = CASE WHEN kind = 'reversal' THEN coalesce(reverses, (
                SELECT sent.id FROM transfers AS sent
                WHERE sent.purchase_id = transfers.purchase_id AND sent.kind = 'transfer' AND sent.state = 'done'
                    AND sent.amount_cents - transfers.amount_cents >= (
                        SELECT coalesce(sum(back.amount_cents), 0) FROM transfers AS back WHERE back.reverses = sent.id
                    )
                ORDER BY sent.created_at LIMIT 1
            )) END
        WHERE id IN (
            SELECT id FROM transfers
            WHERE state = 'due' AND next_try_at <= now() AND ($1::uuid IS NULL OR purchase_id = $1)
                -- Of those that have yet to choose what they reverse one at a time, or two would choose the same.
                AND NOT (kind = 'reversal' AND reverses IS NULL AND EXISTS (
                    SELECT FROM transfers AS earlier
                    WHERE earlier.purchase_id = transfers.purchase_id AND earlier.kind = 'reversal'
                        AND earlier.state = 'due' AND earlier.reverses IS NULL
                        AND (earlier.created_at, earlier.id) < (transfers.created_at, transfers.id)
                ))
            ORDER BY next_try_at, created_at LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING id
        """,
        purchase_id,
        limit,
    )
    return [row["id"] for row in rows]


async def find_claimed(conn: Connection, transfer_id: UUID) -> Transfer | None:
    """A transfer that is to be made now."""
    row = await conn.fetchrow(
        """
        SELECT
            transfers.id, transfers.purchase_id, transfers.kind, transfers.amount_cents, purchases.currency,
            CASE WHEN revenue_events.kind = 'sale' THEN purchases.stripe_charge_id END AS stripe_charge_id,
            payout_accounts.stripe_account_id, sent.stripe_id AS reverses
        FROM transfers
        JOIN purchases ON purchases.id = transfers.purchase_id
        JOIN revenue_events ON revenue_events.id = transfers.revenue_event_id
        LEFT JOIN payout_accounts ON payout_accounts.id = transfers.payout_account_id
        LEFT JOIN transfers AS sent ON sent.id = transfers.reverses
        WHERE transfers.id = $1 AND transfers.state = 'due'
        """,
        transfer_id,
    )
    return Transfer(**row) if row else None


async def finish(conn: Connection, transfer_id: UUID, stripe_id: str) -> None:
    """The money has moved; the sale in the books names its transfer."""
    await conn.execute(
        """
        WITH done AS (
            UPDATE transfers SET state = 'done', stripe_id = $2, done_at = now(), fault = NULL
            WHERE id = $1 AND state = 'due'
            RETURNING revenue_event_id, kind
        )
        UPDATE revenue_events SET stripe_transfer_id = $2
        FROM done WHERE revenue_events.id = done.revenue_event_id AND done.kind = 'transfer'
        """,
        transfer_id,
        stripe_id,
    )


async def mark_netted(conn: Connection, transfer_id: UUID) -> None:
    """What had to be reversed was taken off the transfer instead."""
    await conn.execute("UPDATE transfers SET state = 'netted' WHERE id = $1 AND state = 'due'", transfer_id)


async def put_off(conn: Connection, transfer_id: UUID, fault: str, pause: timedelta) -> None:
    """Nobody knows whether it has moved, or it cannot yet: try again later."""
    await conn.execute(
        "UPDATE transfers SET fault = $2, next_try_at = now() + $3::interval WHERE id = $1 AND state = 'due'",
        transfer_id,
        fault,
        pause,
    )


async def hold(conn: Connection, transfer_id: UUID, fault: str) -> None:
    """The author's account does not take it any more: wait for that."""
    await conn.execute(
        """
        WITH held AS (
            UPDATE transfers SET state = 'held', begun_at = NULL, fault = $2 WHERE id = $1 AND state = 'due'
            RETURNING developer_id
        )
        UPDATE payout_accounts SET state = 'incomplete', updated_at = now()
        FROM held WHERE payout_accounts.user_id = held.developer_id
        """,
        transfer_id,
        fault,
    )


async def count_failure(conn: Connection, transfer_id: UUID, fault: str, *, most: int) -> None:
    """Stripe refuses: try again later, with growing pauses of at most six hours; after ``most`` tries, no more."""
    await conn.execute(
        """
        UPDATE transfers
        SET
            tries = tries + 1, fault = $2, begun_at = NULL,
            next_try_at = now() + least(interval '6 hours', interval '10 seconds' * 2 ^ tries),
            state = CASE WHEN tries + 1 >= $3 THEN 'parked' ELSE state END
        WHERE id = $1 AND state = 'due'
        """,
        transfer_id,
        fault,
        most,
    )


async def list_stuck(conn: Connection, limit: int) -> list[StuckTransfer]:
    """Transfers that Stripe has refused, or that wait for an account."""
    rows = await conn.fetch(
        """
        SELECT
            transfers.kind, transfers.amount_cents, transfers.state, transfers.tries, transfers.fault,
            users.email AS developer, transfers.created_at
        FROM transfers LEFT JOIN users ON users.id = transfers.developer_id
        WHERE transfers.state IN ('held', 'parked') OR (transfers.state = 'due' AND transfers.fault IS NOT NULL)
        ORDER BY transfers.state, transfers.created_at LIMIT $1
        """,
        limit,
    )
    return [StuckTransfer(**row) for row in rows]


async def retry_parked(conn: Connection) -> int:
    """Try parked transfers anew; gives how many."""
    status = await conn.execute(
        "UPDATE transfers SET state = 'due', tries = 0, next_try_at = now() WHERE state = 'parked'"
    )
    return int(status.split()[-1])
