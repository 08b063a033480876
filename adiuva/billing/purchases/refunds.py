"""Refunds: as Stripe tells of them, each one line of the books and one reversal; and those that an admin orders.

A charge that the buyer's bank takes back (a dispute) is to the books a refund that is undone once the dispute is won.
"""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from adiuva.billing import queries as shared
from adiuva.billing.calls import Calls
from adiuva.billing.events.models import Apply, Event, Outcome, nothing
from adiuva.billing.payouts.transfers import note_refund, note_sale
from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Order, RefundOrder
from adiuva.billing.purchases.orders import order_of, settle
from adiuva.billing.purchases.service import Refunded
from adiuva.billing.shares import Shares, shares_of_refund
from adiuva.billing.stripe import MissingError, Object, PaymentsUnavailableError, RefusedError, Stripe
from adiuva.clock import new_id, now
from adiuva.database import Connection, Database

log = structlog.get_logger(__name__)

AT_ONCE: Final = 5
MOST_TRIES: Final = 24  # some days
MOST_ANEW: Final = 3  # times that a refund is ordered for one purchase by itself
LOOKED_BACK: Final = timedelta(days=7)

_FINAL: Final = frozenset({"charge_already_refunded", "charge_disputed"})  # no other try changes anything
_COUNTS: Final = frozenset({"succeeded", "pending", "requires_action"})
_DISPUTED: Final = frozenset({"needs_response", "under_review", "lost"})  # from the first on, the money is gone


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
        """Something about a refund or a dispute has happened."""
        key = event.object.get("payment_intent")
        if not isinstance(key, str):
            return nothing
        return await self._read(key)

    async def _read(self, payment_intent: str) -> Apply:
        """All refunds of a payment as Stripe has them now, to be entered unless a newer reading has been."""
        async with self._database.acquire() as conn:
            reading = await shared.next_reading(conn)
        try:
            intent = await self._stripe.call(lambda v1: v1.payment_intents.retrieve_async(payment_intent))
        except MissingError:
            return nothing
        order_id = order_of(intent)
        if order_id is None:
            return nothing
        refunds = await self._refunds_of(payment_intent) + await self._disputes_of(payment_intent)

        async def apply(conn: Connection) -> Outcome:
            order = await queries.lock_order(conn, order_id)
            if order is None:
                return "ignored"
            if intent["status"] == "succeeded":
                await settle(conn, order_id, intent)
            if await queries.set_reading(conn, order_id, reading):
                await self._enter(conn, order, intent["amount"], refunds)
            return "applied"

        return apply

    async def reconcile(self) -> None:
        """Enter the refunds and disputes of the last days of which no event has told.

        Raises:
            PaymentsUnavailableError: Stripe does not answer.
        """
        since = int((now() - LOOKED_BACK).timestamp())
        told = await self._stripe.list(lambda v1: v1.refunds.list_async({"created": {"gte": since}, "limit": 100}))
        told += await self._stripe.list(lambda v1: v1.disputes.list_async({"created": {"gte": since}, "limit": 100}))
        async with self._database.acquire() as conn:
            lacking = await queries.list_payments_with_other_refunds(
                conn, [(item["payment_intent"], item["id"], _counts(item)) for item in told]
            )
        for payment_intent in lacking:
            log.warning("a refund was not in the books", payment_intent=payment_intent)
            enter = await self._read(payment_intent)
            async with self._database.acquire() as conn, conn.transaction():
                await enter(conn)

    async def run_due(self) -> int:
        """Make the refunds that have been ordered, and enter them; gives how many were tried."""
        async with self._database.acquire() as conn:
            due = await queries.list_due_refunds(conn, AT_ONCE)
        await asyncio.gather(*(self._run(order) for order in due))
        return len(due)

    async def _run(self, order: RefundOrder) -> None:
        try:
            made = await self._refund(order)
            enter = await self._read(order.stripe_payment_intent_id)
        except RefusedError as error:
            log.warning("a refund was refused", refund=str(order.id), reason=error.reason)
            async with self._database.acquire() as conn:
                most = 1 if error.reason in _FINAL else MOST_TRIES
                await queries.count_failure(conn, order.id, error.reason, most=most)
        except PaymentsUnavailableError as error:
            log.info("a refund is put off", refund=str(order.id), error=type(error).__name__)
        else:
            async with self._database.acquire() as conn, conn.transaction():
                await enter(conn)
                await queries.finish_refund(conn, order.id, made["id"])

    async def _refund(self, order: RefundOrder) -> Object:
        intent = order.stripe_payment_intent_id

        async def find() -> Object | None:
            found = await self._refunds_of(intent)
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

    async def _refunds_of(self, payment_intent: str) -> list[Object]:
        return await self._stripe.list(
            lambda v1: v1.refunds.list_async({"payment_intent": payment_intent, "limit": 100})
        )

    async def _disputes_of(self, payment_intent: str) -> list[Object]:
        return await self._stripe.list(
            lambda v1: v1.disputes.list_async({"payment_intent": payment_intent, "limit": 100})
        )

    async def _enter(self, conn: Connection, order: Order, gross: int, refunds: list[Object]) -> None:
        lines = await queries.list_refunds(conn, order.id)
        entered = {line.stripe_refund_id: -line.amount_cents for line in lines if line.kind == "refund"}
        undone = {line.stripe_refund_id for line in lines if line.kind == "undone"}
        back = -sum(line.amount_cents for line in lines)
        for refund in sorted(refunds, key=lambda item: (item["created"], item["id"])):
            key, counts = refund["id"], _counts(refund)
            if counts and key not in entered:
                amount = min(int(refund["amount"]), gross - back)  # a bank may dispute what was refunded in part
                if not amount:
                    continue
                shares = shares_of_refund(amount, gross_cents=gross, refunded_cents=back)
                await self._take_back(conn, order.id, key, shares)
                back += amount
            elif not counts and key in entered and key not in undone:
                amount = entered[key]
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
        if not changed and not all_back and order.state == "refunded":
            # The refund has failed, and the buyer has bought anew meanwhile: nobody pays twice for one thing.
            ordered = await queries.order_refund_of_rest(conn, refund_id=new_id(), order_id=order.id, most=MOST_ANEW)
            log.warning("a refund failed after a new purchase", order=str(order.id), ordered_anew=ordered)


def _counts(refund: Object) -> bool:
    """Whether the money has gone back, or is on its way."""
    return refund["status"] in (_DISPUTED if refund["object"] == "dispute" else _COUNTS)
