"""Our row of a subscription follows Stripe: by its events, by asking, and by going through all of them now and then."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import attrs
import structlog

from adiuva.billing import queries as shared
from adiuva.billing.events.models import Apply, Event, Outcome, nothing
from adiuva.billing.stripe import Object, PaymentsUnavailableError, RefusedError, Stripe
from adiuva.billing.subscriptions import queries
from adiuva.billing.subscriptions.merge import Doubt, merged, past_due
from adiuva.billing.subscriptions.models import ENDED, Prices, Row, current, row_of
from adiuva.clock import new_id
from adiuva.database import Connection, Database

log = structlog.get_logger(__name__)

MOST_IN_A_ROW: Final = 3
_PAGE: Final = 100


@attrs.frozen(kw_only=True)
class Reading:
    """What Stripe said of a customer's subscriptions when it was asked; the number was drawn before."""

    number: int
    subscription: Object | None


class Following:
    """Keeps subscriptions as Stripe has them.

    An event is taken as a word that something has changed, and Stripe is asked what it is now. So neither order nor
    repetition matters: of two readings the one with the higher number is newer, since whatever the events behind the
    other one told had happened before it was made. Where Stripe cannot be asked, or has no key here, the event itself
    is taken, if it is newer than all before.
    """

    def __init__(self, *, database: Database, stripe: Stripe | None, prices: Prices) -> None:
        self._database = database
        self._stripe = stripe
        self._prices = prices

    async def prepare(self, event: Event) -> Apply:
        """What is to be done about an event of a subscription, its invoice or its checkout.

        Raises:
            PaymentsUnavailableError: Stripe has to be asked, and does not answer.
        """
        customer = event.customer
        if customer is None:
            return nothing
        reading: Reading | None = None
        fault: PaymentsUnavailableError | None = None
        try:
            reading = await self._read(customer)
        except PaymentsUnavailableError as error:
            fault = error

        async def apply(conn: Connection) -> Outcome:
            await self._link(conn, event, customer)
            locked = await queries.lock_customer(conn, customer)
            if locked is None:
                return "ignored" if await self._is_deleted(conn, event) else "unknown_customer"
            if locked.user_id is None:
                return "ignored"
            if reading is None or reading.subscription is None:
                await self._believe(conn, event, locked.user_id, customer, fault)
            elif reading.number > locked.reading:
                await self._take(conn, locked.user_id, customer, reading.subscription, event.created_at)
                await queries.set_reading(conn, locked.id, reading.number)
            return "applied"

        return apply

    async def sync(self, stripe_customer_id: str) -> Row | None:
        """Ask Stripe for a customer's subscription, and write it down; the row as it is then.

        Raises:
            PaymentsUnavailableError: Stripe does not answer.
        """
        reading = await self._read(stripe_customer_id)
        async with self._database.acquire() as conn, conn.transaction():
            locked = await queries.lock_customer(conn, stripe_customer_id)
            if locked is None or locked.user_id is None:
                return None
            if reading is not None and reading.number > locked.reading:
                if reading.subscription is not None:
                    await self._take(conn, locked.user_id, stripe_customer_id, reading.subscription, None)
                else:
                    await self._forget(conn, locked.user_id)
                await queries.set_reading(conn, locked.id, reading.number)
            return await queries.find(conn, locked.user_id)

    async def reconcile(self, repaired: Callable[[UUID], Awaitable[None]] | None = None) -> int:
        """Ask Stripe for everybody's subscription; gives how many rows were not as Stripe has them.

        Raises:
            PaymentsUnavailableError: Stripe does not answer, several times in a row.
        """
        after: UUID | None = None
        count = failed = 0
        while True:
            async with self._database.acquire() as conn:
                page = await shared.list_customers(conn, after=after, limit=_PAGE)
            for customer in page:
                assert customer.user_id is not None
                assert customer.stripe_customer_id is not None
                async with self._database.acquire() as conn:
                    before = await queries.find(conn, customer.user_id)
                try:
                    now = await self.sync(customer.stripe_customer_id)
                except RefusedError as error:
                    log.warning(
                        "a customer cannot be read at Stripe", user_id=str(customer.user_id), reason=error.reason
                    )
                    continue
                except PaymentsUnavailableError as error:
                    failed += 1
                    if failed == MOST_IN_A_ROW:
                        raise
                    log.info("a customer was not read", user_id=str(customer.user_id), error=type(error).__name__)
                    continue
                failed = 0
                if _state(before) != _state(now):
                    count += 1
                    await (repaired or _log_repair)(customer.user_id)
            if len(page) < _PAGE:
                return count
            after = page[-1].id

    async def _read(self, stripe_customer_id: str) -> Reading | None:
        stripe = self._stripe
        if stripe is None:
            return None
        async with self._database.acquire() as conn:
            number = await shared.next_reading(conn)
        found = await stripe.list(
            lambda v1: v1.subscriptions.list_async({"customer": stripe_customer_id, "status": "all", "limit": 100})
        )
        return Reading(number=number, subscription=current(found))

    async def _is_deleted(self, conn: Connection, event: Event) -> bool:
        """Whether it is of an account that is gone, and of which nothing is to be kept."""
        return event.user_id is not None and await shared.find_email(conn, event.user_id) is None

    async def _link(self, conn: Connection, event: Event, stripe_customer_id: str) -> None:
        """A customer that we have not made is known by the user that its object names."""
        user_id = event.user_id
        if user_id is None or await shared.find_customer(conn, stripe_customer_id) is not None:
            return
        email = await shared.find_email(conn, user_id)
        if email is not None:
            await shared.insert_customer(
                conn, row_id=new_id(), user_id=user_id, email=email, stripe_customer_id=stripe_customer_id
            )

    async def _believe(
        self,
        conn: Connection,
        event: Event,
        user_id: UUID,
        stripe_customer_id: str,
        fault: PaymentsUnavailableError | None,
    ) -> None:
        row = await queries.find(conn, user_id)
        told = self._told(event, row)
        if told is Doubt.SAME_SECOND:
            if fault is not None and not isinstance(fault, RefusedError):
                raise fault  # Stripe will tell later
        elif told is not None and told != row:
            await queries.save(conn, user_id=user_id, stripe_customer_id=stripe_customer_id, row=told)

    async def _take(
        self, conn: Connection, user_id: UUID, stripe_customer_id: str, subscription: Object, at: datetime | None
    ) -> None:
        row = await queries.find(conn, user_id)
        told = row_of(subscription, self._prices, told_at=at)
        if row is not None and row.stripe_subscription_id is None and row.live and not told.live:
            return  # an admin's
        await queries.save(conn, user_id=user_id, stripe_customer_id=stripe_customer_id, row=told)

    async def _forget(self, conn: Connection, user_id: UUID) -> None:
        """Stripe has no subscription of this customer: one that we believe to have is over."""
        row = await queries.find(conn, user_id)
        if row is not None and row.stripe_subscription_id is not None and row.status not in ENDED:
            await queries.cancel(conn, user_id=user_id, stripe_subscription_id=row.stripe_subscription_id)

    def _told(self, event: Event, row: Row | None) -> Row | Doubt | None:
        at = event.created_at
        if event.type == "invoice.payment_failed":
            return past_due(row, event.subscription, at)
        if event.type == "checkout.session.completed":
            return self._checked_out(event, row)
        return merged(row, row_of(event.object, self._prices, told_at=at), at)

    def _checked_out(self, event: Event, row: Row | None) -> Row | None:
        """A session names its subscription, and not how it is: anything told of that one itself is better."""
        if event.subscription is None or (row and row.stripe_subscription_id == event.subscription):
            return row
        pseudo = {"id": event.subscription, "metadata": event.object.get("metadata"), "status": "active"}
        told = merged(row, row_of(pseudo, self._prices, told_at=None), event.created_at)
        return told if isinstance(told, Row) else row


async def _log_repair(user_id: UUID) -> None:
    log.warning("a subscription was not as Stripe has it", user_id=str(user_id))


def _state(row: Row | None) -> object:
    return row and attrs.evolve(row, told_at=None)
