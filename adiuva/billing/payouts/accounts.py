"""Authors' connected accounts: one each, made when first asked for, filled in at Stripe."""

from uuid import UUID

import structlog

from adiuva.billing import queries as shared
from adiuva.billing.calls import Calls
from adiuva.billing.events.models import Apply, Event, Outcome
from adiuva.billing.flight import SingleFlight
from adiuva.billing.pages import Pages
from adiuva.billing.payouts import queries
from adiuva.billing.payouts.models import Account, AccountState, Connection
from adiuva.billing.stripe import Object, RefusedError, Stripe
from adiuva.billing.tiers import require_feature
from adiuva.clock import new_id
from adiuva.database import Connection as DatabaseConnection
from adiuva.database import Database
from adiuva.errors import NotFoundError

log = structlog.get_logger(__name__)

AT_ONCE = 100
_MARGIN_SECONDS = 3600  # of clocks


class Accounts:
    """Connects authors with Stripe. Without Stripe (``stripe`` is None) there is nothing to connect with."""

    def __init__(self, *, database: Database, stripe: Stripe | None, calls: Calls, pages: Pages) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls
        self._pages = pages
        self._flight = SingleFlight()

    @property
    def stub(self) -> bool:
        """There is no Stripe."""
        return self._stripe is None

    async def stop(self) -> None:
        """Wait for accounts that are being made."""
        await self._flight.stop()

    async def connect(self, user_id: UUID, email: str, tier: str) -> Connection:
        """An author's account, and the page where Stripe asks for what it still needs.

        Raises:
            TierRequiredError: the user has no plugin, and a tier that publishes none.
            PaymentsUnavailableError: Stripe does not answer.
        """
        async with self._database.acquire() as conn:
            is_author = await queries.owns_plugins(conn, user_id)
            held = await queries.held_cents(conn, user_id)
        if not is_author:
            require_feature(tier, "marketplace")
        stripe = self._stripe
        if stripe is None:
            return Connection(state="new", onboarding_url=self._pages.url("stub"), held_cents=held)
        return await self._flight.run(user_id, lambda: self._connect(stripe, user_id, email))

    async def prepare(self, event: Event) -> Apply:
        """An account has changed: what it is now."""
        key = str(event.object.get("id"))
        state, reading = await self._read(key)

        async def apply(conn: DatabaseConnection) -> Outcome:
            if not await queries.set_account_state(conn, stripe_account_id=key, state=state, reading=reading):
                return "ignored"
            await queries.release_held(conn)
            return "applied"

        return apply

    async def refresh(self) -> None:
        """Ask Stripe for the accounts that do not take transfers yet, in case an event was lost."""
        async with self._database.acquire() as conn:
            waiting = await queries.list_waiting_accounts(conn, AT_ONCE)
        for key in waiting:
            try:
                await self._sync(key)
            except RefusedError as error:
                log.warning("an author's account cannot be read at Stripe", account=key, reason=error.reason)
                async with self._database.acquire() as conn:
                    await queries.put_off_account(conn, key)

    async def _connect(self, stripe: Stripe, user_id: UUID, email: str) -> Connection:
        async with self._database.acquire() as conn:
            await queries.insert_account(conn, new_id(), user_id)
            account = await queries.find_account(conn, user_id)
        if account is None:
            raise NotFoundError
        key = account.stripe_account_id or await self._make(stripe, account, email)
        state = await self._sync(key)
        url = None
        if state != "active":
            link = await stripe.call(
                lambda v1: v1.account_links.create_async(
                    {
                        "account": key,
                        "type": "account_onboarding",
                        "refresh_url": self._pages.url("again"),
                        "return_url": self._pages.url("connected"),
                    }
                )
            )
            url = str(link["url"])
        async with self._database.acquire() as conn:
            held = await queries.held_cents(conn, user_id)
        return Connection(state=state, onboarding_url=url, held_cents=held)

    async def _make(self, stripe: Stripe, account: Account, email: str) -> str:
        since = int(account.created_at.timestamp()) - _MARGIN_SECONDS

        async def find() -> Object | None:
            found = await stripe.list(lambda v1: v1.accounts.list_async({"created": {"gte": since}, "limit": 100}))
            return next((item for item in found if item["metadata"].get("adiuva_account") == str(account.id)), None)

        made = await self._calls.once(
            f"account-{account.id}",
            find=find,
            make=lambda key: stripe.call(
                lambda v1: v1.accounts.create_async(
                    {
                        "type": "express",
                        "email": email,
                        "capabilities": {"transfers": {"requested": True}},
                        "metadata": {"adiuva_account": str(account.id)},
                    },
                    {"idempotency_key": key},
                )
            ),
        )
        async with self._database.acquire() as conn:
            await queries.set_account_id(conn, account.id, made["id"])
        return str(made["id"])

    async def _sync(self, key: str) -> AccountState:
        state, reading = await self._read(key)
        async with self._database.acquire() as conn, conn.transaction():
            await queries.set_account_state(conn, stripe_account_id=key, state=state, reading=reading)
            await queries.release_held(conn)
        return state

    async def _read(self, key: str) -> tuple[AccountState, int]:
        assert self._stripe is not None
        async with self._database.acquire() as conn:
            reading = await shared.next_reading(conn)
        account = await self._stripe.call(lambda v1: v1.accounts.retrieve_async(key))
        takes = (account.get("capabilities") or {}).get("transfers") == "active"
        return ("active" if takes else "incomplete"), reading
