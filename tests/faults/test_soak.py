"""A day's worth of requests in a few minutes: memory and open files stay what they were."""

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import aiohttp
import pytest

from tests.faults.conftest import API, Server

pytestmark = pytest.mark.proof

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "100000"))
WORKERS = 16
HI = {"message": "Add a task to buy milk", "agents": ["task_agent"]}


@pytest.mark.timeout(900)
async def test_memory_and_open_files_are_flat_over_100000_requests(server: Callable[..., Server]) -> None:
    ours = await asyncio.to_thread(server)
    statuses: Counter[int] = Counter()
    connector = aiohttp.TCPConnector(limit=WORKERS)
    async with aiohttp.ClientSession(headers=ours.bearer, connector=connector) as session:

        async def call(method: str, path: str, **more: object) -> None:
            async with session.request(method, f"{ours.url}{API}{path}", **more) as answer:  # type: ignore[arg-type]
                await answer.read()
                statuses[answer.status] += 1

        async def work(until: int) -> None:
            turn = 0
            while statuses.total() < until:
                turn += 1
                if turn % 50 == 0:
                    await call("POST", "/chat", json=HI)
                elif turn % 25 == 0:
                    body, record = os.urandom(500), uuid4()
                    checksum = {
                        "X-Checksum": hashlib.sha256(body).hexdigest(),
                        "Content-Type": "application/octet-stream",
                    }
                    await call("POST", f"/storage/records?table=notes&id={record}", data=body, headers=checksum)
                    await call("GET", f"/storage/records/{record}")
                    await call("DELETE", f"/storage/records/{record}")
                elif turn % 10 == 0:
                    async with session.ws_connect(f"{ours.url}{API}/chat/stream") as socket:
                        await socket.send_str("?")
                        await socket.receive()
                    await call("GET", "/nothing")
                else:
                    await call("GET", ("/health", "/auth/me", "/agents", "/storage/usage")[turn % 4])

        async def round_of(requests: int) -> tuple[float, int]:
            until = statuses.total() + requests
            await asyncio.gather(*(work(until) for _ in range(WORKERS)))
            await asyncio.sleep(1)
            return ours.memory(), ours.files()

        await round_of(REQUESTS // 5)
        memory, files = await round_of(REQUESTS // 5)
        after, still_open = await round_of(REQUESTS - 2 * (REQUESTS // 5))
    assert set(statuses) <= {200, 201, 204, 404}, statuses
    assert after - memory < 16, (memory, after)
    assert still_open <= files + 4
