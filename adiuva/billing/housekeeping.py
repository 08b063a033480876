"""What billing does by itself, now and then: whatever a crash, an outage or a lost event has left undone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from adiuva.billing.customers import Customers
from adiuva.billing.events.inbox import Inbox
from adiuva.billing.payouts.accounts import Accounts
from adiuva.billing.payouts.transfers import Transfers
from adiuva.billing.purchases import queries as purchase_queries
from adiuva.billing.purchases.orders import Orders
from adiuva.billing.purchases.refunds import Refunds
from adiuva.billing.subscriptions.following import Following
from adiuva.database import Database

log = structlog.get_logger(__name__)

ROUND_SECONDS: Final = 5.0
RECONCILE_ROUNDS: Final = 180  # a quarter of an hour
AT_ONCE: Final = 50
LOOK_AGAIN: Final = timedelta(minutes=5)


class Housekeeper:
    """Rounds of billing's own work; each part goes on where another one fails."""

    def __init__(
        self,
        *,
        database: Database,
        customers: Customers,
        following: Following,
        inbox: Inbox,
        orders: Orders,
        refunds: Refunds,
        transfers: Transfers,
        accounts: Accounts,
        soon: asyncio.Event,
    ) -> None:
        """``soon`` calls for the next round at once."""
        self._database = database
        self._customers = customers
        self._following = following
        self._inbox = inbox
        self._orders = orders
        self._refunds = refunds
        self._transfers = transfers
        self._accounts = accounts
        self._loop_task: asyncio.Task[None] | None = None
        self._soon = soon

    async def start(self) -> None:
        """Begin the rounds."""
        self._loop_task = asyncio.create_task(self._loop(), name="billing: housekeeping")

    async def stop(self) -> None:
        """End; what is left is done after the next start."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])

    async def tidy(self) -> None:
        """One round."""
        await _try(self._customers.clear)
        await _try(self.resume_orders)
        await _try(lambda: _all(self._refunds.run_due))
        await _try(lambda: _all(self._transfers.run_due))

    async def reconcile(self) -> None:
        """Compare with Stripe what events should have told."""
        await _try(self._following.reconcile)
        await _try(self._accounts.refresh)
        await _try(self._inbox.prune)

    async def resume_orders(self) -> None:
        """See what has become of payments that nobody waits for any more."""
        async with self._database.acquire() as conn:
            stale = await purchase_queries.list_stale(conn, AT_ONCE)
        for order in stale:
            async with self._database.acquire() as conn:
                await purchase_queries.check_later(conn, order.id, LOOK_AGAIN)
            await self._orders.resume(order)

    async def _loop(self) -> None:
        rounds = 0
        while True:
            await self.tidy()
            if rounds % RECONCILE_ROUNDS == 0:
                await self.reconcile()
            rounds += 1
            self._soon.clear()
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._soon.wait()
            except TimeoutError:
                continue


async def _all(run_due: Callable[[], Awaitable[int]]) -> None:
    """Go on until nothing is due; what does not go is put off, and so not due."""
    while await run_due():
        pass


async def _try(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - the next round may go well
        log.warning("billing's housekeeping is put off", error=type(error).__name__)
