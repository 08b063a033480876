"""What goes wrong around storage ends in the contract's answer, with nothing half stored."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest
from click.testing import CliRunner, Result

from adiuva.cli import main
from adiuva.settings import Settings
from adiuva.storage.keys import BLOBS
from adiuva.testing.s3 import Fault, S3Way
from tests.storage.conftest import Start, User, assert_agreement, incoming, keys, register, sha256, state

pytestmark = pytest.mark.proof

MIB = 2**20


@pytest.fixture(params=["user", "remote"])
def either(request: pytest.FixtureRequest) -> User:
    """A user of a server with files, and one of a server with S3."""
    found: User = request.getfixturevalue(request.param)
    return found


async def unfinished(way: S3Way) -> list[Any]:
    """Multipart uploads that somebody began and left."""
    client = way.server.client()
    found = await asyncio.to_thread(client.list_multipart_uploads, Bucket=way.server.bucket)
    return found.get("Uploads", [])  # type: ignore[no-any-return]


async def test_records_in_s3_are_as_good_as_in_files(remote: User, s3_way: S3Way) -> None:
    for size in (0, 1, 100_000, 9 * MIB):
        body = os.urandom(size)
        record = await remote.stored(body)
        assert await remote.read(record["id"]) == (200, body)
        if size:
            assert await remote.read(record["id"], Range=f"bytes={size // 2}-") == (206, body[size // 2 :])
        assert (await remote.send("PUT", f"/storage/records/{record['id']}", body + b"!"))[0] == 200
    await assert_agreement(remote.client)
    assert await unfinished(s3_way) == []


@pytest.mark.parametrize("size", [1000, 20 * MIB])
async def test_a_bit_that_flips_on_its_way_is_noticed_and_nothing_is_kept(
    remote: User, s3_way: S3Way, size: int
) -> None:
    """ST8: also in the last part of a large one."""
    body = bytearray(os.urandom(size))
    checksum = sha256(bytes(body))
    body[-1] ^= 1
    status, problem = await remote.send("POST", "/storage/records?table=notes", bytes(body), checksum)
    assert (status, problem["code"]) == (400, "checksum_mismatch")
    assert await keys(remote.client) == set()
    assert await unfinished(s3_way) == []
    await assert_agreement(remote.client)


async def refused(user: User, body: bytes) -> float:
    """An upload that is answered with 503; gives the seconds that it took."""
    began = time.monotonic()
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": sha256(body)}
    async with await user.call("POST", "/storage/records?table=notes", data=body, headers=headers) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (503, "blob_store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    return time.monotonic() - began


# What may be over in a moment is tried for as long as S3 has patience with.
@pytest.mark.parametrize("kind", ["503", "403", "reset"])
@pytest.mark.parametrize("size", [1000, 20 * MIB])
async def test_s3_that_fails_is_503_and_nothing_is_stored(remote: User, s3_way: S3Way, kind: Any, size: int) -> None:
    kept = await remote.stored(b"before")
    s3_way.faults = [Fault(kind=kind, method="PUT")]
    assert await refused(remote, os.urandom(size)) < 30
    s3_way.faults = []
    assert await remote.used() == len(b"before")
    assert (await remote.get("/storage/records"))[1]["total"] == 1
    assert await remote.read(kept["id"]) == (200, b"before")
    await assert_agreement(remote.client)
    assert await unfinished(s3_way) == []


@pytest.mark.parametrize("kind", ["hang", "stall"])
@pytest.mark.parametrize("size", [1000, 20 * MIB])
async def test_s3_that_hangs_is_503_within_30_seconds_and_others_go_on(
    remote: User, s3_way: S3Way, kind: Any, size: int
) -> None:
    """ST2."""
    grace = await register(remote.client, "grace@example.com")
    mine = await grace.stored(b"mine")
    s3_way.faults = [Fault(kind=kind, method="PUT")]
    upload = asyncio.create_task(refused(remote, os.urandom(size)))
    slowest = 0.0
    while not upload.done():
        began = time.monotonic()
        assert await grace.read(mine["id"]) == (200, b"mine")
        assert (await grace.get("/storage/records"))[1]["total"] == 1
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.wait([upload], timeout=0.1)
    assert await upload < 30
    assert slowest < 6  # well under the 30 s that the store has, also on a machine with other things to do
    s3_way.faults = []
    assert await remote.used() == 0
    await assert_agreement(remote.client)


async def test_s3_that_is_gone_is_503_and_once_it_is_back_all_goes_on(remote: User, s3_way: S3Way) -> None:
    record = await remote.stored(b"before")
    await s3_way.close()
    assert await refused(remote, b"meanwhile") < 30
    assert (await remote.read(record["id"]))[0] == 503
    assert (await remote.get("/storage/records"))[1]["total"] == 1
    assert (await remote.call("DELETE", f"/storage/records/{record['id']}")).status == 204
    assert (await remote.get("/health/ready"))[1]["checks"]["blobs"] != "ok"
    await s3_way.open()
    assert (await remote.create(b"after"))[0] == 201
    assert (await remote.get("/health/ready"))[1]["checks"]["blobs"] == "ok"
    assert await remote.used() == len(b"after")


async def test_s3_that_is_slow_is_waited_for(remote: User, s3_way: S3Way) -> None:
    body = os.urandom(9 * MIB)
    s3_way.faults = [Fault(kind="slow")]
    record = await remote.stored(body)
    assert await remote.read(record["id"]) == (200, body)
    assert (await remote.send("PUT", f"/storage/records/{record['id']}", b"small"))[0] == 200
    assert (await remote.call("DELETE", f"/storage/records/{record['id']}")).status == 204
    await assert_agreement(remote.client)
    assert await unfinished(s3_way) == []


async def test_a_server_starts_without_s3_and_is_ready_once_it_is_there(start: Start, s3_way: S3Way) -> None:
    await s3_way.close()
    user = await register(await start(s3_bucket=s3_way.server.bucket, s3_endpoint_url=s3_way.url))
    assert (await user.get("/health/ready"))[0] == 503
    await refused(user, b"x")
    await s3_way.open()
    assert (await user.get("/health/ready"))[0] == 200
    assert (await user.create(b"x"))[0] == 201


async def test_what_was_altered_in_the_store_is_never_given_out_as_whole(
    remote: User, s3_way: S3Way, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """ST11."""
    records = [await remote.stored(os.urandom(size)) for size in (1000, 5 * MIB)]
    client = s3_way.server.client()
    for key in await keys(remote.client):
        got = await asyncio.to_thread(client.get_object, Bucket=s3_way.server.bucket, Key=key)
        altered = bytearray(got["Body"].read())
        altered[-1] ^= 1
        await asyncio.to_thread(client.put_object, Bucket=s3_way.server.bucket, Key=key, Body=bytes(altered))
    assert (await remote.read(records[0]["id"]))[0] == 502
    with pytest.raises(aiohttp.ClientPayloadError):
        await remote.read(records[1]["id"])
    verified = await admin(
        settings, monkeypatch, "verify", "--deep", S3_BUCKET=s3_way.server.bucket, S3_ENDPOINT_URL=s3_way.url
    )
    assert verified.exit_code == 1
    assert verified.output.count("other bytes than were stored") == 2


async def test_bytes_that_are_missing_or_too_few_are_502_or_cut(user: User, settings: Settings) -> None:
    small, large, gone = [await user.stored(os.urandom(size)) for size in (1000, 3 * MIB, 10)]
    for record, size in ((small, 900), (large, 2 * MIB)):
        [path] = (settings.data_dir / "blobs" / user.id / "notes").glob(f"{record['id']}.*")
        os.truncate(path, size)
    [path] = (settings.data_dir / "blobs" / user.id / "notes").glob(f"{gone['id']}.*")
    path.unlink()
    assert (await user.read(small["id"]))[0] == 502
    for wanted in ({}, {"Range": f"bytes={MIB}-{3 * MIB - 2}"}):  # what is left of it is good, and goes out
        with pytest.raises(aiohttp.ClientPayloadError):
            await user.read(large["id"], **wanted)
    assert (await user.read(large["id"], Range=f"bytes={2 * MIB}-{3 * MIB - 2}"))[0] == 502
    assert (await user.read(gone["id"], Range="bytes=0-1"))[0] == 502
    assert (await user.read(gone["id"]))[0] == 502


async def admin(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str, **environ: str) -> Result:
    """``adiuva admin`` beside the server; in a thread, since it has a loop of its own."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return await asyncio.to_thread(CliRunner().invoke, main, ["admin", *arguments])


async def test_verify_finds_what_is_wrong_and_reconcile_puts_right_what_can_be(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, short, gone, altered = [await user.stored(b"%d" % n * 1000) for n in range(4)]
    assert (await admin(settings, monkeypatch, "verify", "--deep")).output == "4 rows, 4000 bytes: 0 faults\n"
    folder = settings.data_dir / "blobs" / user.id / "notes"
    paths = {record["id"]: next(folder.glob(f"{record['id']}.*")) for record in (whole, short, gone, altered)}
    os.truncate(paths[short["id"]], 10)
    paths[gone["id"]].unlink()
    paths[altered["id"]].write_bytes(b"?" * 1000)
    (folder / "stray.1").write_bytes(b"stray")

    quick = await admin(settings, monkeypatch, "verify")
    assert quick.exit_code == 1
    found = dict(line.rsplit("/", 1)[1].split(": ", 1) for line in quick.output.splitlines()[:3])
    assert found == {
        paths[short["id"]].name: "10 bytes instead of 1000",
        paths[gone["id"]].name: "no bytes",
        "stray.1": "bytes without a row",
    }
    deep = await admin(settings, monkeypatch, "verify", "--deep")
    assert f"{paths[altered['id']].name}: other bytes than were stored" in deep.output

    reconciled = await admin(settings, monkeypatch, "reconcile")
    assert reconciled.exit_code == 0
    assert "bytes without a row:     1\n" in reconciled.output
    assert not (folder / "stray.1").exists()
    assert await user.read(whole["id"]) == (200, b"0" * 1000)


async def test_reconcile_counts_anew_what_was_miscounted(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.stored(bytes(1000))
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE storage_usage SET used_bytes = 7, reserved_bytes = 9")
    assert "counters put right:      1\n" in (await admin(settings, monkeypatch, "reconcile")).output
    logged = await connection.fetchval(
        "SELECT details ->> 'repaired' FROM audit_log WHERE action = 'storage.reconcile'"
    )
    await connection.close()
    assert logged == "1"
    assert await user.used() == 1000
    assert (await state(user.client))["reserved"] == 0


async def test_a_full_disk_is_503_and_nothing_is_left(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await user.stored(b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("adiuva.blobs.disk.os.fsync", full)
        await refused(user, bytes(1000))
        assert (await user.send("PUT", f"/storage/records/{record['id']}", b"after"))[0] == 503
    assert incoming(settings) == []
    assert await user.read(record["id"]) == (200, b"before")
    assert await user.used() == len(b"before")
    await assert_agreement(user.client)


async def replaces_under_reads(user: User, replaces: int, reads: int, size: int) -> None:
    record = await user.stored(b"0" * size)
    path, versions = f"/storage/records/{record['id']}", {sha256(b"0" * size)}

    async def replace() -> None:
        for number in range(replaces):
            body = b"%d" % (number % 10) * (size + number)
            versions.add(sha256(body))
            assert (await user.send("PUT", path, body))[0] == 200

    async def read() -> None:
        async with await user.call("GET", path) as answer:
            body = await answer.read()
            assert answer.status == 200
            assert sha256(body) == answer.headers["X-Checksum"] in versions

    async def reader(number: int) -> None:
        for _ in range(number):
            await read()

    await asyncio.gather(replace(), *(reader(reads // 10) for _ in range(10)))
    await assert_agreement(user.client)


@pytest.mark.parametrize("size", [1000, 2 * MIB])
async def test_every_read_during_replaces_is_one_whole_version(user: User, size: int) -> None:
    await replaces_under_reads(user, replaces=10, reads=50, size=size)


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("heavy")
async def test_100_replaces_under_1000_reads_are_read_as_whole_versions(either: User) -> None:
    """ST3, in files and in S3."""
    await replaces_under_reads(either, replaces=100, reads=1000, size=100_000)


@pytest.mark.parametrize("table", ["n" * 1_000_000, "n" * MIB])
async def test_a_table_of_a_megabyte_is_refused_as_any_other(user: User, table: str) -> None:
    """ST9."""
    status, problem = await user.create(b"x", table)
    assert (status, problem["errors"][0]["field"]) == (422, "table")


async def test_a_client_that_goes_away_in_mid_download_disturbs_nobody(user: User) -> None:
    record = await user.stored(os.urandom(8 * MIB))
    answer = await user.call("GET", f"/storage/records/{record['id']}")
    await answer.content.read(1000)
    answer.close()
    assert (await user.read(record["id"], Range="bytes=0-9"))[0] == 206


async def test_a_body_that_is_nonsense_in_its_encoding_is_400(user: User) -> None:
    assert user.client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", user.client.port)
    writer.write(
        f"POST /api/v1/storage/records?table=notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n"
        f"Content-Type: application/octet-stream\r\nX-Checksum: {'0' * 64}\r\nTransfer-Encoding: chunked\r\n\r\n"
        "zz\r\nnonsense\r\n".encode()
    )
    assert b" 400 " in await reader.readline()
    writer.close()
    await assert_agreement(user.client)


async def test_blobs_are_under_keys_that_no_client_chooses(user: User) -> None:
    record = await user.stored(b"x")
    [key] = await keys(user.client)
    owner, table, name = key.split("/")
    assert (owner, table, name.split(".")[0]) == (user.id, "notes", record["id"])
    stored: AsyncIterator[Any] = user.client.app[BLOBS].list(f"{user.id}/")
    assert [info.size async for info in stored] == [1]
