"""Users as Stripe's customers: one each, made when first needed, deleted after the account."""

from uuid import UUID

import structlog

from adiuva.billing import queries
from adiuva.billing.calls import Calls
from adiuva.billing.models import Customer
from adiuva.billing.stripe import MissingError, Object, Stripe
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import NotFoundError

log = structlog.get_logger(__name__)

AT_ONCE = 100


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

    async def clear(self) -> None:
        """Delete at Stripe the customers whose accounts are gone: that ends their subscriptions."""
        async with self._database.acquire() as conn:
            gone = await queries.list_customers_without_user(conn, AT_ONCE)
        for customer in gone:
            try:
                await self._delete(customer)
            except Exception:
                async with self._database.acquire() as conn:
                    await queries.put_off_customer(conn, customer.id)
                raise

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


def _is(item: Object, customer: Customer) -> bool:
    return bool((item.get("metadata") or {}).get("adiuva_customer") == str(customer.id))
