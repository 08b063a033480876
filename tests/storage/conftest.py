"""A server with real PostgreSQL and real files, and users of it who store things."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from attrs import define, evolve, field

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.storage.keys import BLOBS
from adiuva.testing.limits import without_rate_limits
from adiuva.testing.models import ScriptedModel
from adiuva.testing.s3 import S3Way
from adiuva.web.keys import DATABASE
from tests.web.conftest import ProblemServer

API = "/api/v1"
PASSWORD = "correct horse battery"

Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@define
class User:
    """Someone logged in at a test server."""

    client: Client
    id: str
    token: str = field(repr=False)

    async def call(self, method: str, path: str, **kwargs: Any) -> ClientResponse:
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return await self.client.request(method, API + path, headers=headers, **kwargs)

    async def send(self, method: str, path: str, body: Any, checksum: str | None = None, **headers: str) -> Any:
        """Status and JSON of a call with bytes; keyword arguments are further headers."""
        own = {
            "Content-Type": "application/octet-stream",
            "X-Checksum": sha256(body) if checksum is None else checksum,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with await self.call(method, path, data=body, headers=own) as answer:
            return answer.status, await answer.json(content_type=None)

    async def create(self, body: bytes, table: str = "notes", record_id: str = "", **headers: str) -> Any:
        query = f"?table={table}" + (f"&id={record_id}" if record_id else "")
        return await self.send("POST", f"/storage/records{query}", body, **headers)

    async def stored(self, body: bytes, table: str = "notes", record_id: str = "") -> dict[str, Any]:
        """The record of bytes that are stored."""
        status, record = await self.create(body, table, record_id)
        assert status == 201, record
        return record  # type: ignore[no-any-return]

    async def get(self, path: str) -> tuple[int, Any]:
        async with await self.call("GET", path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def read(self, record_id: str, **headers: str) -> tuple[int, bytes]:
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        async with await self.call("GET", f"/storage/records/{record_id}", headers=own) as answer:
            return answer.status, await answer.read()

    async def used(self, kind: str = "records") -> int:
        status, usage = await self.get("/storage/usage")
        assert status == 200
        return usage[kind]["used_bytes"]  # type: ignore[no-any-return]


async def register(client: Client, email: str = "ada@example.com") -> User:
    async with client.post(f"{API}/auth/register", json={"email": email, "password": PASSWORD}) as answer:
        assert answer.status == 201
        token = (await answer.json())["access_token"]
    user = User(client, "", token)
    user.id = (await user.get("/auth/me"))[1]["id"]
    return user


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Everybody is pro, and no limit of requests is in the way."""
    return without_rate_limits(settings, default_tier="pro")


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts a server; keyword arguments change its settings."""
    clients = []

    async def run(**changes: Any) -> Client:
        app = create_app(evolve(settings, **changes), model=ScriptedModel(), registry=AgentRegistry())
        client = TestClient(ProblemServer(app))
        clients.append(client)
        await client.start_server()
        return client

    yield run
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start: Start) -> Client:
    return await start()


@pytest.fixture
async def user(client: Client) -> User:
    return await register(client)


@pytest.fixture
async def remote(start: Start, s3_way: S3Way) -> User:
    """A user of a server that keeps its blobs in S3."""
    return await register(await start(s3_bucket=s3_way.server.bucket, s3_endpoint_url=s3_way.url), "remote@example.com")


async def keys(client: Client) -> set[str]:
    """What the blob store holds."""
    return {info.key async for info in client.app[BLOBS].list()}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for work in the background."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def state(client: Client) -> dict[str, Any]:
    """Whether bytes, rows and counters agree, as the database and the store have them."""
    database: Database = client.app[DATABASE]
    async with database.acquire() as conn:
        rows = await conn.fetch("SELECT blob_key FROM storage_records UNION ALL SELECT blob_key FROM backup_metadata")
        sums = await conn.fetchval(
            "SELECT (SELECT coalesce(sum(size_bytes), 0) FROM storage_records)"
            " + (SELECT coalesce(sum(size_bytes), 0) FROM backup_metadata)"
        )
        used = await conn.fetchval("SELECT coalesce(sum(used_bytes), 0) FROM storage_usage")
        reserved = await conn.fetchval("SELECT coalesce(sum(reserved_bytes), 0) FROM storage_usage")
        intents = await conn.fetchval("SELECT count(*) FROM storage_intents")
    return {
        "rows": {row["blob_key"] for row in rows},
        "sum": int(sums),
        "used": int(used),
        "reserved": int(reserved),
        "intents": intents,
    }


async def assert_agreement(client: Client) -> None:
    """Every row has its bytes, every byte its row, and the counters are right, once the background has come to rest."""

    async def at_rest() -> bool:
        found = await state(client)
        return bool(found["intents"] == 0 and found["rows"] == await keys(client))

    try:
        await until(at_rest)
    except TimeoutError:
        found, stored_keys = await state(client), await keys(client)
        rows = found.pop("rows")
        pytest.fail(f"{found}; rows without bytes: {rows - stored_keys}; bytes without rows: {stored_keys - rows}")
    found = await state(client)
    assert found["used"] == found["sum"]
    assert found["reserved"] == 0
    stored = sum([info.size async for info in client.app[BLOBS].list()])
    assert stored == found["sum"]


def incoming(settings: Settings) -> list[Path]:
    """Files that are being written."""
    return list((settings.data_dir / "blobs" / ".incoming").glob("*"))
