"""Buying a plugin: the face of billing that the marketplace calls."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from aiohttp import web
from attrs import evolve

from adiuva.billing.flight import SingleFlight
from adiuva.billing.payouts.transfers import Transfers
from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Buyer, Earnings, Offer, Period, Purchase
from adiuva.billing.purchases.orders import Orders
from adiuva.billing.shares import shares_of
from adiuva.clock import new_id
from adiuva.database import Connection, Database
from adiuva.errors import UnavailableError

Refunded = Callable[[Connection, UUID, str], Awaitable[None]]
"""Told, within the transaction that notes it, that a user has got all the money for a plugin back."""


class Purchases:
    """Sells plugins.

    How the marketplace uses it:

    - ``await buy(buyer, offer)`` before it inserts the installation of a plugin that costs something, and outside
      any transaction of its own: this may call Stripe. Call it again as often as needed: it is paid for once.
      ``await give_back(purchase)`` where the plugin turns out to have gone, and the purchase is ``fresh``.
    - ``await find(conn, …)`` in any transaction, for the ``revenue`` of an installation that is there.
    - ``on_refunded`` (of `Billing`) takes the installation away once all of the price has been paid back.
    - ``stub``: every answer that names money has ``"stub": true`` then.
    """

    def __init__(self, *, database: Database, orders: Orders | None, transfers: Transfers | None) -> None:
        """Without Stripe, ``orders`` and ``transfers`` are None."""
        self._database = database
        self._orders = orders
        self._transfers = transfers
        self._flight = SingleFlight()

    async def stop(self) -> None:
        """Wait for payments that are under way."""
        await self._flight.stop()

    @property
    def stub(self) -> bool:
        """There is no Stripe: no money moves, and whoever buys has bought."""
        return self._orders is None

    async def buy(self, buyer: Buyer, offer: Offer) -> Purchase:
        """The purchase of ``offer``, paid for: now, or at any time before, and not paid back since.

        One charge, whatever is repeated, concurrent or crashed. The price is that of ``offer`` unless the charge has
        begun already; a price of 0 is nobody's business here.

        Raises:
            CheckoutRequiredError: the user has no means of payment that works without asking; its ``checkout_url``
                (which the problem document has too) is where to pay. Then ``buy`` again.
            UnavailableError: Stripe does not answer. Nothing is lost, and ``buy`` again goes on from there.
        """
        orders = self._orders
        if orders is None:
            return await self._buy_stub(buyer, offer)
        async with self._database.acquire() as conn:
            found = await self.find(conn, user_id=buyer.user_id, plugin_id=offer.plugin_id)
        if found is not None:
            return found
        return await self._flight.run((buyer.user_id, offer.plugin_id), lambda: self._buy(orders, buyer, offer))

    async def give_back(self, purchase: Purchase) -> None:
        """Pay back what has just been paid for, if the plugin or the account has gone meanwhile."""
        if not purchase.stub:
            async with self._database.acquire() as conn:
                await queries.order_refund_of_unavailable(conn, refund_id=new_id(), order_id=purchase.id)

    async def find(self, conn: Connection, *, user_id: UUID, plugin_id: str) -> Purchase | None:
        """What a user has paid for a plugin and not got back in full; None where that is nothing."""
        return await queries.find_paid(conn, user_id=user_id, plugin_id=plugin_id, stub=self.stub)

    async def earnings(self, developer_id: UUID, period: Period) -> Earnings:
        """What an author's plugins have brought in a month."""
        async with self._database.acquire() as conn:
            plugins = await queries.list_earnings(conn, developer_id=developer_id, period=period, stub=self.stub)
        return Earnings(
            period=str(period),
            currency="eur",
            gross_cents=sum(plugin.gross_cents for plugin in plugins),
            developer_share_cents=sum(plugin.developer_share_cents for plugin in plugins),
            platform_share_cents=sum(plugin.platform_share_cents for plugin in plugins),
            events=sum(plugin.events for plugin in plugins),
            plugins=plugins,
        )

    async def _buy(self, orders: Orders, buyer: Buyer, offer: Offer) -> Purchase:
        while True:
            await orders.pay(buyer, offer)
            async with self._database.acquire() as conn:
                found = await self.find(conn, user_id=buyer.user_id, plugin_id=offer.plugin_id)
            if found is None:  # refunded at once
                continue
            if self._transfers is not None and found.revenue.stripe_transfer_id is None:
                # The buyer need not wait for the author's share; but where Stripe answers, the answer has the transfer.
                with suppress(UnavailableError):
                    await self._transfers.run_due(found.id)
                async with self._database.acquire() as conn:
                    found = await self.find(conn, user_id=buyer.user_id, plugin_id=offer.plugin_id) or found
            return evolve(found, fresh=True)

    async def _buy_stub(self, buyer: Buyer, offer: Offer) -> Purchase:
        async with self._database.acquire() as conn, conn.transaction():
            purchase_id = new_id()
            if await queries.insert_stub(conn, purchase_id=purchase_id, buyer=buyer, offer=offer):
                shares = shares_of(offer.price_cents)
                await queries.insert_sale(conn, event_id=new_id(), purchase_id=purchase_id, shares=shares)
            found = await self.find(conn, user_id=buyer.user_id, plugin_id=offer.plugin_id)
            assert found is not None
            return found


PURCHASES: web.AppKey[Purchases] = web.AppKey("purchases", Purchases)
