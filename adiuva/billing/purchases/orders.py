"""Paying for an order: with the card on file, or at a checkout; one way at a time, so that nobody pays twice."""

import asyncio
from datetime import timedelta
from typing import Final, NoReturn
from uuid import UUID

import structlog

from adiuva.billing.calls import QUIET, Calls
from adiuva.billing.customers import Customers
from adiuva.billing.pages import Pages
from adiuva.billing.payouts.transfers import note_sale
from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Buyer, Offer, Order
from adiuva.billing.shares import shares_of
from adiuva.billing.stripe import (
    CardRefusedError,
    NotNowError,
    Object,
    PaymentsUnavailableError,
    RefusedError,
    Stripe,
    object_in,
)
from adiuva.clock import new_id
from adiuva.database import Connection, Database
from adiuva.errors import CheckoutRequiredError

log = structlog.get_logger(__name__)

AT_ONCE: Final = 5
LOOK_AGAIN: Final = timedelta(minutes=5)

# Of a checkout that is complete: one that takes days has failed, and nobody can pay it there any more.
_FAILED: Final = frozenset({"canceled", "requires_payment_method"})
_ORDER: Final = "adiuva_order"
_ATTEMPT: Final = "adiuva_attempt"


async def settle(conn: Connection, order_id: UUID, intent: Object) -> bool:
    """Enter a payment that has succeeded, in the caller's transaction; False if that was done before."""
    paid = await queries.mark_paid(
        conn,
        order_id=order_id,
        stripe_payment_intent_id=intent["id"],
        stripe_charge_id=_id(intent["latest_charge"]),
        amount_cents=intent["amount"],
    )
    if paid:
        event_id = new_id()
        await queries.insert_sale(
            conn, event_id=event_id, purchase_id=order_id, shares=shares_of(int(intent["amount"]))
        )
        await note_sale(conn, event_id)
        if await queries.order_refund_of_unavailable(conn, refund_id=new_id(), order_id=order_id):
            log.warning("what was paid for cannot be installed any more: it is paid back", order=str(order_id))
    return paid


def order_of(intent: Object) -> UUID | None:
    """The order that a payment is for; None where it is for something else."""
    named = object_in(intent, "metadata").get(_ORDER)
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None


class Orders:
    """Gets orders paid. An order's row says which way of paying is open: another one is opened once that is closed."""

    def __init__(self, *, database: Database, stripe: Stripe, calls: Calls, customers: Customers, pages: Pages) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls
        self._customers = customers
        self._pages = pages

    async def pay(self, buyer: Buyer, offer: Offer) -> None:
        """Return once an order for ``offer`` is paid.

        Raises:
            CheckoutRequiredError: the user has to pay at its ``checkout_url``.
            PaymentsUnavailableError: Stripe does not answer.
        """
        await self._customers.with_one(buyer.user_id, buyer.email, lambda customer: self._pay(customer, buyer, offer))

    async def _pay(self, customer: str, buyer: Buyer, offer: Offer) -> None:
        while True:
            async with self._database.acquire() as conn:
                await queries.insert_order(conn, order_id=new_id(), buyer=buyer, offer=offer)
                order = await queries.find_order(conn, user_id=buyer.user_id, plugin_id=offer.plugin_id)
            if order is None:  # it has just been refunded
                continue
            if order.state == "paid":
                return
            if order.way is None:
                await self._choose(customer, order, offer)
            elif order.way == "card":
                await self._charge(customer, order, offer)
            else:
                await self._check_out(customer, order, offer)

    async def run_due(self) -> int:
        """See what has become of orders that nobody waits for any more; gives how many were looked at."""
        async with self._database.acquire() as conn:
            stale = await queries.claim_stale(conn, limit=AT_ONCE, pause=LOOK_AGAIN)
        await asyncio.gather(*(self._look_after(order) for order in stale))
        return len(stale)

    async def _look_after(self, order: Order) -> None:
        try:
            await self._resume(order)
        except PaymentsUnavailableError as error:
            log.info("an order is looked after later", order=str(order.id), error=type(error).__name__)

    async def _resume(self, order: Order) -> None:
        """Enter the payment of an order, if there is one; nothing is charged."""
        if order.way == "checkout" and order.stripe_session_id is not None:
            key = order.stripe_session_id
            session = await self._stripe.session(key)
            await self._closed_or_paid(order, session)
        elif order.way == "card" and order.user_id is not None:
            customer = await self._customers.known(order.user_id)
            intent = await self._find_intent(customer, order) if customer else None
            if intent is not None and intent["status"] == "succeeded":
                await self.enter(order.id, intent)

    async def enter(self, order_id: UUID, intent: Object) -> None:
        """Enter a payment that has succeeded."""
        async with self._database.acquire() as conn, conn.transaction():
            await settle(conn, order_id, intent)

    async def _choose(self, customer: str, order: Order, offer: Offer) -> None:
        if order.amount_cents != offer.price_cents:
            async with self._database.acquire() as conn:
                await queries.reprice(conn, order, offer.price_cents)
            return
        card = await self._customers.card(customer)
        async with self._database.acquire() as conn:
            await queries.choose_way(conn, order, "card" if card else "checkout", card)

    async def _charge(self, customer: str, order: Order, offer: Offer) -> None:
        """Charge the card; where it refuses, the next way is a checkout."""
        call = f"intent-{order.id}-{order.attempt}"
        if order.amount_cents != offer.price_cents and await self._find_intent(customer, order) is None:
            await self._give_up(order, call)
            return
        try:
            intent = await self._calls.once(
                call,
                find=lambda: self._find_intent(customer, order),
                make=lambda key: self._make_intent(customer, order, offer, key),
            )
        except CardRefusedError as error:
            intent = error.about.get("payment_intent") or {"status": "canceled"}
        except RefusedError as error:
            if error.reason == "amount_too_small":
                await self._too_small(order, error)
            if error.about.get("param") != "payment_method":
                raise
            intent = {"status": "canceled"}
        if intent["status"] not in ("succeeded", "canceled", "processing"):
            intent = await self._cancel(intent)
        if intent["status"] == "succeeded":
            await self.enter(order.id, intent)
        elif intent["status"] == "canceled":
            async with self._database.acquire() as conn:
                await queries.next_attempt(conn, order, "checkout")
        else:
            raise PaymentsUnavailableError("The payment is on its way; try again shortly.", retry_after=5)

    async def _give_up(self, order: Order, call: str) -> None:
        """Go on with the new price, unless the charge of the old one may still be on its way to Stripe."""
        async with self._database.acquire() as conn, conn.transaction():
            await queries.lock_order(conn, order.id)
            if not await queries.give_up_attempt(conn, order, call, QUIET):
                message = "The price has changed while a payment was tried; try again in some minutes."
                raise PaymentsUnavailableError(message, retry_after=int(QUIET.total_seconds()))

    async def _too_small(self, order: Order, error: RefusedError) -> NoReturn:
        """Nothing was charged, and a price that is raised later is free to be paid in any way."""
        async with self._database.acquire() as conn:
            await queries.next_attempt(conn, order, None)
        raise CheckoutRequiredError("Stripe takes no payment as small as this.") from error

    async def _make_intent(self, customer: str, order: Order, offer: Offer, key: str) -> Object:
        async with self._database.acquire() as conn:
            if not await queries.is_open(conn, order):  # another server has gone on with another price
                raise NotNowError(retry_after=1)
        assert order.stripe_payment_method_id is not None
        card = order.stripe_payment_method_id
        return await self._stripe.call(
            lambda v1: v1.payment_intents.create_async(
                {
                    "amount": order.amount_cents,
                    "currency": order.currency,
                    "customer": customer,
                    "payment_method": card,
                    "off_session": True,
                    "confirm": True,
                    "description": offer.name,
                    "transfer_group": str(order.id),
                    "metadata": {_ORDER: str(order.id), _ATTEMPT: str(order.attempt)},
                },
                {"idempotency_key": key},
            )
        )

    async def _find_intent(self, customer: str, order: Order) -> Object | None:
        found = await self._stripe.list(lambda v1: v1.payment_intents.list_async({"customer": customer, "limit": 100}))
        return next((item for item in found if _is(item, order)), None)

    async def _cancel(self, intent: Object) -> Object:
        """Close a payment for good, unless it has succeeded meanwhile."""
        key = intent["id"]
        try:
            return await self._stripe.call(lambda v1: v1.payment_intents.cancel_async(key))
        except RefusedError:
            return await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(key))

    async def _check_out(self, customer: str, order: Order, offer: Offer) -> None:
        session = await self._session(customer, order, offer)
        if await self._closed_or_paid(order, session):
            return
        if order.amount_cents != offer.price_cents:
            await self._closed_or_paid(order, await self._expire(session))
            return
        raise CheckoutRequiredError(checkout_url=session["url"])

    async def _session(self, customer: str, order: Order, offer: Offer) -> Object:
        if (key := order.stripe_session_id) is not None:
            return await self._stripe.session(key)
        metadata = {_ORDER: str(order.id), _ATTEMPT: str(order.attempt)}

        async def find() -> Object | None:
            found = await self._stripe.list(
                lambda v1: v1.checkout.sessions.list_async({"customer": customer, "limit": 100})
            )
            return next((item for item in found if _is(item, order)), None)

        try:
            made = await self._calls.once(
                f"session-{order.id}-{order.attempt}",
                find=find,
                make=lambda key: self._stripe.call(
                    lambda v1: v1.checkout.sessions.create_async(
                        {
                            "mode": "payment",
                            "customer": customer,
                            "line_items": [
                                {
                                    "quantity": 1,
                                    "price_data": {
                                        "currency": order.currency,
                                        "unit_amount": order.amount_cents,
                                        "product_data": {"name": offer.name},
                                    },
                                }
                            ],
                            "payment_intent_data": {
                                "metadata": metadata,
                                "transfer_group": str(order.id),
                                "setup_future_usage": "off_session",
                            },
                            "metadata": metadata,
                            "success_url": self._pages.url("done"),
                            "cancel_url": self._pages.url("canceled"),
                        },
                        {"idempotency_key": key},
                    )
                ),
            )
        except RefusedError as error:
            if error.reason == "amount_too_small":
                await self._too_small(order, error)
            raise
        async with self._database.acquire() as conn:
            await queries.set_session(conn, order, made["id"])
        return made

    async def _closed_or_paid(self, order: Order, session: Object) -> bool:
        """Whether a checkout is over: then its payment is entered, or the way is free for another one."""
        if session["status"] == "open":
            return False
        intent = await self._payment_of(session)
        if intent["status"] == "succeeded":
            await self.enter(order.id, intent)
        elif session["status"] == "complete" and intent["status"] not in _FAILED:
            raise PaymentsUnavailableError("The payment is on its way; try again shortly.", retry_after=5)
        else:
            async with self._database.acquire() as conn:
                await queries.next_attempt(conn, order, None)
        return True

    async def _payment_of(self, session: Object) -> Object:
        if not session["payment_intent"]:
            return {"status": "none"}
        key = _id(session["payment_intent"])
        return await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(key))

    async def _expire(self, session: Object) -> Object:
        key = session["id"]
        try:
            return await self._stripe.call(lambda v1: v1.checkout.sessions.expire_async(key))
        except RefusedError:
            return await self._stripe.session(key)


def _is(item: Object, order: Order) -> bool:
    metadata = item.get("metadata") or {}
    return metadata.get(_ORDER) == str(order.id) and metadata.get(_ATTEMPT) == str(order.attempt)


def _id(value: object) -> str:
    return str(value["id"] if isinstance(value, dict) else value)
