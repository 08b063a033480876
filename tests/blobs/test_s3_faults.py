"""What happens when S3 is away, hangs, breaks off or refuses: an error in time, and nothing half-stored."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from adiuva.blobs.checksums import verified
from adiuva.blobs.s3 import S3Store
from adiuva.blobs.s3_calls import Bucket
from adiuva.clock import now
from adiuva.errors import BlobDamagedError, BlobMissingError, BlobStoreUnavailableError
from adiuva.testing.s3 import Fault, S3Server, S3Way
from tests.blobs.conftest import Tried
from tests.blobs.streams import KIB, MIB, keys, put, read, sha256_of, stream

pytestmark = pytest.mark.proof

KEY = "user/notes/record.1"
PATIENCE = 3.0  # seconds; 20 in earnest
IN_TIME = 30.0  # seconds, however busy the machine is: what is not ended by patience hangs for ever
SMALL, LARGE = 4 * KIB, 17 * MIB

# What a large put asks for, in this order.
STEPS = {
    "begin": ("POST", "uploads"),
    "the first part": ("PUT", "partNumber=1"),
    "the last part": ("PUT", "partNumber=4"),
    "completion": ("POST", "uploadId="),
}


# What ends at once; and what only patience ends, which takes its time.
QUICK = ["503", "403", "reset"]
SLOW = ["hang", "stall"]


@pytest.fixture
async def hasty(s3: Tried, s3_way: S3Way) -> AsyncIterator[S3Store]:
    """A store of little patience, whose bucket is there; its client is, too: making one may take a moment."""
    await s3.store.check()
    store = S3Store(Bucket(name=s3_way.server.bucket, endpoint_url=s3_way.url), patience=PATIENCE)
    await store._calls._open()
    yield store
    await store.close()


async def _fails(store: S3Store, size: int) -> float:
    """How long it takes until the put fails as it should."""
    started = time.monotonic()
    with pytest.raises(BlobStoreUnavailableError) as caught:
        await put(store, KEY, os.urandom(size))
    assert caught.value.retry_after
    return time.monotonic() - started


@pytest.mark.parametrize("kind", [*QUICK, *SLOW])
@pytest.mark.parametrize("step", STEPS)
async def test_a_fault_at_any_step_of_a_large_put_keeps_nothing(
    hasty: S3Store, s3: Tried, s3_way: S3Way, step: str, kind: str
) -> None:
    method, query = STEPS[step]
    s3_way.faults = [Fault(kind=kind, method=method, query=query)]  # type: ignore[arg-type]
    assert await _fails(hasty, LARGE) < IN_TIME
    assert s3_way.faults[0].met
    s3_way.faults = []
    assert await keys(hasty) == []
    assert await s3.leftovers() == []
    await put(hasty, KEY, b"works again")


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
async def test_a_store_without_a_key_takes_blobs_as_they_come_and_this_is_said_once(
    hasty: S3Store, s3_way: S3Way, size: int
) -> None:
    """MinIO, without more than its address and credentials."""
    s3_way.faults = [Fault(kind="keyless")]
    data = os.urandom(size)
    with capture_logs() as lines:
        for _ in range(2):
            await put(hasty, KEY, data)
    assert await read(hasty, KEY) == data
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "the blob store does not encrypt, and gets blobs as clients have encrypted them"
    ]


async def test_blobs_are_encrypted_where_the_store_can(s3: Tried, s3_way: S3Way) -> None:
    for size in (SMALL, LARGE):
        await put(s3.store, KEY, os.urandom(size))
        head = await asyncio.to_thread(s3_way.server.client().head_object, Bucket=s3_way.server.bucket, Key=KEY)
        assert head["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("kind", [*QUICK, "hang", "stall"])
async def test_a_fault_of_a_small_put_keeps_nothing(hasty: S3Store, s3_way: S3Way, kind: str) -> None:
    s3_way.faults = [Fault(kind=kind, method="PUT")]  # type: ignore[arg-type]
    assert await _fails(hasty, SMALL) < IN_TIME
    s3_way.faults = []
    assert await keys(hasty) == []
    await put(hasty, KEY, b"works again")


@pytest.mark.parametrize("kind", ["503", "reset"])
@pytest.mark.parametrize("step", ["the first part", "the last part"])
async def test_a_part_that_fails_once_is_sent_again(hasty: S3Store, s3_way: S3Way, step: str, kind: str) -> None:
    method, query = STEPS[step]
    s3_way.faults = [Fault(kind=kind, method=method, query=query, times=1)]  # type: ignore[arg-type]
    data = os.urandom(LARGE)
    assert await put(hasty, KEY, data) == LARGE
    assert sha256_of(await read(hasty, KEY)) == sha256_of(data)
    assert s3_way.faults[0].met == 1


@pytest.mark.parametrize("kind", ["503", "reset"])
async def test_a_small_put_a_get_and_a_delete_that_fail_once_are_done_again(
    hasty: S3Store, s3_way: S3Way, kind: str
) -> None:
    methods = ("PUT", "GET", "DELETE")
    s3_way.faults = [Fault(kind=kind, method=method, times=1) for method in methods]  # type: ignore[arg-type]
    await put(hasty, KEY, b"some bytes")
    assert await read(hasty, KEY) == b"some bytes"
    await hasty.delete(KEY)
    assert [fault.met for fault in s3_way.faults] == [1, 1, 1]
    assert await keys(hasty) == []


async def test_other_uploads_go_on_while_one_hangs(s3: Tried, s3_way: S3Way) -> None:
    await s3.store.check()
    s3_way.faults = [Fault(kind="hang", method="PUT", query="partNumber=2")]
    hanging = asyncio.create_task(put(s3.store, KEY, os.urandom(LARGE)))
    while not s3_way.faults[0].met:
        await asyncio.sleep(0.01)
    await asyncio.gather(*(put(s3.store, f"other{number}/notes/1", b"x") for number in range(20)))
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait([hanging])
    assert await s3.leftovers() == []


async def test_a_store_that_is_gone_is_an_error_for_every_call_and_comes_back(hasty: S3Store, s3_way: S3Way) -> None:
    await put(hasty, KEY, b"some bytes")
    await s3_way.close()
    calls = [hasty.check(), hasty.delete(KEY), keys(hasty), read(hasty, KEY), hasty.sweep(now()), put(hasty, KEY, b"x")]
    for call in calls:
        with pytest.raises(BlobStoreUnavailableError):
            await call
    await s3_way.open()
    assert await read(hasty, KEY) == b"some bytes"


async def test_a_store_that_is_gone_at_the_start_works_once_it_is_there(s3_way: S3Way) -> None:
    await s3_way.close()
    store = S3Store(Bucket(name=s3_way.server.bucket, endpoint_url=s3_way.url, create=True), patience=PATIENCE)
    outcomes = await asyncio.gather(*(store.check() for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BlobStoreUnavailableError] * 5
    await s3_way.open()
    await store.check()
    await put(store, KEY, b"some bytes")
    assert await read(store, KEY) == b"some bytes"
    await store.close()


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_get_that_breaks_off_is_an_error_and_never_a_shorter_blob(
    hasty: S3Store, s3_way: S3Way, size: int
) -> None:
    await put(hasty, KEY, os.urandom(size))
    s3_way.faults = [Fault(kind="cut", method="GET")]
    with pytest.raises(BlobStoreUnavailableError):
        await read(hasty, KEY)


async def test_a_get_that_hangs_ends_in_time(hasty: S3Store, s3_way: S3Way) -> None:
    await put(hasty, KEY, b"some bytes")
    s3_way.faults = [Fault(kind="hang", method="GET")]
    started = time.monotonic()
    with pytest.raises(BlobStoreUnavailableError):
        await read(hasty, KEY)
    assert time.monotonic() - started < IN_TIME


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_one_bit_flipped_on_the_way_back_is_never_a_whole_blob(hasty: S3Store, s3_way: S3Way, size: int) -> None:
    data = os.urandom(size)
    await put(hasty, KEY, data)
    s3_way.faults = [Fault(kind="flip", method="GET")]
    passed_on = bytearray()

    async def pass_on() -> None:
        async with hasty.get(KEY) as chunks:
            async for chunk in verified(chunks, sha256_of(data)):
                passed_on.extend(chunk)

    with pytest.raises(BlobDamagedError):
        await pass_on()
    assert len(passed_on) < size


async def test_parts_that_could_not_be_removed_are_swept_later(hasty: S3Store, s3: Tried, s3_way: S3Way) -> None:
    s3_way.faults = [Fault(kind="reset", method="PUT", query="partNumber=2"), Fault(kind="503", method="DELETE")]
    await _fails(hasty, LARGE)
    s3_way.faults = []
    assert len(await s3.leftovers()) == 1
    assert await keys(hasty) == []
    assert await hasty.sweep(now()) == 1
    assert await s3.leftovers() == []


async def test_what_is_stored_is_encrypted_at_rest(hasty: S3Store, s3_server: S3Server) -> None:
    await put(hasty, "user/notes/small", b"x")
    await put(hasty, "user/notes/large", os.urandom(LARGE))
    client = s3_server.client()
    for key in ("user/notes/small", "user/notes/large"):
        head = await asyncio.to_thread(client.head_object, Bucket=s3_server.bucket, Key=key)
        assert head["ServerSideEncryption"] == "AES256"


async def test_a_missing_bucket_is_made_in_dev_only(s3_server: S3Server) -> None:
    strict = S3Store(Bucket(name=s3_server.bucket, endpoint_url=s3_server.url))
    for call in (strict.check(), put(strict, KEY, b"x"), read(strict, KEY), strict.delete(KEY)):
        with pytest.raises(BlobStoreUnavailableError):
            await call
    kind = [
        S3Store(Bucket(name=s3_server.bucket, region=region, endpoint_url=s3_server.url, create=True))
        for region in ("eu-west-1", "eu-west-1", "us-east-1")
    ]
    await asyncio.gather(*(store.check() for store in kind))
    await put(strict, KEY, b"x")
    for store in (strict, *kind):
        assert await keys(store) == [KEY]
        await store.close()


async def test_a_failure_is_one_readable_line_without_secrets(hasty: S3Store, s3_way: S3Way) -> None:
    s3_way.faults = [Fault(kind="403", method="PUT")]
    with capture_logs() as logs:
        await _fails(hasty, SMALL)
    bucket = s3_way.server.bucket
    assert logs == [
        {
            "event": "the blob store failed",
            "log_level": "warning",
            "bucket": bucket,
            "operation": "put",
            "reason": "AccessDenied 403",
        }
    ]


async def test_a_wrong_checksum_that_only_the_last_part_shows_is_never_completed(
    hasty: S3Store, s3: Tried, s3_way: S3Way
) -> None:
    data = bytearray(os.urandom(LARGE))
    right = sha256_of(bytes(data))
    data[-1] ^= 1
    s3_way.seen.clear()
    with pytest.raises(Exception, match="checksum"):
        await hasty.put(KEY, stream(bytes(data)), size=LARGE, sha256=right)
    assert not [query for method, query in s3_way.seen if method == "POST" and "uploadId=" in query]
    assert await s3.leftovers() == []
    with pytest.raises(BlobMissingError):
        await read(hasty, KEY)
