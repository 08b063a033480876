"""A real server in this process, and clients at it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adiuva.app import create_app
from adiuva.client import Client, Vault
from adiuva.client.lock import LEAST
from adiuva.settings import Settings
from adiuva.terminal import connect
from adiuva.testing.limits import without_rate_limits

EMAIL = "ada@example.com"
PASSWORD = "the server sees this one"
PASSPHRASE = "the server never sees this one"
DIMENSIONS = 16

Device = Callable[..., Awaitable[Client]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A tier with storage, and no limits in the way."""
    return without_rate_limits(
        settings,
        default_tier="team",
        vector_dimensions=DIMENSIONS,
        llm_model="offline/rules",
    )


@pytest.fixture
async def server(settings: Settings, aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]) -> str:
    """The URL of a server."""
    return str((await aiohttp_server(create_app(settings))).make_url("/"))


@pytest.fixture
async def device(server: str) -> AsyncIterator[Device]:
    """Log in from one more device; the first one of a user makes the account."""
    async with AsyncExitStack() as stack:

        async def start(email: str = EMAIL) -> Client:
            client = await stack.enter_async_context(Client(server))
            await connect(client, email, PASSWORD, register=True)
            return client

        yield start


@pytest.fixture
async def client(device: Device) -> Client:
    """A device."""
    return await device()


@pytest.fixture
async def vault(client: Client) -> Vault:
    """What it has unlocked."""
    return await client.unlock(PASSPHRASE, cost=LEAST)
