"""The whole server beside a double of Stripe."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import attrs
import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from attrs import frozen

from adiuva.app import API, create_app
from adiuva.billing.purchases.models import Buyer, Offer
from adiuva.billing.service import BILLING, Billing
from adiuva.chat.registry import AgentRegistry
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.limits import without_rate_limits
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double.calls import shown
from adiuva.testing.stripe_double.webhooks import signature

PASSWORD = "correct horse battery"

Client = TestClient[web.Request, web.Application]
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    async with StripeDouble() as double:
        yield double


@pytest.fixture
def unlimited(settings: Settings) -> Settings:
    """Without limits in a test's way, and without Stripe."""
    return without_rate_limits(settings, public_url="https://adiuva.example")


@pytest.fixture
def paid(unlimited: Settings, stripe: StripeDouble) -> Settings:
    """The settings of a server with Stripe."""
    return attrs.evolve(
        unlimited,
        stripe_secret_key=stripe.api_key,
        stripe_webhook_secret=stripe.webhook_secret,
        stripe_api_base=stripe.base_url,
    )


@pytest.fixture
def start(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Start:
    async def run(settings: Settings) -> Client:
        return await aiohttp_client(create_app(settings, registry=AgentRegistry()))

    return run


@pytest.fixture
async def client(start: Start, paid: Settings, stripe: StripeDouble) -> Client:
    """A server with Stripe, to which its events are delivered."""
    client = await start(paid)
    stripe.webhooks.url = str(client.make_url(f"{API}/billing/webhook"))
    return client


@pytest.fixture
async def bare(start: Start, unlimited: Settings) -> Client:
    """A server without Stripe."""
    return await start(unlimited)


def billing_of(client: Client) -> Billing:
    assert client.app is not None
    return client.app[BILLING]


@frozen
class User:
    client: Client
    id: str
    email: str
    token: str

    @classmethod
    async def register(cls, client: Client, email: str = "ada@example.com") -> "User":
        answer = await client.post(f"{API}/auth/register", json={"email": email, "password": PASSWORD})
        tokens = await answer.json()
        user = cls(client, "", email, tokens["access_token"])
        me = await user.json("GET", "/auth/me")
        return attrs.evolve(user, id=me["id"])

    async def call(self, method: str, path: str, body: object = None) -> ClientResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.client.request(method, API + path, json=body, headers=headers)

    async def json(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        answer = await self.call(method, path, body)
        content = await answer.json(content_type=None)
        assert answer.status == status, content
        return content

    async def tier(self) -> str:
        me = await self.json("GET", "/auth/me")
        return str(me["tier"])

    async def subscribe(self, stripe: StripeDouble, tier: str = "pro") -> str:
        """Buy a tier; gives the customer."""
        answer = await self.json("POST", "/billing/checkout", {"tier": tier})
        session = stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
        await stripe.webhooks.deliver()
        assert await self.tier() == tier
        return str(session["customer"])


async def send(client: Client, event: dict[str, Any], *, secret: str = "whsec_double") -> int:
    """Deliver an event to the webhook; the status."""
    payload = orjson.dumps(shown(event))
    headers = {"Stripe-Signature": signature(payload, secret)}
    answer = await client.post(f"{API}/billing/webhook", data=payload, headers=headers)
    return answer.status


@frozen
class Shop:
    """A plugin with an author, and what may be done with it, below the marketplace."""

    database: Database
    author: User
    offer: Offer

    async def query(self, sql: str, *values: object) -> list[asyncpg.Record]:
        async with self.database.acquire() as conn:
            return await conn.fetch(sql, *values)


def buyer(user: User) -> Buyer:
    return Buyer(user_id=UUID(user.id), email=user.email)


@pytest.fixture
async def shop(client: Client, database: Database) -> Shop:
    author = await User.register(client, "author@example.com")
    async with database.acquire() as conn:
        await conn.execute(
            """
            INSERT INTO plugins (id, author_id, name, description, version, category, price_cents, permissions, status)
            VALUES ('garden', $1, 'Garden', 'Plans garden work.', '1.0.0', 'other', 499, '{read:tasks}', 'approved')
            """,
            UUID(author.id),
        )
    offer = Offer(plugin_id="garden", name="Garden", price_cents=499, currency="eur", author_id=UUID(author.id))
    return Shop(database, author, offer)
