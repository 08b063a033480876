"""Refunds: as Stripe tells of them, each one line of the books and one reversal; and those that an admin orders."""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from adiuva.billing.calls import Calls
from adiuva.billing.events.models import Apply, Event, Outcome, nothing
from adiuva.billing.payouts.transfers import note_refund, note_sale
from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Order, RefundOrder
from adiuva.billing.purchases.orders import order_of, settle
from adiuva.billing.purchases.service import Refunded
from adiuva.billing.shares import Shares, shares_of_refund
from adiuva.billing.stripe import MissingError, Object, PaymentsUnavailableError, RefusedError, Stripe
from adiuva.clock import new_id
from adiuva.database import Connection, Database

log = structlog.get_logger(__name__)

AT_ONCE: Final = 5

_COUNTS: Final = frozenset({"succeeded", "pending", "requires_action"})


class Refunds:
    """Keeps the books as Stripe has them: whatever an event tells, all refunds of its payment are read."""

    def __init__(self, *, database: Database, stripe: Stripe, calls: Calls, on_refunded: Refunded | None) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls
        self._on_refunded = on_refunded

    async def prepare_payment(self, event: Event) -> Apply:
        """A payment has succeeded."""
        if order_of(event.object) is None:
            return nothing
        key = str(event.object.get("id"))
        return self._settling(await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(key)))

    async def prepare_session(self, event: Event) -> Apply:
        """A checkout of a plugin is complete."""
        key = event.object.get("payment_intent")
        if not isinstance(key, str):
            return nothing
        intent = await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(key))
        return self._settling(intent)

    def _settling(self, intent: Object) -> Apply:
        order_id = order_of(intent) if intent["status"] == "succeeded" else None

        async def apply(conn: Connection) -> Outcome:
            if order_id is None or await queries.lock_order(conn, order_id) is None:
                return "ignored"
            await settle(conn, order_id, intent)
            return "applied"

        return apply

    async def prepare_refund(self, event: Event) -> Apply:
        """Something about a refund has happened."""
        key = event.object.get("payment_intent")
        if not isinstance(key, str):
            return nothing
        try:
            intent = await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(key))
        except MissingError:
            return nothing
        order_id = order_of(intent)
        if order_id is None:
            return nothing
        refunds = await self._stripe.list(lambda v1: v1.refunds.list_async({"payment_intent": key, "limit": 100}))

        async def apply(conn: Connection) -> Outcome:
            order = await queries.lock_order(conn, order_id)
            if order is None:
                return "ignored"
            if intent["status"] == "succeeded":
                await settle(conn, order_id, intent)
            await self._enter(conn, order, intent["amount"], refunds)
            return "applied"

        return apply

    async def run_due(self) -> int:
        """Make the refunds that admins have ordered; gives how many were tried."""
        async with self._database.acquire() as conn:
            due = await queries.list_due_refunds(conn, AT_ONCE)
        await asyncio.gather(*(self._run(order) for order in due))
        return len(due)

    async def _run(self, order: RefundOrder) -> None:
        try:
            made = await self._refund(order)
        except RefusedError as error:
            log.warning("a refund was refused", refund=str(order.id), reason=error.reason)
            await self._finish(order, fault=error.reason)
        except PaymentsUnavailableError as error:
            log.info("a refund is put off", refund=str(order.id), error=type(error).__name__)
        else:
            await self._finish(order, stripe_refund_id=made["id"])

    async def _refund(self, order: RefundOrder) -> Object:
        intent = order.stripe_payment_intent_id

        async def find() -> Object | None:
            found = await self._stripe.list(lambda v1: v1.refunds.list_async({"payment_intent": intent, "limit": 100}))
            return next((item for item in found if item["metadata"].get("adiuva_refund") == str(order.id)), None)

        return await self._calls.once(
            f"refund-{order.id}",
            find=find,
            make=lambda key: self._stripe.call(
                lambda v1: v1.refunds.create_async(
                    {
                        "payment_intent": intent,
                        "amount": order.amount_cents,
                        "metadata": {"adiuva_refund": str(order.id)},
                    },
                    {"idempotency_key": key},
                )
            ),
        )

    async def _finish(
        self, order: RefundOrder, *, stripe_refund_id: str | None = None, fault: str | None = None
    ) -> None:
        async with self._database.acquire() as conn:
            await queries.finish_refund(conn, order.id, stripe_refund_id=stripe_refund_id, fault=fault)

    async def _enter(self, conn: Connection, order: Order, gross: int, refunds: list[Object]) -> None:
        lines = await queries.list_refunds(conn, order.id)
        known = {(line.stripe_refund_id, line.kind) for line in lines}
        back = -sum(line.amount_cents for line in lines)
        for refund in sorted(refunds, key=lambda item: (item["created"], item["id"])):
            key, amount, counts = refund["id"], int(refund["amount"]), refund["status"] in _COUNTS
            if counts and (key, "refund") not in known:
                shares = shares_of_refund(amount, gross_cents=gross, refunded_cents=back)
                await self._take_back(conn, order.id, key, shares)
                back += amount
            elif not counts and (key, "refund") in known and (key, "undone") not in known:
                back -= amount
                shares = shares_of_refund(amount, gross_cents=gross, refunded_cents=back)
                await self._undo(conn, order.id, key, shares)
        await self._mark(conn, order, all_back=back == gross)

    async def _take_back(self, conn: Connection, order_id: UUID, key: str, shares: Shares) -> None:
        event_id = new_id()
        lost = Shares(-shares.developer_cents, -shares.platform_cents)
        await queries.insert_refund(
            conn, event_id=event_id, order_id=order_id, kind="refund", stripe_refund_id=key, shares=lost
        )
        await note_refund(conn, event_id, purchase_id=order_id, developer_cents=shares.developer_cents)

    async def _undo(self, conn: Connection, order_id: UUID, key: str, shares: Shares) -> None:
        event_id = new_id()
        await queries.insert_refund(
            conn, event_id=event_id, order_id=order_id, kind="undone", stripe_refund_id=key, shares=shares
        )
        await note_sale(conn, event_id)

    async def _mark(self, conn: Connection, order: Order, *, all_back: bool) -> None:
        changed = await queries.set_refunded(conn, order.id, refunded=all_back)
        if changed and all_back and self._on_refunded and order.user_id and order.plugin_id:
            await self._on_refunded(conn, order.user_id, order.plugin_id)
