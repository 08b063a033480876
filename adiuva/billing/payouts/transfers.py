"""Moves authors' shares: each once, for its line of the books; held until the author's account takes it."""

import asyncio
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from adiuva.billing.calls import Calls
from adiuva.billing.payouts import queries
from adiuva.billing.payouts.models import Transfer
from adiuva.billing.stripe import Object, PaymentsUnavailableError, RefusedError, Stripe
from adiuva.clock import new_id
from adiuva.database import Connection, Database

log = structlog.get_logger(__name__)

AT_ONCE: Final = 5
MOST_TRIES: Final = 24  # some days
PAUSE: Final = timedelta(seconds=5)
WAITING_PAUSE: Final = timedelta(seconds=1)

_NOT_READY: Final = "insufficient_capabilities_for_transfer"


async def note_sale(conn: Connection, event_id: UUID) -> None:
    """A line of the books gives the author something."""
    await queries.insert_transfer(conn, row_id=new_id(), event_id=event_id)


async def note_refund(conn: Connection, event_id: UUID, *, purchase_id: UUID, developer_cents: int) -> None:
    """A line of the books takes something back: off a transfer that has not left, or by reversing one."""
    netted = developer_cents > 0 and await queries.net(conn, purchase_id=purchase_id, amount_cents=developer_cents)
    await queries.insert_reversal(conn, row_id=new_id(), event_id=event_id, netted=netted)


class Transfers:
    """Makes the transfers that are due."""

    def __init__(self, *, database: Database, stripe: Stripe, calls: Calls) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls

    async def run_due(self, purchase_id: UUID | None = None) -> int:
        """Make the transfers that are due, all or of one purchase; gives how many were tried."""
        async with self._database.acquire() as conn:
            await queries.release_held(conn)
            claimed = await queries.claim_due(conn, purchase_id=purchase_id, limit=AT_ONCE)
        await asyncio.gather(*(self._run(transfer_id) for transfer_id in claimed))
        return len(claimed)

    async def _run(self, transfer_id: UUID) -> None:
        async with self._database.acquire() as conn:
            transfer = await queries.find_claimed(conn, transfer_id)
        if transfer is None:
            return
        try:
            made = await self._move(transfer)
        except RefusedError as error:
            await self._refused(transfer, error.reason)
        except PaymentsUnavailableError as error:
            async with self._database.acquire() as conn:
                await queries.put_off(conn, transfer_id, type(error).__name__, PAUSE)
        else:
            if made is None:
                await self._wait(transfer)
                return
            async with self._database.acquire() as conn:
                await queries.finish(conn, transfer_id, made["id"])

    async def _wait(self, transfer: Transfer) -> None:
        """No one transfer that has left is large enough: take it off what has not left, or off several.

        There are several of a purchase where a refund was reversed, failed, and so the share was transferred anew.
        """
        async with self._database.acquire() as conn, conn.transaction():
            await queries.lock_transfers(conn, transfer.purchase_id)
            if await queries.net(conn, purchase_id=transfer.purchase_id, amount_cents=transfer.amount_cents):
                await queries.mark_netted(conn, transfer.id)
            elif not (await queries.net_part(conn, transfer.id) or await queries.split(conn, transfer.id, new_id())):
                await queries.put_off(conn, transfer.id, "waits for its transfer", WAITING_PAUSE)

    async def _move(self, transfer: Transfer) -> Object | None:
        """What has been made; None where what is to be reversed has not left yet."""
        if transfer.kind == "transfer":
            return await self._transfer(transfer)
        return None if transfer.reverses is None else await self._reverse(transfer, transfer.reverses)

    async def _transfer(self, transfer: Transfer) -> Object:
        account = transfer.stripe_account_id
        if account is None:
            raise RefusedError(_NOT_READY)
        group = str(transfer.purchase_id)
        params: Any = {
            "amount": transfer.amount_cents,
            "currency": transfer.currency,
            "destination": account,
            "transfer_group": group,
            "metadata": {"adiuva_transfer": str(transfer.id)},
        }
        if transfer.stripe_charge_id is not None:
            params["source_transaction"] = transfer.stripe_charge_id

        async def find() -> Object | None:
            found = await self._stripe.list(lambda v1: v1.transfers.list_async({"transfer_group": group, "limit": 100}))
            return _of(found, transfer)

        return await self._calls.once(
            f"transfer-{transfer.id}",
            find=find,
            make=lambda key: self._stripe.call(lambda v1: v1.transfers.create_async(params, {"idempotency_key": key})),
        )

    async def _reverse(self, transfer: Transfer, reverses: str) -> Object:
        async def find() -> Object | None:
            found = await self._stripe.list(lambda v1: v1.transfers.reversals.list_async(reverses, {"limit": 100}))
            return _of(found, transfer)

        return await self._calls.once(
            f"reversal-{transfer.id}",
            find=find,
            make=lambda key: self._stripe.call(
                lambda v1: v1.transfers.reversals.create_async(
                    reverses,
                    {"amount": transfer.amount_cents, "metadata": {"adiuva_transfer": str(transfer.id)}},
                    {"idempotency_key": key},
                )
            ),
        )

    async def _refused(self, transfer: Transfer, reason: str) -> None:
        log.warning("a transfer was refused", transfer=str(transfer.id), kind=transfer.kind, reason=reason)
        async with self._database.acquire() as conn:
            if reason == _NOT_READY:
                await queries.hold(conn, transfer.id, reason)
            else:
                await queries.count_failure(conn, transfer.id, reason, most=MOST_TRIES)


def _of(found: list[Object], transfer: Transfer) -> Object | None:
    return next((item for item in found if item["metadata"].get("adiuva_transfer") == str(transfer.id)), None)
