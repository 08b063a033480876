"""Billing put together: with Stripe, or without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from adiuva.billing.calls import Calls
from adiuva.billing.customers import Customers
from adiuva.billing.errors import StripeNeededError
from adiuva.billing.events.inbox import Inbox, Prepare
from adiuva.billing.events.models import Apply, Event, nothing
from adiuva.billing.housekeeping import Housekeeper
from adiuva.billing.pages import Pages
from adiuva.billing.payouts.accounts import Accounts
from adiuva.billing.payouts.transfers import Transfers
from adiuva.billing.purchases.orders import Orders
from adiuva.billing.purchases.refunds import Refunds
from adiuva.billing.purchases.service import Purchases, Refunded
from adiuva.billing.stripe import Stripe
from adiuva.billing.subscriptions.following import Following
from adiuva.billing.subscriptions.models import Prices
from adiuva.billing.subscriptions.service import Subscriptions
from adiuva.database import Database
from adiuva.settings import Settings


class Billing:
    """All parts of billing. Without ``STRIPE_SECRET_KEY`` no money moves: subscriptions follow events alone."""

    def __init__(
        self, *, settings: Settings, database: Database, prefix: str, on_refunded: Refunded | None = None
    ) -> None:
        """``prefix`` is the path of the API; ``on_refunded`` is told that a plugin has been paid back in full."""
        calls, prices, pages = Calls(database), Prices.of(settings), Pages.of(settings, prefix)
        stripe = self._stripe = _stripe(settings)
        soon = asyncio.Event()
        customers = Customers(database=database, stripe=stripe, calls=calls) if stripe else None
        orders = transfers = refunds = None
        if stripe and customers:
            orders = Orders(database=database, stripe=stripe, calls=calls, customers=customers, pages=pages)
            transfers = Transfers(database=database, stripe=stripe, calls=calls)
            refunds = Refunds(database=database, stripe=stripe, calls=calls, on_refunded=on_refunded)
        self.following = Following(database=database, stripe=stripe, prices=prices)
        self.subscriptions = Subscriptions(
            database=database,
            stripe=stripe,
            calls=calls,
            customers=customers,
            following=self.following,
            prices=prices,
            pages=pages,
            default_tier=settings.default_tier,
        )
        self.purchases = Purchases(database=database, orders=orders, transfers=transfers)
        self.accounts = Accounts(database=database, stripe=stripe, calls=calls, pages=pages)
        self.inbox = Inbox(
            database=database,
            secrets=tuple(secret for secret in settings.stripe_webhook_secret.replace(" ", "").split(",") if secret),
            prepare=_prepare(self.following, refunds, self.accounts),
            applied=soon,
        )
        self.housekeeper = None
        if customers and orders and transfers and refunds:
            self.housekeeper = Housekeeper(
                database=database,
                customers=customers,
                following=self.following,
                orders=orders,
                refunds=refunds,
                transfers=transfers,
                accounts=self.accounts,
                soon=soon,
            )

    async def start(self) -> None:
        """Begin with what goes on by itself."""
        await self.inbox.start()
        if self.housekeeper:
            await self.housekeeper.start()

    async def stop(self) -> None:
        """End, after payments that are under way."""
        await self.purchases.stop()
        await self.subscriptions.stop()
        await self.accounts.stop()
        if self.housekeeper:
            await self.housekeeper.stop()
        await self.inbox.stop()
        if self._stripe:
            await self._stripe.close()


@asynccontextmanager
async def following_of(settings: Settings, database: Database) -> AsyncIterator[Following]:
    """Subscriptions alone, for the command line.

    Raises:
        StripeNeededError: there is no key.
    """
    stripe = _stripe(settings)
    if stripe is None:
        raise StripeNeededError
    try:
        yield Following(database=database, stripe=stripe, prices=Prices.of(settings))
    finally:
        await stripe.close()


def _stripe(settings: Settings) -> Stripe | None:
    if not settings.stripe_secret_key:
        return None
    return Stripe(api_key=settings.stripe_secret_key, api_base=settings.stripe_api_base)


def _prepare(following: Following, refunds: Refunds | None, accounts: Accounts) -> dict[str, Prepare]:
    async def session(event: Event) -> Apply:
        """A checkout of a plugin has an order; any other one is of a tier."""
        if event.object.get("mode") == "payment":
            return await refunds.prepare_session(event) if refunds else nothing
        return await following.prepare(event)

    applied: dict[str, Prepare] = {
        "checkout.session.completed": session,
        "customer.subscription.created": following.prepare,
        "customer.subscription.updated": following.prepare,
        "customer.subscription.deleted": following.prepare,
        "invoice.payment_failed": following.prepare,
    }
    if refunds is not None:
        applied |= {
            "checkout.session.async_payment_succeeded": session,
            "payment_intent.succeeded": refunds.prepare_payment,
            "charge.dispute.created": refunds.prepare_refund,
            "charge.dispute.funds_withdrawn": refunds.prepare_refund,
            "charge.dispute.funds_reinstated": refunds.prepare_refund,
            "charge.dispute.closed": refunds.prepare_refund,
            "charge.refunded": refunds.prepare_refund,
            "charge.refund.updated": refunds.prepare_refund,
            "refund.created": refunds.prepare_refund,
            "refund.updated": refunds.prepare_refund,
            "refund.failed": refunds.prepare_refund,
            "account.updated": accounts.prepare,
        }
    return applied


BILLING: web.AppKey[Billing] = web.AppKey("billing", Billing)
