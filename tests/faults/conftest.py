"""Servers in processes of their own, and what is seen of them from outside."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable

import aiohttp
import psutil
import pytest
from attrs import define

from adiuva.testing.limits import NO_RATE_LIMITS
from adiuva.testing.serving import Served

API = "/api/v1"
PASSWORD = "correct horse battery"
MIB = 2**20


@define
class Server:
    """A server and a user of it."""

    served: Served
    token: str

    @property
    def url(self) -> str:
        return self.served.url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def memory(self) -> float:
        """Resident MiB of the server's process."""
        return float(psutil.Process(self.served.process.pid).memory_info().rss) / MIB

    def files(self) -> int:
        """Open files and connections."""
        count: int = psutil.Process(self.served.process.pid).num_fds()
        return count

    async def slowest_meanwhile(self, trouble: Awaitable[object]) -> float:
        """The slowest of another client's calls while ``trouble`` runs, in seconds."""
        slowest, task = 0.0, asyncio.ensure_future(trouble)
        async with aiohttp.ClientSession(headers=self.bearer) as session:
            while not task.done():
                began = time.monotonic()
                async with session.get(f"{self.url}{API}/auth/me") as answer:
                    assert answer.status == 200
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.01)
        await task
        return slowest


@pytest.fixture
def server(serve: Callable[..., Served]) -> Callable[..., Server]:
    """Start a server with these variables, without limits that a test would run into, and register a user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))

    def start(**environ: str) -> Server:
        served = serve(**{"DEFAULT_TIER": "team", "LOG_LEVEL": "INFO"} | NO_RATE_LIMITS | environ)
        status, tokens = served.call("POST", "/auth/register", {"email": "ada@example.com", "password": PASSWORD})
        assert status == 201, tokens
        return Server(served, tokens["access_token"])

    return start
