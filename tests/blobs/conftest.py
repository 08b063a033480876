"""The stores that pass the contract, and a look at what they leave where no listing shows it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from adiuva.blobs.files import FileStore
from adiuva.blobs.protocol import BlobStore
from adiuva.blobs.s3 import S3Store
from adiuva.blobs.s3_calls import Bucket
from adiuva.blobs.s3_lane import DirectLane
from adiuva.testing.s3 import S3Way


@frozen(kw_only=True)
class Tried:
    """A store, what is in it but not visible, and a way to change what is stored behind its back."""

    store: BlobStore
    leftovers: Callable[[], Awaitable[list[Any]]]
    alter: Callable[[str, bytes], Awaitable[None]]


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Tried]:
    folder = tmp_path / "blobs"
    store = FileStore(folder)

    async def leftovers() -> list[Path]:
        return list((folder / ".incoming").glob("*"))

    async def alter(key: str, data: bytes) -> None:
        (folder / key).write_bytes(data)

    yield Tried(store=store, leftovers=leftovers, alter=alter)
    await store.close()


@pytest.fixture
async def s3(s3_way: S3Way) -> AsyncIterator[Tried]:
    server = s3_way.server
    store = S3Store(Bucket(name=server.bucket, endpoint_url=s3_way.url, create=True))

    async def leftovers() -> list[Any]:
        return await asyncio.to_thread(
            lambda: server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads", [])
        )

    async def alter(key: str, data: bytes) -> None:
        await asyncio.to_thread(server.client().put_object, Bucket=server.bucket, Key=key, Body=data)

    yield Tried(store=store, leftovers=leftovers, alter=alter)
    await store.close()


@pytest.fixture
async def s3_by_aiobotocore(s3: Tried, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """S3 where the direct lane always fails, so that aiobotocore does all of it."""

    async def fail(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(DirectLane, "request", fail)
    return s3


@pytest.fixture(params=["files", "s3", "s3_by_aiobotocore"])
def tried(request: pytest.FixtureRequest) -> Tried:
    found: Tried = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(tried: Tried) -> BlobStore:
    return tried.store
