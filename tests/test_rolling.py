"""OP3: servers that are replaced one after another under load, as a balancer and its clients see it."""

import asyncio
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientConnectorError, ClientError, ClientSession, TCPConnector
from attrs import define, field

from adiuva.settings import Settings
from adiuva.testing.limits import NO_RATE_LIMITS
from adiuva.testing.serving import Served

pytestmark = pytest.mark.proof

API = "/api/v1"
CALLS = 10_000
WORKERS = 12
USER = {"email": "ada@example.com", "password": "correct horse battery"}
HI = {"message": "Add a task to buy milk", "agents": ["task_agent"]}


@define
class Balancer:
    """Sends each call to a server that said it was ready, and again only where that is safe for any request.

    That is where no connection was made, so that nothing was sent. Whatever else goes wrong is a failed call.
    """

    session: ClientSession
    urls: list[str]
    ready: set[str] = field(factory=set)
    moved: int = 0
    _turn: "itertools.count[int]" = field(factory=itertools.count)

    async def look(self) -> None:
        """Ask for readiness, for ever, as balancers do."""
        while True:
            for url in self.urls:
                try:
                    async with self.session.get(f"{url}{API}/health/ready") as answer:
                        well = answer.status == 200
                except ClientError:
                    well = False
                (self.ready.add if well else self.ready.discard)(url)
            await asyncio.sleep(0.1)

    async def until_ready(self, *urls: str) -> None:
        """Wait for these servers."""
        while not self.ready.issuperset(urls):
            await asyncio.sleep(0.05)

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        """Status and body."""
        while True:
            servers = sorted(self.ready)
            url = servers[next(self._turn) % len(servers)]
            try:
                async with self.session.request(method, f"{url}{API}{path}", **more) as answer:
                    return answer.status, await answer.read()
            except ClientConnectorError:
                self.ready.discard(url)
                self.moved += 1


@define
class Load:
    """One user's calls, and what was acknowledged."""

    balancer: Balancer
    statuses: "Counter[tuple[str, int]]" = field(factory=Counter)
    acknowledged: dict[str, bytes] = field(factory=dict)

    async def run(self, number: int, over: asyncio.Event) -> None:
        """One of several workers."""
        for turn in itertools.count(number):
            if self.statuses.total() >= CALLS and over.is_set():
                return
            if turn % 10 == 0:
                await self._count("chat", "POST", "/chat", json=HI)
            elif turn % 3 == 0:
                await self._write()
            elif self.acknowledged and turn % 3 == 1:
                record, body = next(reversed(self.acknowledged.items()))
                assert await self._count("read", "GET", f"/storage/records/{record}") == (200, body)
            else:
                await self._count("me", "GET", "/auth/me")

    async def _write(self) -> None:
        body, record = os.urandom(2000), str(uuid4())
        headers = {"X-Checksum": hashlib.sha256(body).hexdigest(), "Content-Type": "application/octet-stream"}
        path = f"/storage/records?table=notes&id={record}"
        if (await self._count("write", "POST", path, data=body, headers=headers))[0] == 201:
            self.acknowledged[record] = body

    async def _count(self, kind: str, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        status, body = await self.balancer.call(method, path, **more)
        self.statuses[kind, status] += 1
        return status, body


async def test_servers_replaced_under_load_fail_no_call_and_lose_no_write(
    serve: Callable[..., Served], settings: Settings
) -> None:
    """OP3."""
    environ = {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret,
        "DEFAULT_TIER": "team",
        **NO_RATE_LIMITS,
        "SHUTDOWN_DELAY_SECONDS": "1",  # the default
        "LOG_LEVEL": "INFO",
    }

    async def start() -> Served:
        return await asyncio.to_thread(serve, **environ)

    servers = [await start(), await start()]
    _, tokens = servers[0].call("POST", "/auth/register", USER)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    replaced = asyncio.Event()
    async with ClientSession(headers=bearer, connector=TCPConnector(limit=0)) as session:
        balancer = Balancer(session, [server.url for server in servers])
        looking = asyncio.create_task(balancer.look())
        await balancer.until_ready(*balancer.urls)
        load = Load(balancer)

        async def replace() -> None:
            for index in (0, 1, 0, 1):
                old, servers[index] = servers[index], await start()
                balancer.urls.append(servers[index].url)
                await balancer.until_ready(servers[index].url)
                old.process.terminate()
                assert await asyncio.to_thread(old.process.wait, 30) == 0
                balancer.urls.remove(old.url)
            replaced.set()

        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            for number in range(WORKERS):
                tasks.create_task(load.run(number, replaced))
            tasks.create_task(replace())
        assert {status for _, status in load.statuses} == {200, 201}, load.statuses
        for record, body in load.acknowledged.items():
            assert await balancer.call("GET", f"/storage/records/{record}") == (200, body)
        looking.cancel()
    assert len(load.acknowledged) == load.statuses["write", 201] > 1000
