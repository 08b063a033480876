"""Users as Stripe's customers: one each, made when first needed, deleted after the account."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

import structlog

from adiuva.billing import queries
from adiuva.billing.calls import QUIET, Calls
from adiuva.billing.models import Customer
from adiuva.billing.stripe import MissingError, Object, Stripe
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import NotFoundError

log = structlog.get_logger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 100
_DELETED: Final = "customer_deleted"


class Customers:
    """Makes customers, and deletes those whose accounts are gone."""

    def __init__(self, *, database: Database, stripe: Stripe, calls: Calls) -> None:
        self._database = database
        self._stripe = stripe
        self._calls = calls

    async def of(self, user_id: UUID, email: str) -> str:
        """The id of a user's customer, who is made where there is none.

        Raises:
            NotFoundError: the account is gone.
            PaymentsUnavailableError: Stripe does not answer.
        """
        async with self._database.acquire() as conn:
            customer = await queries.find_customer_of_user(conn, user_id)
            if customer is None:
                if await queries.find_email(conn, user_id) is None:
                    raise NotFoundError
                await queries.insert_customer(conn, row_id=new_id(), user_id=user_id, email=email)
                customer = await queries.find_customer_of_user(conn, user_id)
        if customer is None:
            raise NotFoundError
        return customer.stripe_customer_id or await self._make(customer)

    async def known(self, user_id: UUID) -> str | None:
        """The id of a user's customer; None where there is none, or not yet."""
        async with self._database.acquire() as conn:
            customer = await queries.find_customer_of_user(conn, user_id)
        return customer.stripe_customer_id if customer else None

    async def with_one(self, user_id: UUID, email: str, work: Callable[[str], Awaitable[T]]) -> T:
        """What ``work`` does with a user's customer; where Stripe does not know that one any more, with a new one.

        So it is after a customer was deleted in the dashboard, or the key of a test account was exchanged.
        """
        customer = await self.of(user_id, email)
        try:
            return await work(customer)
        except MissingError as error:
            if not is_customer(error):
                raise
        log.warning("Stripe does not know a customer any more", user_id=str(user_id))
        async with self._database.acquire() as conn:
            await queries.forget_customer(conn, user_id, customer)
        return await work(await self.of(user_id, email))

    async def clear(self) -> None:
        """Delete at Stripe the customers whose accounts are gone: that ends their subscriptions."""
        async with self._database.acquire() as conn:
            gone = await queries.list_customers_without_user(conn, AT_ONCE, being_made=QUIET)
        for customer in gone:
            try:
                await self._delete(customer)
            except Exception:
                async with self._database.acquire() as conn:
                    await queries.put_off_customer(conn, customer.id)
                raise

    async def card(self, customer: str) -> str | None:
        """The card of a customer that may be charged: the default one, else the one that was kept last.

        Raises:
            MissingError: the customer was deleted.
        """
        found = await self._stripe.call(lambda v1: v1.customers.retrieve_async(customer))
        if found.get("deleted"):
            raise MissingError(_DELETED)
        default = (found.get("invoice_settings") or {}).get("default_payment_method")
        if default is not None:
            return str(default["id"] if isinstance(default, dict) else default)
        cards = await self._stripe.list(
            lambda v1: v1.customers.payment_methods.list_async(customer, {"type": "card", "limit": 100})
        )
        return str(cards[0]["id"]) if cards else None

    async def _make(self, customer: Customer) -> str:
        metadata = {"adiuva_customer": str(customer.id), "user_id": str(customer.user_id)}
        made = await self._calls.once(
            f"customer-{customer.id}",
            find=lambda: self._find(customer),
            make=lambda key: self._stripe.call(
                lambda v1: v1.customers.create_async(
                    {"email": customer.email, "metadata": metadata}, {"idempotency_key": key}
                )
            ),
        )
        async with self._database.acquire() as conn:
            await queries.set_customer_id(conn, customer.id, made["id"])
        return str(made["id"])

    async def _find(self, customer: Customer) -> Object | None:
        found = await self._stripe.list(lambda v1: v1.customers.list_async({"email": customer.email, "limit": 100}))
        return next((item for item in found if _is(item, customer)), None)

    async def _delete(self, customer: Customer) -> None:
        key = customer.stripe_customer_id
        if key is None and (found := await self._find(customer)) is not None:  # the account went while it was made
            key = found["id"]
        if key is not None:
            try:
                await self._stripe.call(lambda v1: v1.customers.delete_async(key))
            except MissingError:
                log.info("a customer was deleted at Stripe already")
        async with self._database.acquire() as conn:
            await queries.delete_customer(conn, customer.id)


def is_customer(error: MissingError) -> bool:
    """Whether it is the customer whom Stripe does not have."""
    return error.about.get("param") == "customer" or error.reason == _DELETED


def _is(item: Object, customer: Customer) -> bool:
    return bool((item.get("metadata") or {}).get("adiuva_customer") == str(customer.id))
