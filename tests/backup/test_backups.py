"""Backups as a client sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.storage.conftest import Client, Start, User, assert_agreement, register, sha256

BODY = b"\x00backup\xff" * 100
NOON = "2026-03-01T12:00:00Z"


async def store(user: User, body: bytes = BODY, timestamp: str = NOON, version: str = "1", **headers: Any) -> Any:
    own = {"X_Backup_Version": version, "X_Backup_Timestamp": timestamp, "X_Backup_Checksum": sha256(body), **headers}
    return await user.send("PUT", "/backup", body, **own)


async def test_a_backup_comes_back_with_what_was_said_of_it(user: User) -> None:
    status, backup = await store(user)
    assert status == 201
    assert set(backup) == {"id", "version", "timestamp", "checksum", "size_bytes", "created_at"}
    assert (backup["version"], backup["timestamp"]) == ("1", NOON)
    assert (backup["checksum"], backup["size_bytes"]) == (sha256(BODY), len(BODY))
    for path in ("/backup", f"/backup/{backup['id']}"):
        async with await user.call("GET", path) as answer:
            assert (answer.status, await answer.read()) == (200, BODY)
            assert answer.headers["X-Backup-Version"] == "1"
            assert answer.headers["X-Backup-Timestamp"] == NOON
            assert answer.headers["X-Backup-Checksum"] == sha256(BODY)
            assert answer.headers["ETag"] == f'"{sha256(BODY)}"'
            assert answer.headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        since = {"If-Modified-Since": "Sun, 01 Mar 2026 12:00:00 GMT"}
        assert (await user.call("GET", path, headers=since)).status == 304
        async with await user.call("GET", path, headers={"Range": "bytes=1-3"}) as answer:
            assert (answer.status, await answer.read()) == (206, BODY[1:4])
    assert (await user.used("backups"), await user.used("records")) == (len(BODY), 0)
    await assert_agreement(user.client)


async def test_the_newest_is_the_one_taken_last_in_whatever_order_they_come(user: User) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for hours in (1, 3, 2):
        await store(user, b"%d" % hours, (noon + timedelta(hours=hours)).isoformat(), str(hours))
    async with await user.call("GET", "/backup") as answer:
        assert await answer.read() == b"3"
    _, page = await user.get("/backup/history?limit=2")
    assert (page["total"], [item["version"] for item in page["items"]]) == (3, ["3", "2"])
    newest = page["items"][0]
    assert (await user.call("DELETE", f"/backup/{newest['id']}")).status == 204
    assert (await user.call("DELETE", f"/backup/{newest['id']}")).status == 404
    async with await user.call("GET", "/backup") as answer:
        assert await answer.read() == b"2"
    await assert_agreement(user.client)


async def test_without_a_backup_there_is_none(user: User) -> None:
    for path in ("/backup", f"/backup/{uuid4()}", "/backup/42"):
        assert (await user.get(path))[0] == 404
    assert (await user.get("/backup/history"))[1]["total"] == 0


async def test_somebody_elses_backup_is_none(client: Client, user: User) -> None:
    grace = await register(client, "grace@example.com")
    _, backup = await store(user)
    path = f"/backup/{backup['id']}"
    assert (await grace.get(path))[0] == 404
    assert (await grace.call("DELETE", path)).status == 404
    assert (await grace.get("/backup"))[0] == 404
    assert (await user.call("GET", path)).status == 200


@pytest.mark.parametrize(
    "header, value",
    [
        ("X-Backup-Version", ""),
        ("X-Backup-Version", "v" * 65),
        ("X-Backup-Version", "a\tb"),
        ("X-Backup-Timestamp", ""),
        ("X-Backup-Timestamp", "yesterday"),
        ("X-Backup-Timestamp", "2026-02-30T00:00:00Z"),
        ("X-Backup-Timestamp", "0001-01-01T00:00:00+14:00"),
        ("X-Backup-Checksum", ""),
        ("X-Backup-Checksum", "f" * 63),
    ],
)
async def test_a_header_that_is_wrong_is_refused_by_its_name(user: User, header: str, value: str) -> None:
    status, problem = await store(user, BODY, **{header.replace("-", "_"): value})
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [header])
    assert (await user.get("/backup"))[0] == 404


async def test_a_wrong_checksum_is_refused_and_nothing_is_kept(user: User) -> None:
    status, problem = await store(user, X_Backup_Checksum=sha256(b"other"))
    assert (status, problem["code"]) == (400, "checksum_mismatch")
    assert await user.used("backups") == 0
    await assert_agreement(user.client)


async def test_backups_have_their_own_quota_and_limit(start: Start) -> None:
    free = await register(await start(default_tier="free"))
    assert (await store(free))[0] == 402
    small = await register(await start(max_blob_bytes=10), "small@example.com")
    assert (await store(small))[0] == 413


async def test_of_the_same_time_the_later_stored_is_newer(user: User) -> None:
    await asyncio.gather(*(store(user, bytes([n])) for n in range(5)))
    _, page = await user.get("/backup/history")
    made = [item["created_at"] for item in page["items"]]
    assert made == sorted(made, reverse=True)
    async with await user.call("GET", "/backup") as answer:
        assert sha256(await answer.read()) == page["items"][0]["checksum"]
