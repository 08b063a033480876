"""What every blob store promises; files and S3 pass the same tests."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adiuva.blobs.checksums import verified
from adiuva.blobs.protocol import BlobStore
from adiuva.errors import BlobDamagedError, BlobMissingError, ChecksumMismatchError
from tests.blobs.conftest import Tried
from tests.blobs.streams import KIB, MIB, keys, put, read, sha256_of, stream

SIZES = [0, 1, MIB, 8 * MIB, 8 * MIB + 1, 10 * MIB, 21 * MIB + 17]
KEY = "user/notes/record.1"


@pytest.mark.parametrize("told", [True, False], ids=["length known", "length unknown"])
@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_out_as_they_went_in(tried: Tried, size: int, told: bool) -> None:
    data = os.urandom(size)
    assert await put(tried.store, KEY, data, piece=100_000, told=told) == size
    assert sha256_of(await read(tried.store, KEY)) == sha256_of(data)
    assert [(info.key, info.size) async for info in tried.store.list()] == [(KEY, size)]
    assert await tried.leftovers() == []


@pytest.mark.parametrize("piece", [1, 7, 4 * KIB, 30 * MIB])
async def test_pieces_may_have_any_size(store: BlobStore, piece: int) -> None:
    data = os.urandom(4 * KIB if piece < KIB else 12 * MIB)
    await put(store, KEY, data, piece=piece)
    assert await read(store, KEY) == data


async def test_empty_pieces_end_nothing(store: BlobStore) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b"", b"one", b"", b"two", b""):
            yield piece

    assert await store.put(KEY, chunks(), size=6, sha256=sha256_of(b"onetwo")) == 6
    assert await read(store, KEY) == b"onetwo"


async def test_a_range_gives_these_bytes_and_no_others(store: BlobStore) -> None:
    data = os.urandom(6 * MIB + 5)
    await put(store, KEY, data)
    middle, last = 3 * MIB, 6 * MIB + 5
    inside = [(0, 1), (0, None), (5, 5), (10, 20), (middle - 1, middle + 1), (6 * MIB, None), (last - 1, last)]
    beyond = [(6 * MIB, 99 * MIB), (last, None), (last, last), (99 * MIB, None), (99 * MIB, 100 * MIB)]
    for start, end in inside + beyond:
        assert await read(store, KEY, start, end) == data[start:end], (start, end)


async def test_a_range_of_an_empty_blob_is_empty(store: BlobStore) -> None:
    await put(store, KEY, b"")
    assert [await read(store, KEY, *span) for span in [(0, None), (0, 5), (3, 9)]] == [b"", b"", b""]


async def test_what_is_not_there_is_missing(store: BlobStore) -> None:
    await put(store, KEY, b"something")
    for key in ("user/notes/other.1", "user/notes", "nobody"):
        with pytest.raises(BlobMissingError):
            await read(store, key)
        with pytest.raises(BlobMissingError):
            await read(store, key, 2, 4)


@pytest.mark.parametrize("size", [0, 4 * KIB, 3 * MIB, 17 * MIB])
@pytest.mark.parametrize("told", [True, False], ids=["length known", "length unknown"])
async def test_one_wrong_bit_in_the_last_byte_keeps_nothing(tried: Tried, size: int, told: bool) -> None:
    data = bytearray(os.urandom(size)) or bytearray(b"?")
    right = sha256_of(bytes(data))
    data[-1] ^= 1
    with pytest.raises(ChecksumMismatchError):
        await tried.store.put(KEY, stream(bytes(data)), size=len(data) if told else None, sha256=right)
    assert await keys(tried.store) == []
    assert await tried.leftovers() == []


@pytest.mark.parametrize("size", [100, 17 * MIB])
async def test_a_failed_replace_leaves_what_was_there(tried: Tried, size: int) -> None:
    await put(tried.store, KEY, b"the first")
    with pytest.raises(ChecksumMismatchError):
        await tried.store.put(KEY, stream(os.urandom(size)), size=size, sha256=sha256_of(b"else"))
    assert await read(tried.store, KEY) == b"the first"
    await put(tried.store, KEY, b"the second")
    assert await read(tried.store, KEY) == b"the second"


@pytest.mark.parametrize("before", [0, 7 * MIB, 17 * MIB])
async def test_a_stream_that_breaks_off_keeps_nothing_and_its_error_goes_through(tried: Tried, before: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in stream(os.urandom(before)):
            yield piece
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError, match="the client is gone"):
        await tried.store.put(KEY, broken(), size=50 * MIB, sha256=sha256_of(b""))
    assert await keys(tried.store) == []
    assert await tried.leftovers() == []


@pytest.mark.parametrize("before", [0, 7 * MIB, 17 * MIB])
async def test_a_put_that_is_cancelled_keeps_nothing(tried: Tried, before: int) -> None:
    waits = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for piece in stream(os.urandom(before)):
            yield piece
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(tried.store.put(KEY, stalling(), size=None, sha256=sha256_of(b"")))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(tried.store) == []
    assert await tried.leftovers() == []


async def test_a_blob_is_not_visible_before_its_last_byte(store: BlobStore) -> None:
    data, seen = os.urandom(17 * MIB), []

    async def watched() -> AsyncIterator[bytes]:
        async for piece in stream(data, MIB):
            yield piece
        seen.append(await keys(store))

    await store.put(KEY, watched(), size=len(data), sha256=sha256_of(data))
    assert seen == [[]]


async def test_readers_of_a_blob_that_is_replaced_see_one_whole_version(store: BlobStore) -> None:
    versions = [bytes([number]) * (2 * MIB + number) for number in range(10)]
    await put(store, KEY, versions[0])
    done = asyncio.Event()

    async def keep_reading() -> int:
        reads = 0
        while not done.is_set() or not reads:
            assert await read(store, KEY) in versions
            reads += 1
        return reads

    readers = [asyncio.create_task(keep_reading()) for _ in range(3)]
    for version in versions:
        await put(store, KEY, version)
    done.set()
    assert min(await asyncio.gather(*readers)) >= 1


async def test_delete_forgets_and_may_be_said_twice(store: BlobStore) -> None:
    await put(store, KEY, b"one")
    await put(store, "user/notes/record.2", b"two")
    await store.delete(KEY)
    await store.delete(KEY)
    await store.delete("user/never/was")
    assert await keys(store) == ["user/notes/record.2"]
    await store.delete("user/notes/record.2")
    await put(store, KEY, b"again")
    assert await read(store, KEY) == b"again"


async def test_a_listing_shows_what_begins_with_the_prefix(store: BlobStore) -> None:
    names = ["anna/notes/1.a", "anna/notes/10.a", "anna/tasks/1.a", "annabel/notes/1.a", "berta/notes/1.a"]
    for name in names:
        await put(store, name, name.encode())
    assert await keys(store) == names
    assert await keys(store, "anna/") == names[:3]
    assert await keys(store, "anna") == names[:4]
    assert await keys(store, "anna/notes/1") == names[:2]
    assert await keys(store, "nobody/") == []
    times = [info.modified async for info in store.list()]
    assert all(abs(datetime.now(UTC) - time) < timedelta(minutes=5) for time in times)


async def test_a_listing_goes_on_beyond_its_first_page(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adiuva.blobs.files.PAGE", 7)
    monkeypatch.setattr("adiuva.blobs.s3.PAGE", 7)
    await asyncio.gather(*(put(store, f"user/notes/{number}", b"x") for number in range(30)))
    assert len(await keys(store, "user/")) == 30


async def test_a_key_that_leads_elsewhere_is_refused(store: BlobStore) -> None:
    up, odd = ["", "/", "/etc/passwd", "../up", "a/../../b", "a//b", "a/"], ["a\\b", "a\0b", "ä", "a" * 300, "a\n"]
    for key in [*up, *odd, ".incoming/x", "a/.x"]:
        with pytest.raises(ValueError, match="no key"):
            await put(store, key, b"x")
        with pytest.raises(ValueError, match="no key"):
            await read(store, key)
        with pytest.raises(ValueError, match="no key"):
            await store.delete(key)


async def test_a_reader_may_leave_early(store: BlobStore) -> None:
    data = os.urandom(20 * MIB)
    await put(store, KEY, data)
    for _ in range(5):
        async with store.get(KEY) as chunks:
            assert data.startswith(await anext(chunks))
    assert await read(store, KEY) == data


async def test_many_at_once_do_not_mix(store: BlobStore) -> None:
    blobs = {f"user{number}/notes/1": os.urandom(number * 300 * KIB) for number in range(12)}
    await asyncio.gather(*(put(store, key, data) for key, data in blobs.items()))
    assert await asyncio.gather(*(read(store, key) for key in blobs)) == [*blobs.values()]


@pytest.mark.parametrize("size", [1, 100, 3 * MIB])
async def test_bytes_that_changed_in_the_store_are_never_passed_on_as_a_whole(tried: Tried, size: int) -> None:
    data = bytearray(os.urandom(size))
    await put(tried.store, KEY, bytes(data))
    stored = sha256_of(bytes(data))
    data[size // 2] ^= 1
    await tried.alter(KEY, bytes(data))
    passed_on = bytearray()

    async def pass_on() -> None:
        async with tried.store.get(KEY) as chunks:
            async for chunk in verified(chunks, stored):
                passed_on.extend(chunk)

    with pytest.raises(BlobDamagedError):
        await pass_on()
    assert len(passed_on) < size


async def test_a_store_that_works_says_so(store: BlobStore) -> None:
    await store.check()
    assert await keys(store) == []


async def test_a_sweep_takes_only_what_is_old(tried: Tried) -> None:
    halfway, go_on = asyncio.Event(), asyncio.Event()
    data = os.urandom(17 * MIB)

    async def slow() -> AsyncIterator[bytes]:
        async for piece in stream(data):
            yield piece
        halfway.set()
        await go_on.wait()

    task = asyncio.create_task(tried.store.put(KEY, slow(), size=len(data), sha256=sha256_of(data)))
    await halfway.wait()
    assert len(await tried.leftovers()) == 1
    assert await tried.store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    go_on.set()
    assert await task == len(data)
    assert await read(tried.store, KEY) == data
