"""The stores that pass the contract, and a look at what they leave where no listing shows it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from adiuva.blobs.files import FileStore
from adiuva.blobs.protocol import BlobStore


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


@pytest.fixture(params=["files"])
def tried(request: pytest.FixtureRequest) -> Tried:
    found: Tried = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(tried: Tried) -> BlobStore:
    return tried.store
