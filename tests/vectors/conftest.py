"""The vector calls of the whole server, and users of every tier."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve, frozen

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel

API = "/api/v1"
PASSWORD = "correct horse battery"

Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]


def item(entry_id: str, blob: bytes = b"sealed", vector: list[float] | None = None, **changes: Any) -> dict[str, Any]:
    """One entry of an upsert."""
    checksum = hashlib.sha256(blob).hexdigest()
    given = {} if vector is None else {"vector": vector}
    return {"id": entry_id, "blob": base64.b64encode(blob).decode(), "checksum": checksum, **given, **changes}


@frozen
class User:
    """A user with a login."""

    client: Client
    id: str
    token: str

    async def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON body of a call; ``raw`` is sent as it is."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        content = {"data": raw} if raw is not None else {"json": body}
        async with self.client.request(method, API + path, headers=headers, **content) as answer:
            return answer.status, await _json(answer)

    async def upsert(self, *items: dict[str, Any]) -> tuple[int, Any]:
        return await self.call("POST", "/storage/vectors/upsert", {"vectors": list(items)})

    async def search(self, **body: Any) -> tuple[int, Any]:
        return await self.call("POST", "/storage/vectors/search", body)

    async def delete(self, *ids: str) -> tuple[int, Any]:
        return await self.call("DELETE", "/storage/vectors", {"ids": list(ids)})

    async def found(self, **body: Any) -> list[str]:
        """The ids that a search finds, the best first."""
        status, answer = await self.search(**body)
        assert status == 200, answer
        return [result["id"] for result in answer["results"]]


async def _json(answer: ClientResponse) -> Any:
    return await answer.json(content_type=None)


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts a server; keyword arguments change its settings."""
    clients = []

    async def run(**changes: Any) -> Client:
        limits = dict.fromkeys(settings.rate_limits, 1_000_000)
        changed = evolve(settings, **{"default_tier": "pro", "rate_limits": limits, **changes})
        client = TestClient(TestServer(create_app(changed, model=ScriptedModel(), registry=AgentRegistry())))
        clients.append(client)
        await client.start_server()
        return client

    yield run
    for client in clients:
        await client.close()


async def register(client: Client, name: str = "ada") -> User:
    """A new user."""
    body = {"email": f"{name}@example.com", "password": PASSWORD}
    async with client.post(f"{API}/auth/register", json=body) as answer:
        token = (await answer.json())["access_token"]
    user = User(client, "", token)
    status, me = await user.call("GET", "/auth/me")
    assert status == 200
    return evolve(user, id=me["id"])


@pytest.fixture
async def user(start: Start) -> User:
    """A user whose tier has storage, on a server with everything embedded."""
    return await register(await start())
