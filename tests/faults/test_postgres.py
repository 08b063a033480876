"""PostgreSQL is restarted under load."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from adiuva.embedded import EmbeddedPostgres
from adiuva.migrate import apply
from tests.faults.conftest import API, Server

pytestmark = pytest.mark.proof

CALLERS = 20


@pytest.mark.parametrize("mode", ["restarted", "away for a while"])
async def test_postgresql_goes_and_comes_back_under_load(
    server: Callable[..., Server], tmp_path: Path, mode: str
) -> None:
    folder = tmp_path / "postgres"
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, folder)
    await asyncio.to_thread(apply, postgres.dsn)
    ours = await asyncio.to_thread(server, DATABASE_URL=postgres.dsn)
    seen: list[tuple[float, int]] = []
    done = asyncio.Event()

    async def call(session: aiohttp.ClientSession) -> None:
        while not done.is_set():
            began = time.monotonic()
            async with session.get(f"{ours.url}{API}/auth/me") as answer:
                seen.append((time.monotonic(), answer.status))
                assert answer.status != 503 or answer.headers["Retry-After"]
                assert time.monotonic() - began < 15
            await asyncio.sleep(0.01)

    async with aiohttp.ClientSession(headers=ours.bearer) as session, asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(call(session))
        await asyncio.sleep(1)
        gone = time.monotonic()
        await asyncio.to_thread(postgres.stop)
        await asyncio.sleep(0 if mode == "restarted" else 5)
        postgres = await asyncio.to_thread(EmbeddedPostgres.start, folder)
        back = time.monotonic()
        await asyncio.sleep(6)
        done.set()
    assert {status for _, status in seen} == {200, 503}
    assert {status for moment, status in seen if moment < gone} == {200}
    well_again = Counter(status for moment, status in seen if moment > back + 3)
    assert set(well_again) == {200}  # within seconds, and no connection of before is left in the pool
    assert well_again[200] > 100
    assert ours.served.stop() == 0
    await asyncio.to_thread(postgres.stop)
