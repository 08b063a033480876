"""What was altered in the store, behind the server's back, is never given out as whole and good; parts are parts."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import asyncpg
import pytest

from adiuva.blobs.blocks import WHOLE
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.storage.keys import BLOBS
from adiuva.testing.s3 import S3Way
from adiuva.web.keys import DATABASE
from tests.storage.conftest import User, keys, sha256

MIB = 2**20
LARGE = 7 * MIB // 2

Overwrite = Callable[[str, bytes], Awaitable[None]]


@pytest.fixture(params=["files", "s3"])
def stored(request: pytest.FixtureRequest, settings: Settings) -> tuple[User, Overwrite]:
    """A user, and a way to put other bytes in the place of a record's."""
    user: User = request.getfixturevalue("user" if request.param == "files" else "remote")

    async def overwrite_file(record_id: str, data: bytes) -> None:
        [path] = (settings.data_dir / "blobs" / user.id / "notes").glob(f"{record_id}.*")
        path.write_bytes(data)

    async def overwrite_object(record_id: str, data: bytes) -> None:
        way: S3Way = request.getfixturevalue("s3_way")
        [key] = [key for key in await keys(user.client) if record_id in key]
        await asyncio.to_thread(way.server.client().put_object, Bucket=way.server.bucket, Key=key, Body=data)

    return user, overwrite_file if request.param == "files" else overwrite_object


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def cut(body: bytes, at: int) -> bytes:
    return body[:at]


def longer(body: bytes, at: int) -> bytes:
    """With a byte more before that one, or after the last one."""
    return body[:at] + b"?" + body[at:] if at < len(body) - 1 else body + b"?"


async def received(user: User, record_id: str, wanted: str = "") -> tuple[int, bytes, bool]:
    """The status, what came of the body, and whether it came to its end."""
    headers = {"Range": wanted} if wanted else {}
    data = bytearray()
    async with await user.call("GET", f"/storage/records/{record_id}", headers=headers) as answer:
        try:
            async for chunk in answer.content.iter_any():
                data += chunk
        except aiohttp.ClientPayloadError:
            return answer.status, bytes(data), False
        return answer.status, bytes(data), True


async def assert_never_good(user: User, record_id: str, body: bytes, wanted: str = "") -> None:
    status, data, ended = await received(user, record_id, wanted)
    assert status == 502 or not ended, (status, len(data))
    if status != 502:
        assert body.startswith(data)


@pytest.mark.parametrize("alter", [flipped, cut, longer])
@pytest.mark.parametrize("size", [1000, 100_000, LARGE])
async def test_what_was_altered_in_the_store_is_never_given_out_as_whole_and_good(
    stored: tuple[User, Overwrite], alter: Callable[[bytes, int], bytes], size: int
) -> None:
    """ST11: whole, and as a part in which something is wrong; at the first, a middle and the last block."""
    user, overwrite = stored
    body = os.urandom(size)
    record_id = (await user.stored(body))["id"]
    for at in (0, 5, size // 2, size - 1):
        await overwrite(record_id, alter(body, at))
        await assert_never_good(user, record_id, body)
        await assert_never_good(user, record_id, body[at:], f"bytes={at}-")
        await assert_never_good(user, record_id, body[at:], f"bytes={at}-{size - 1}")
        await assert_never_good(user, record_id, body, f"bytes=0-{size - 1}")
        if alter is not longer or at < size - 1:
            await assert_never_good(user, record_id, body[at : at + 1], f"bytes={at}-{at}")
    await overwrite(record_id, body)
    assert await received(user, record_id) == (200, body, True)


async def test_each_block_vouches_for_itself(stored: tuple[User, Overwrite]) -> None:
    """ST11: a part is right or is not given out, whatever happens to the rest."""
    user, overwrite = stored
    body = os.urandom(LARGE)
    record_id = (await user.stored(body))["id"]
    await overwrite(record_id, flipped(body, 2 * MIB))
    assert await received(user, record_id, "bytes=5-9") == (206, body[5:10], True)
    assert await received(user, record_id, f"bytes={3 * MIB}-") == (206, body[3 * MIB :], True)
    for wanted in (f"{2 * MIB + 5}-{2 * MIB + 6}", f"{3 * MIB - 1}-{3 * MIB + 1}"):
        assert (await received(user, record_id, f"bytes={wanted}"))[0] == 502
    assert await received(user, record_id) == (200, body[: 2 * MIB], False)


async def test_two_blocks_that_changed_places_are_not_given_out(stored: tuple[User, Overwrite]) -> None:
    user, overwrite = stored
    body = os.urandom(3 * MIB)
    record_id = (await user.stored(body))["id"]
    await overwrite(record_id, body[MIB : 2 * MIB] + body[:MIB] + body[2 * MIB :])
    assert (await received(user, record_id))[0] == 502
    assert (await received(user, record_id, f"bytes={MIB}-{MIB + 1}"))[0] == 502
    assert await received(user, record_id, f"bytes={2 * MIB}-") == (206, body[2 * MIB :], True)


async def test_a_backup_is_checked_block_by_block_too(user: User, settings: Settings) -> None:
    body = os.urandom(5 * MIB // 2)
    own = {"X-Backup-Version": "1", "X-Backup-Timestamp": "2026-01-01T00:00:00Z"}
    checksum = {"X-Backup-Checksum": sha256(body)}
    status, backup = await user.send("PUT", "/backup", body, **own, **checksum)
    assert status == 201
    [path] = (settings.data_dir / "blobs" / user.id / "_backups").glob(f"{backup['id']}.*")
    path.write_bytes(flipped(body, MIB))
    async with await user.call("GET", "/backup", headers={"Range": "bytes=0-99"}) as answer:
        assert (answer.status, await answer.read()) == (206, body[:100])
    async with await user.call("GET", "/backup", headers={"Range": f"bytes={MIB}-"}) as answer:
        assert answer.status == 502


@pytest.mark.parametrize("size", [1000, WHOLE, WHOLE + 1, MIB - 1, MIB, MIB + 1, 5 * MIB // 2])
async def test_parts_are_those_of_what_was_stored(user: User, size: int) -> None:
    body = os.urandom(size)
    record = await user.stored(body)
    edges = sorted({0, 1, 500, MIB - 1, MIB, MIB + 1, 2 * MIB, size - 2, size - 1})
    for start in edges:
        for last in edges:
            if start <= last < size:
                got = await user.read(record["id"], Range=f"bytes={start}-{last}")
                assert got == (206, body[start : last + 1])


async def test_a_part_costs_the_blocks_that_it_is_in(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(LARGE)
    record = await user.stored(body)
    asked: list[tuple[int, int | None]] = []
    blobs, get = user.client.app[BLOBS], user.client.app[BLOBS].get

    def note(key: str, start: int = 0, end: int | None = None) -> Any:
        asked.append((start, end))
        return get(key, start, end)

    monkeypatch.setattr(blobs, "get", note)
    for start, end in ((0, 10), (MIB - 1, MIB + 1), (2 * MIB, 3 * MIB), (3 * MIB, LARGE)):
        assert await user.read(record["id"], Range=f"bytes={start}-{end - 1}") == (206, body[start:end])
    assert asked == [(0, MIB), (0, 2 * MIB), (2 * MIB, 3 * MIB), (3 * MIB, None)]


async def test_what_an_older_version_stored_is_checked_as_a_whole(stored: tuple[User, Overwrite]) -> None:
    """ST11: there is no more than the SHA-256, which tells nothing of a part; a small one is read whole for it."""
    user, overwrite = stored
    database: Database = user.client.app[DATABASE]
    bodies = [os.urandom(size) for size in (MIB, LARGE)]
    small, large = [(await user.stored(body))["id"] for body in bodies]
    async with database.acquire() as conn:
        await conn.execute("UPDATE storage_records SET block_checksums = NULL")
    assert await received(user, small) == (200, bodies[0], True)
    assert await received(user, small, "bytes=5-9") == (206, bodies[0][5:10], True)
    assert await received(user, large) == (200, bodies[1], True)
    assert await received(user, large, "bytes=5-9") == (200, bodies[1], True)
    for record_id, body in ((small, bodies[0]), (large, bodies[1])):
        for alter in (flipped, cut, longer):
            await overwrite(record_id, alter(body, len(body) - 1))
            await assert_never_good(user, record_id, body)
            await assert_never_good(user, record_id, body, "bytes=0-9")


async def test_checksums_of_blocks_are_those_of_the_bytes_that_the_row_names(user: User) -> None:
    """What is replaced, in whatever way, brings its own."""
    record_id = (await user.stored(os.urandom(LARGE)))["id"]
    for size in (2 * MIB, 10, 100_000, LARGE):
        body = os.urandom(size)
        assert (await user.send("PUT", f"/storage/records/{record_id}", body))[0] == 200
        assert await received(user, record_id) == (200, body, True)
        assert await received(user, record_id, "bytes=-9") == (206, body[-9:], True)


async def test_a_row_takes_no_checksums_of_another_number_of_blocks(user: User) -> None:
    await user.stored(os.urandom(100_000))
    database: Database = user.client.app[DATABASE]
    async with database.acquire() as conn:
        with pytest.raises(asyncpg.CheckViolationError, match="storage_records_block_checksums_check"):
            await conn.execute("UPDATE storage_records SET block_checksums = block_checksums || block_checksums")
