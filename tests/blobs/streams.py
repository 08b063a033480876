"""Streams to put into stores, and what came out of them."""

import hashlib
from collections.abc import AsyncIterator

from adiuva.blobs.protocol import BlobStore

KIB, MIB = 2**10, 2**20


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def stream(data: bytes, piece: int = 64 * KIB) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


async def put(store: BlobStore, key: str, data: bytes, *, piece: int = 64 * KIB, told: bool = True) -> int:
    size = len(data) if told else None
    return await store.put(key, stream(data, piece), size=size, sha256=sha256_of(data))


async def read(store: BlobStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    async with store.get(key, start, end) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def keys(store: BlobStore, prefix: str = "") -> list[str]:
    return sorted([info.key async for info in store.list(prefix)])
