"""Buying a tier, seeing it, ending it."""

from uuid import UUID

import structlog

from adiuva.billing.calls import Calls
from adiuva.billing.customers import Customers, is_customer
from adiuva.billing.errors import NothingToCancelError, PriceMissingError, SameTierError
from adiuva.billing.flight import SingleFlight
from adiuva.billing.pages import Pages
from adiuva.billing.stripe import MissingError, Object, PaymentsUnavailableError, RefusedError, Stripe
from adiuva.billing.subscriptions import queries
from adiuva.billing.subscriptions.following import Following
from adiuva.billing.subscriptions.models import OpenCheckout, Prices, Row, SubscriptionView
from adiuva.clock import new_id
from adiuva.database import Database

log = structlog.get_logger(__name__)


class Subscriptions:
    """The subscription of each user. Without Stripe (``stripe`` is None) nobody can pay, and nothing pretends so."""

    def __init__(
        self,
        *,
        database: Database,
        stripe: Stripe | None,
        calls: Calls,
        customers: Customers | None,
        following: Following,
        prices: Prices,
        pages: Pages,
        default_tier: str,
    ) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls
        self._customers = customers
        self._following = following
        self._prices = prices
        self._pages = pages
        self._default_tier = default_tier
        self._flight = SingleFlight()
        self._price_ids: dict[str, str] = {}  # by tier, where the name is a lookup key

    @property
    def stub(self) -> bool:
        """There is no Stripe."""
        return self._stripe is None

    async def stop(self) -> None:
        """Wait for checkouts that are being opened."""
        await self._flight.stop()

    async def view(self, user_id: UUID) -> SubscriptionView:
        """A user's subscription; without one, or after its end, it is the default tier."""
        async with self._database.acquire() as conn:
            row = await queries.find(conn, user_id)
        if row is None:
            return self._ended("active")
        if not row.live:
            return self._ended(row.status)
        return SubscriptionView(
            tier=row.tier,
            status=row.status,
            current_period_end=row.current_period_end,
            cancel_at_period_end=row.cancel_at_period_end,
        )

    async def checkout(self, user_id: UUID, email: str, tier: str) -> str:
        """Where a user pays for a tier, or, with another paid subscription, changes it.

        Raises:
            SameTierError: the user is on that tier.
            PaymentsUnavailableError: Stripe does not answer.
        """
        async with self._database.acquire() as conn:
            row = await queries.find(conn, user_id)
        if (row.tier if row is not None and row.live else self._default_tier) == tier:
            raise SameTierError
        if self._stripe is None or self._customers is None:
            return self._pages.url("stub")
        stripe, customers = self._stripe, self._customers
        return await self._flight.run(
            (user_id, tier),
            lambda: customers.with_one(
                user_id, email, lambda customer: self._checkout(stripe, customer, user_id, tier)
            ),
        )

    async def cancel(self, user_id: UUID) -> SubscriptionView:
        """End a user's subscription now: at Stripe first, then here; a crash in between is healed by Stripe's event.

        Raises:
            NothingToCancelError: there is none.
            PaymentsUnavailableError: Stripe does not answer, and nothing has changed here.
        """
        async with self._database.acquire() as conn:
            row = await queries.find(conn, user_id)
        # A tier of free is no purchase: an admin has set it, and it stays.
        if row is None or not (row.at_stripe or (row.live and row.tier != "free")):
            raise NothingToCancelError
        if (key := row.stripe_subscription_id) is not None:
            await self._cancel_at_stripe(key)
        async with self._database.acquire() as conn, conn.transaction():
            await queries.outdate_readings(conn, user_id)
            await queries.cancel(conn, user_id=user_id, stripe_subscription_id=row.stripe_subscription_id)
        log.info("subscription canceled", user_id=str(user_id))
        return await self.view(user_id)

    def _ended(self, status: str) -> SubscriptionView:
        return SubscriptionView(
            tier=self._default_tier, status=status, current_period_end=None, cancel_at_period_end=False
        )

    async def _cancel_at_stripe(self, key: str) -> None:
        if self._stripe is None:
            raise PaymentsUnavailableError("This subscription is Stripe's, and this server has no key for it now.")
        try:
            await self._stripe.call(lambda v1: v1.subscriptions.cancel_async(key))
        except MissingError:
            log.info("a subscription had ended at Stripe already")

    async def _checkout(self, stripe: Stripe, customer: str, user_id: UUID, tier: str) -> str:
        row = await self._following.sync(customer)
        if row is not None and row.at_stripe:
            return await self._of_subscriber(stripe, customer, row, tier)
        while True:
            async with self._database.acquire() as conn:
                await queries.open_checkout(conn, row_id=new_id(), user_id=user_id, tier=tier)
                checkout = await queries.find_open_checkout(conn, user_id)
            if checkout is None:  # just closed by somebody else
                continue
            session = await self._session(stripe, customer, user_id, checkout)
            if session["status"] == "open" and checkout.tier == tier:
                return str(session["url"])
            if session["status"] == "open":
                session = await self._expire(stripe, session)
            if session["status"] == "complete":
                row = await self._following.sync(customer)
                if row is not None and row.at_stripe:
                    await self._close(checkout)
                    return await self._of_subscriber(stripe, customer, row, tier)
            await self._close(checkout)

    async def _of_subscriber(self, stripe: Stripe, customer: str, row: Row, tier: str) -> str:
        if row.live and row.tier == tier:
            raise SameTierError
        portal = await stripe.call(
            lambda v1: v1.billing_portal.sessions.create_async(
                {"customer": customer, "return_url": self._pages.url("portal")}
            )
        )
        return str(portal["url"])

    async def _session(self, stripe: Stripe, customer: str, user_id: UUID, checkout: OpenCheckout) -> Object:
        """The session of a checkout, as it is now; it is opened where it has not been."""
        if (key := checkout.stripe_session_id) is not None:
            return await stripe.session(key)
        price = self._price_ids.get(checkout.tier) or self._prices.names[checkout.tier]
        try:
            made = await self._open(stripe, customer, user_id, checkout, price)
        except MissingError as error:
            if is_customer(error):
                raise
            price = await self._look_up(stripe, checkout.tier)
            made = await self._open(stripe, customer, user_id, checkout, price)
        async with self._database.acquire() as conn:
            await queries.set_session(conn, checkout.id, made["id"])
        return made

    async def _open(self, stripe: Stripe, customer: str, user_id: UUID, checkout: OpenCheckout, price: str) -> Object:
        metadata = {"user_id": str(user_id), "tier": checkout.tier, "adiuva_checkout": str(checkout.id)}

        async def find() -> Object | None:
            found = await stripe.list(lambda v1: v1.checkout.sessions.list_async({"customer": customer, "limit": 100}))
            return next((item for item in found if item["metadata"].get("adiuva_checkout") == str(checkout.id)), None)

        return await self._calls.once(
            f"checkout-{checkout.id}",
            find=find,
            make=lambda key: stripe.call(
                lambda v1: v1.checkout.sessions.create_async(
                    {
                        "mode": "subscription",
                        "customer": customer,
                        "client_reference_id": str(user_id),
                        "line_items": [{"price": price, "quantity": 1}],
                        "success_url": self._pages.url("done"),
                        "cancel_url": self._pages.url("canceled"),
                        "metadata": metadata,
                        "subscription_data": {"metadata": metadata},
                    },
                    {"idempotency_key": key},
                )
            ),
        )

    async def _look_up(self, stripe: Stripe, tier: str) -> str:
        """The id of a tier's price, whose name is its lookup key."""
        name = self._prices.names[tier]
        found = await stripe.list(lambda v1: v1.prices.list_async({"lookup_keys": [name], "active": True}))
        if not found:
            log.error("Stripe has no such price", tier=tier, price=name)
            raise PriceMissingError
        self._price_ids[tier] = str(found[0]["id"])
        return self._price_ids[tier]

    async def _expire(self, stripe: Stripe, session: Object) -> Object:
        """Close a session, unless it is paid meanwhile."""
        key = session["id"]
        try:
            return await stripe.call(lambda v1: v1.checkout.sessions.expire_async(key))
        except RefusedError:
            return await stripe.session(key)

    async def _close(self, checkout: OpenCheckout) -> None:
        async with self._database.acquire() as conn:
            await queries.close_checkout(conn, checkout.id)
