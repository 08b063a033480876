"""The SQL of events: one function a statement; the caller owns the transaction."""

from datetime import datetime, timedelta

from adiuva.billing.events.models import Event, EventLine, Outcome
from adiuva.database import Connection


async def insert(conn: Connection, event: Event, payload: bytes, *, first_try_in: timedelta) -> bool:
    """Keep an event; False if it has come before."""
    status = await conn.execute(
        """
        INSERT INTO stripe_events (id, type, stripe_customer_id, payload, created_at, next_try_at)
        VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
        ON CONFLICT (id) DO NOTHING
        """,
        event.id,
        event.type,
        event.customer,
        payload,
        event.created_at,
        first_try_in,
    )
    return status != "INSERT 0 0"


async def find_pending(conn: Connection, event_id: str) -> bytes | None:
    """The payload of an event that is still to be applied."""
    payload: bytes | None = await conn.fetchval(
        "SELECT payload FROM stripe_events WHERE id = $1 AND state = 'pending'", event_id
    )
    return payload


async def lock_pending(conn: Connection, event_id: str) -> bool:
    """Take an event that is still to be applied, for nobody else until the transaction ends."""
    found: str | None = await conn.fetchval(
        "SELECT id FROM stripe_events WHERE id = $1 AND state = 'pending' FOR UPDATE", event_id
    )
    return found is not None


async def finish(conn: Connection, event_id: str, outcome: Outcome) -> None:
    """Mark an event; what it said is kept only where it may be needed again."""
    await conn.execute(
        """
        UPDATE stripe_events
        SET
            state = $2, fault = NULL, finished_at = now(),
            payload = CASE WHEN $2 = 'unknown_customer' THEN payload END
        WHERE id = $1
        """,
        event_id,
        outcome,
    )


async def list_due(conn: Connection, limit: int) -> list[str]:
    """Events whose turn it is, the longest waiting first."""
    rows = await conn.fetch(
        "SELECT id FROM stripe_events WHERE state = 'pending' AND next_try_at <= now() ORDER BY next_try_at LIMIT $1",
        limit,
    )
    return [row["id"] for row in rows]


async def put_off(conn: Connection, event_id: str, fault: str, pause: timedelta) -> None:
    """It was not the event's fault: try again later."""
    await conn.execute(
        "UPDATE stripe_events SET fault = $2, next_try_at = now() + $3::interval WHERE id = $1 AND state = 'pending'",
        event_id,
        fault,
        pause,
    )


async def count_failure(conn: Connection, event_id: str, fault: str, *, most: int) -> str | None:
    """The event could not be applied: after ``most`` tries it is parked, until then later; gives its state."""
    state: str | None = await conn.fetchval(
        """
        UPDATE stripe_events
        SET
            tries = tries + 1, fault = $2, next_try_at = now() + interval '1 second' * 2 ^ tries,
            state = CASE WHEN tries + 1 >= $3 THEN 'parked' ELSE state END
        WHERE id = $1 AND state = 'pending'
        RETURNING state
        """,
        event_id,
        fault,
        most,
    )
    return state


async def release_known(conn: Connection) -> int:
    """Events whose customer has become known are to be applied; gives how many."""
    status = await conn.execute(
        """
        UPDATE stripe_events SET state = 'pending', next_try_at = now(), finished_at = NULL
        FROM stripe_customers
        WHERE stripe_events.state = 'unknown_customer'
            AND stripe_customers.stripe_customer_id = stripe_events.stripe_customer_id
        """
    )
    return int(status.split()[-1])


async def retry(conn: Connection, event_id: str) -> bool:
    """Try an event anew that was parked or whose customer was unknown; False if there is none."""
    status = await conn.execute(
        """
        UPDATE stripe_events SET state = 'pending', tries = 0, next_try_at = now(), finished_at = NULL
        WHERE id = $1 AND state IN ('parked', 'unknown_customer', 'pending')
        """,
        event_id,
    )
    return status != "UPDATE 0"


async def list_unfinished(conn: Connection, limit: int) -> list[EventLine]:
    """Events that are parked, of unknown customers, or still to be applied."""
    rows = await conn.fetch(
        """
        SELECT id, type, stripe_customer_id, state, tries, fault, received_at FROM stripe_events
        WHERE state NOT IN ('applied', 'ignored') ORDER BY state, received_at LIMIT $1
        """,
        limit,
    )
    return [EventLine(**row) for row in rows]


async def prune(conn: Connection, before: datetime) -> None:
    """Forget what was finished long ago, which Stripe does not send again, or was never of a customer known here."""
    await conn.execute("DELETE FROM stripe_events WHERE state IN ('applied', 'ignored') AND finished_at < $1", before)
    await conn.execute("DELETE FROM stripe_events WHERE state = 'unknown_customer' AND received_at < $1", before)
