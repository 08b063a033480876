"""A database that goes away while clients are served: they are told to try again, and nothing else."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from adiuva.app import API, create_app
from adiuva.settings import Settings
from adiuva.testing.limits import without_rate_limits

Client = TestClient[web.Request, web.Application]
PASSWORD = "correct horse battery"

pytestmark = pytest.mark.proof


@pytest.fixture
async def client(aiohttp_client: Callable[[web.Application], Awaitable[Client]], settings: Settings) -> Client:
    settings = without_rate_limits(settings)
    return await aiohttp_client(create_app(settings))


async def test_backends_that_are_terminated_under_load_are_503_and_nothing_else(
    client: Client, database_url: str
) -> None:
    account = {"email": "ada@example.com", "password": PASSWORD}
    tokens = await (await client.post(f"{API}/auth/register", json=account)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    statuses: Counter[int] = Counter()
    done = asyncio.Event()

    async def loop(number: int) -> None:
        refresh_token = (await (await client.post(f"{API}/auth/login", json=account)).json())["refresh_token"]
        while not done.is_set():
            if number % 3:
                call = client.get(f"{API}/auth/{'me' if number % 2 else 'sessions'}", headers=bearer)
            else:
                call = client.post(f"{API}/auth/refresh", json={"refresh_token": refresh_token})
            async with call as response:
                statuses[response.status] += 1
                assert response.status != 503 or response.headers["Retry-After"]
                if number % 3 == 0 and response.status == 200:
                    refresh_token = (await response.json())["refresh_token"]

    async def terminate() -> None:
        server = await asyncpg.connect(database_url)
        for _ in range(10):
            before = statuses.total()
            while statuses.total() < before + 100:
                await asyncio.sleep(0.01)
            await server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await server.close()
        done.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for number in range(30):
            tasks.create_task(loop(number))
        tasks.create_task(terminate())
    assert set(statuses) == {200, 503}
    async with client.get(f"{API}/auth/me", headers=bearer) as response:
        assert response.status == 200
