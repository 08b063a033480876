"""A server with a marketplace, and people of it: authors, users, admins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import define, field

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.testing.limits import without_rate_limits
from adiuva.testing.models import ScriptedModel
from adiuva.web.keys import DATABASE, SETTINGS

API = "/api/v1"
PASSWORD = "correct horse battery"

Answer = tuple[int, Any]

GARDEN: dict[str, Any] = {
    "id": "garden-planner",
    "name": "Garden Planner",
    "description": "Plans beds and sowing around the weather.",
    "version": "1.0.0",
    "category": "productivity",
    "price_cents": 0,
    "permissions": ["read:tasks", "write:tasks"],
}


@define
class Person:
    """Someone with an account at a test server."""

    client: TestClient[Any, Any]
    email: str
    tokens: dict[str, Any] = field(factory=dict)

    async def call(self, method: str, path: str, body: object = None, **request: Any) -> Answer:
        """Status and JSON body of a call."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", **request.pop("headers", {})}
        if body is not None:
            request["json"] = body
        async with self.client.request(method, API + path, headers=headers, **request) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, body: object = None) -> Answer:
        return await self.call("POST", path, body)

    async def put(self, path: str, body: object = None) -> Answer:
        return await self.call("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def done(self, method: str, path: str, body: object = None) -> Any:
        """The body of a call that has to work."""
        status, answer = await self.call(method, path, body)
        assert status < 300, answer
        return answer

    async def plugin(self, plugin_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.done("GET", f"/plugins/{plugin_id}")
        return found


@define
class Place:
    """A server, and how people come to it."""

    client: TestClient[Any, Any]

    @property
    def settings(self) -> Settings:
        found: Settings = self.client.app[SETTINGS]
        return found

    async def person(self, tier: str = "power", *, admin: bool = False) -> Person:
        """A new user of a tier."""
        email = f"{uuid4().hex}@example.com"
        async with self.client.post(f"{API}/auth/register", json={"email": email, "password": PASSWORD}) as answer:
            assert answer.status == 201
            person = Person(self.client, email, await answer.json())
        await self.sql(
            "INSERT INTO subscriptions (user_id, tier) SELECT id, $2::text::billing_tier FROM users WHERE email = $1",
            email,
            tier,
        )
        if admin:
            await self.sql("UPDATE users SET is_admin = true WHERE email = $1", email)
        return person

    async def people(self, count: int) -> list[Person]:
        return await asyncio.gather(*(self.person() for _ in range(count)))

    async def sql(self, statement: str, *values: Any) -> Any:
        async with self.client.app[DATABASE].acquire() as conn:
            return await conn.fetch(statement, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        rows = await self.sql(statement, *values)
        return rows[0][0] if rows else None


Start = Callable[..., Awaitable[Place]]


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts a server without limits in its way."""
    clients = []

    async def run(registry: AgentRegistry | None = None, **changes: Any) -> Place:
        unlimited = without_rate_limits(settings, **changes)
        app = create_app(unlimited, model=ScriptedModel(), registry=registry or AgentRegistry())
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return Place(client)

    yield run
    for client in clients:
        await client.close()


@pytest.fixture
async def place(start: Start) -> Place:
    return await start()


@pytest.fixture
async def author(place: Place) -> Person:
    return await place.person()


@pytest.fixture
async def user(place: Place) -> Person:
    return await place.person()


@pytest.fixture
async def admin(place: Place) -> Person:
    return await place.person(admin=True)


async def publish(author: Person, admin: Person, **changes: Any) -> dict[str, Any]:
    """Submit a plugin and approve it."""
    manifest = {**GARDEN, **changes}
    await author.done("POST", "/plugins", manifest)
    approved: dict[str, Any] = await admin.done(
        "POST", f"/admin/plugins/{manifest['id']}/review", {"decision": "approved", "notes": ""}
    )
    return approved


def fields(problem: dict[str, Any]) -> list[str]:
    """Which fields a 422 names."""
    return [error["field"] for error in problem["errors"]]
