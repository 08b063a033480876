"""Looks whether every row has its bytes and all bytes have their row; changes nothing."""

from collections.abc import AsyncIterator
from uuid import UUID

from adiuva.blobs.checksums import Sha256
from adiuva.blobs.protocol import BlobStore
from adiuva.database import Database
from adiuva.errors import BlobMissingError
from adiuva.storage.housekeeping import queries
from adiuva.storage.housekeeping.models import Finding, StoredRow, Verified


async def verify(database: Database, blobs: BlobStore, *, deep: bool) -> Verified:
    """Compare rows with the sizes of their blobs; ``deep`` reads and hashes every one of them."""
    verified = Verified()
    async with database.acquire() as conn:
        users = await queries.list_users(conn)
    for user_id in users:
        async for finding in _verify_user(database, blobs, user_id, verified, deep=deep):
            verified.findings.append(finding)
    return verified


async def _verify_user(
    database: Database, blobs: BlobStore, user_id: UUID, verified: Verified, *, deep: bool
) -> AsyncIterator[Finding]:
    async with database.acquire() as conn:
        rows = await queries.list_rows(conn, user_id)
    sizes = {info.key: info.size async for info in blobs.list(f"{user_id}/")}
    for row in rows:
        verified.rows += 1
        verified.size += row.size
        fault = _compare(row, sizes.pop(row.key, None))
        if not fault and deep:
            fault = await _hash(blobs, row)
        if fault and await _still_named(database, row.key):
            yield Finding(key=row.key, fault=fault)
    async with database.acquire() as conn:
        for key in await queries.find_unknown(conn, list(sizes)):
            yield Finding(key=key, fault="bytes without a row")


def _compare(row: StoredRow, size: int | None) -> str:
    if size is None:
        return "no bytes"
    return "" if size == row.size else f"{size} bytes instead of {row.size}"


async def _hash(blobs: BlobStore, row: StoredRow) -> str:
    hashed = Sha256()
    try:
        async with blobs.get(row.key) as chunks:
            async for chunk in chunks:
                await hashed.take([chunk])
    except BlobMissingError:
        return "no bytes"
    return "" if hashed.is_(row.checksum) else "other bytes than were stored"


async def _still_named(database: Database, key: str) -> bool:
    """A record may have been replaced or deleted since its row was read."""
    async with database.acquire() as conn:
        return await queries.is_named(conn, key)
