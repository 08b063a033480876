"""The stores go away and come back, as a server in a process of its own sees it."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from adiuva.testing.qdrant_double import API_KEY, QdrantDouble
from adiuva.testing.s3 import S3Way
from tests.faults.conftest import API, Server

pytestmark = pytest.mark.proof


class Caller:
    """A user's calls."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
        """Status, headers and JSON body, or bytes where it is none."""
        async with self.session.request(method, f"{self.url}{API}{path}", **more) as answer:
            body = await answer.json() if answer.content_type.endswith("json") else await answer.read()
            return answer.status, answer.headers, body

    async def store(self, data: bytes) -> tuple[int, Any, Any]:
        headers = {"X-Checksum": hashlib.sha256(data).hexdigest(), "Content-Type": "application/octet-stream"}
        return await self.call("POST", "/storage/records?table=notes", data=data, headers=headers)


@pytest.fixture
async def calls(server: Callable[..., Server]) -> AsyncIterator[Callable[..., Any]]:
    sessions = []

    async def start(**environ: str) -> Caller:
        ours = await asyncio.to_thread(server, **environ)
        sessions.append(aiohttp.ClientSession(headers=ours.bearer))
        return Caller(sessions[-1], ours.url)

    yield start
    for session in sessions:
        await session.close()


async def test_s3_goes_and_comes_back(calls: Callable[..., Any], s3_way: S3Way) -> None:
    credentials = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    caller = await calls(S3_BUCKET=s3_way.server.bucket, S3_ENDPOINT_URL=s3_way.url, **credentials)
    _, _, record = await caller.store(b"before")
    await s3_way.close()
    status, headers, problem = await caller.store(b"meanwhile")
    assert (status, problem["code"]) == (503, "blob_store_unavailable")
    assert headers["Retry-After"]
    assert (await caller.call("GET", f"/storage/records/{record['id']}"))[0] == 503
    assert (await caller.call("GET", "/auth/me"))[0] == 200
    assert (await caller.call("GET", "/health/ready"))[0] == 503
    await s3_way.open()
    assert (await caller.store(b"after"))[0] == 201
    assert (await caller.call("GET", f"/storage/records/{record['id']}"))[2] == b"before"
    assert (await caller.call("GET", "/health/ready"))[0] == 200
    assert (await caller.call("GET", "/storage/usage"))[2]["records"]["used_bytes"] == len(b"beforeafter")


async def test_qdrant_goes_and_comes_back(calls: Callable[..., Any]) -> None:
    double = QdrantDouble()
    async with double.server as store:
        caller = await calls(QDRANT_URL=store.url, QDRANT_API_KEY=API_KEY)
        search = {"vector": [1.0, *[0.0] * 31], "limit": 1}
        assert (await caller.call("POST", "/storage/vectors/search", json=search))[0] == 200
        store.mode = "dropping"
        status, headers, problem = await caller.call("POST", "/storage/vectors/search", json=search)
        assert (status, problem["code"]) == (503, "vector_store_unavailable")
        assert headers["Retry-After"]
        assert (await caller.store(b"a record all the same"))[0] == 201
        store.mode = "well"
        assert (await caller.call("POST", "/storage/vectors/search", json=search))[0] == 200
