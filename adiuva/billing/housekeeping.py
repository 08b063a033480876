"""What billing does by itself, now and then: whatever a crash, an outage or a lost event has left undone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from adiuva.billing import queries
from adiuva.billing.customers import Customers
from adiuva.billing.payouts.accounts import Accounts
from adiuva.billing.payouts.transfers import Transfers
from adiuva.billing.purchases.orders import Orders
from adiuva.billing.purchases.refunds import Refunds
from adiuva.billing.subscriptions.following import Following
from adiuva.database import Database

log = structlog.get_logger(__name__)

ROUND_SECONDS: Final = 5.0
RECONCILE_PAUSE: Final = timedelta(minutes=15)
LOOK_SECONDS: Final = 60.0  # after which it is seen whether that has passed


class Housekeeper:
    """Rounds of billing's own work; each part goes on where another one fails."""

    def __init__(
        self,
        *,
        database: Database,
        customers: Customers,
        following: Following,
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
        self._orders = orders
        self._refunds = refunds
        self._transfers = transfers
        self._accounts = accounts
        self._tasks: list[asyncio.Task[None]] = []
        self._soon = soon

    async def start(self) -> None:
        """Begin the rounds."""
        self._tasks = [
            asyncio.create_task(self._tidy_now_and_then(), name="billing: housekeeping"),
            asyncio.create_task(self._reconcile_now_and_then(), name="billing: reconciling"),
        ]

    async def stop(self) -> None:
        """End; what is left is done after the next start."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def tidy(self) -> None:
        """One round."""
        await _try(self._customers.clear)
        await _try(lambda: _all(self._orders.run_due))
        await _try(lambda: _all(self._refunds.run_due))
        await _try(lambda: _all(self._transfers.run_due))

    async def reconcile(self) -> None:
        """Compare with Stripe what events should have told."""
        await _try(self._following.reconcile)
        await _try(self._refunds.reconcile)
        await _try(self._accounts.refresh)

    async def _tidy_now_and_then(self) -> None:
        while True:
            self._soon.clear()  # before the round: what is called for while it runs may have come too late for it
            await self.tidy()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._soon.wait()

    async def _reconcile_now_and_then(self) -> None:
        """Beside the rounds, since it asks Stripe about every customer, one after another; one server for all."""
        while True:
            await _try(self._reconcile_if_due)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reconcile_if_due(self) -> None:
        async with self._database.acquire() as conn:
            due = await queries.begin_round(conn, "reconcile", RECONCILE_PAUSE)
        if due:
            await self.reconcile()


async def _all(run_due: Callable[[], Awaitable[int]]) -> None:
    """Go on until nothing is due; what does not go is put off, and so not due."""
    while await run_due():
        pass


async def _try(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - the next round may go well
        log.warning("billing's housekeeping is put off", error=type(error).__name__)
