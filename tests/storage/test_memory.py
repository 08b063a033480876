"""The memory of ``adiuva serve`` while much goes through it, as another process sees it."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import psutil
import pytest

from adiuva.testing.serving import Served
from tests.storage.conftest import API, PASSWORD

MIB = 2**20
BLOCK = os.urandom(MIB)
PIECE = 128 * 2**10


@pytest.fixture
def served(serve: Callable[..., Served], database_url: str, s3_sink: str) -> Served:
    return serve(
        DATABASE_URL=database_url,
        DEFAULT_TIER="team",
        RATE_LIMITS="team=100000",
        S3_BUCKET="bucket",
        S3_ENDPOINT_URL=s3_sink,
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        LOG_LEVEL="INFO",
    )


def checksum_of(mib: int) -> str:
    hashed = hashlib.sha256()
    for _ in range(mib):
        hashed.update(BLOCK)
    return hashed.hexdigest()


async def chunks(mib: int) -> AsyncIterator[bytes]:
    for _ in range(mib):
        for start in range(0, MIB, PIECE):
            yield BLOCK[start : start + PIECE]


async def upload(session: aiohttp.ClientSession, mib: int, checksum: str) -> str:
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": checksum, "Content-Length": str(mib * MIB)}
    async with session.post(f"{API}/storage/records?table=files", data=chunks(mib), headers=headers) as answer:
        assert answer.status == 201
        record: dict[str, Any] = await answer.json()
        return str(record["id"])


async def download(session: aiohttp.ClientSession, record_id: str, checksum: str) -> None:
    hashed = hashlib.sha256()
    async with session.get(f"{API}/storage/records/{record_id}") as answer:
        async for chunk in answer.content.iter_chunked(PIECE):
            await asyncio.to_thread(hashed.update, chunk)
    assert hashed.hexdigest() == checksum


async def growth(served: Served, work: Callable[[aiohttp.ClientSession], Any]) -> float:
    """The most MiB that the server is larger during ``work`` than after a small upload."""
    _, tokens = served.call("POST", "/auth/register", {"email": "ada@example.com", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(served.url, headers=headers, timeout=timeout) as session:
        await upload(session, 9, checksum_of(9))
        seen = psutil.Process(served.process.pid)
        before = peak = seen.memory_info().rss
        working = asyncio.ensure_future(work(session))
        while not working.done():
            peak = max(peak, seen.memory_info().rss)
            await asyncio.wait([working], timeout=0.05)
        await working
    return float(peak - before) / MIB


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
async def test_a_gib_up_and_down_grows_the_server_by_less_than_32_mib(served: Served) -> None:
    checksum = checksum_of(1024)

    async def there_and_back(session: aiohttp.ClientSession) -> None:
        await download(session, await upload(session, 1024, checksum), checksum)

    assert await growth(served, there_and_back) < 32


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
async def test_eight_gib_at_once_grow_the_server_by_at_most_64_mib(served: Served) -> None:
    """ST10."""
    checksum = checksum_of(1024)

    async def eight(session: aiohttp.ClientSession) -> None:
        await asyncio.gather(*(upload(session, 1024, checksum) for _ in range(8)))

    assert await growth(served, eight) <= 64
