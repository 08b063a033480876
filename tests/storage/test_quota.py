"""No byte over the quota, whoever comes at once, goes away or lies."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import attrs
import orjson
import pytest

from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.tiers import TIERS
from adiuva.web.keys import DATABASE
from tests.storage.conftest import (
    API,
    Client,
    Start,
    User,
    assert_agreement,
    incoming,
    keys,
    register,
    sha256,
    state,
    until,
)

MIB = 2**20


@contextmanager
def quota_of(pro_bytes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let pro hold so many bytes of records: the real share would take minutes to fill."""
    smaller = {**TIERS, "pro": attrs.evolve(TIERS["pro"], storage_bytes=pro_bytes)}
    with monkeypatch.context() as patch:
        patch.setattr("adiuva.storage.service.TIERS", smaller)
        yield


async def uploads_at_once(user: User, number: int, size: int, *, with_length: bool = True) -> list[int]:
    body = b"x" * size

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield body[start : start + 100_000]

    async def upload() -> int:
        sent = body if with_length else chunks()
        status, _ = await user.send("POST", "/storage/records?table=notes", sent, checksum=sha256(body))
        return int(status)

    return sorted(await asyncio.gather(*(upload() for _ in range(number))))


@pytest.mark.parametrize("with_length", [True, False])
async def test_40_uploads_at_once_at_the_edge_store_no_byte_too_many(
    user: User, monkeypatch: pytest.MonkeyPatch, with_length: bool
) -> None:
    with quota_of(10 * 200_000 + 199_999, monkeypatch):
        statuses = await uploads_at_once(user, 40, 200_000, with_length=with_length)
        assert set(statuses) == {201, 402}
        assert statuses.count(201) <= 10
        if with_length:  # what is of unknown length may hold each other up
            assert statuses.count(201) == 10
        assert await user.used() <= 10 * 200_000
        await assert_agreement(user.client)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("heavy")
async def test_200_uploads_of_1_mib_with_room_for_10_store_10(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """QU1."""
    with quota_of(10 * MIB, monkeypatch):
        for _ in range(20):
            assert await uploads_at_once(user, 200, MIB) == [201] * 10 + [402] * 190
            assert await user.used() == 10 * MIB
            await assert_agreement(user.client)
            _, page = await user.get("/storage/records")
            for item in page["items"]:
                assert (await user.call("DELETE", f"/storage/records/{item['id']}")).status == 204
            assert await user.used() == 0


async def test_a_body_of_unknown_length_fills_the_quota_to_the_last_byte_and_not_further(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quota_of(3_000_000, monkeypatch):
        assert await uploads_at_once(user, 1, 3_000_001, with_length=False) == [402]
        assert await uploads_at_once(user, 1, 3_000_000, with_length=False) == [201]
        assert await uploads_at_once(user, 1, 1) == [402]
        assert await user.used() == 3_000_000
        await assert_agreement(user.client)


async def raw_upload(
    user: User, head: dict[str, str], body: bytes, query: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    assert user.client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", user.client.port)
    headers = {
        "Host": "here",
        "Authorization": f"Bearer {user.token}",
        "Content-Type": "application/octet-stream",
        **head,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST {API}/storage/records?table=notes{query} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return reader, writer


@pytest.mark.parametrize("told", ["of all", "of what was announced"])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_more_bytes_than_announced_are_413_and_nothing_is_kept(
    user: User, told: str, at_once: bool, known: bool
) -> None:
    """QU3: 1 MiB announced, 10 MiB sent; whichever of them the checksum tells of, and also for a retry."""
    body = random.Random(1).randbytes(10 * MIB)
    record_id = str(uuid4())
    if known:
        await user.stored(body[:MIB], "notes", record_id)
    head = {"Content-Length": str(MIB), "X-Checksum": sha256(body if told == "of all" else body[:MIB])}
    first, rest = (body, b"") if at_once else (body[:MIB], body[MIB:])
    reader, writer = await raw_upload(user, head, first, f"&id={record_id}" if known else "")
    if rest:
        await writer.drain()
        writer.write(rest)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    await writer.drain()  # the whole of it is taken from the client, so that it can read its answer
    writer.close()
    assert await user.used() == (MIB if known else 0)
    await assert_agreement(user.client)


async def test_the_next_request_on_a_connection_is_no_surplus(user: User) -> None:
    head = {"Content-Length": "5", "X-Checksum": sha256(b"12345")}
    reader, writer = await raw_upload(user, head, b"12345" + f"GET {API}/health HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
    assert b"HTTP/1.1 200 " in await reader.readuntil(b"200 ")
    writer.close()


async def test_fewer_bytes_than_announced_leave_nothing(user: User, settings: Settings) -> None:
    body = bytes(MIB)
    head = {"Content-Length": str(10 * MIB), "X-Checksum": sha256(body)}
    _, writer = await raw_upload(user, head, body)
    await writer.drain()

    async def reserved() -> bool:
        return bool((await state(user.client))["reserved"] == 10 * MIB)

    await until(reserved)
    assert await user.used() == 0, "what is under way is not used yet"
    writer.transport.abort()
    await assert_agreement(user.client)
    assert incoming(settings) == []


@pytest.mark.parametrize("framing", ["both", "negative", "two"])
async def test_a_length_that_cannot_be_is_refused(user: User, framing: str) -> None:
    lengths = {
        "both": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "negative": "Content-Length: -5\r\n",
        "two": "Content-Length: 5\r\nContent-Length: 6\r\n",
    }[framing]
    head = {"X-Checksum": sha256(b"12345"), "X-Last": "1\r\n" + lengths.strip()}
    reader, writer = await raw_upload(user, head, b"5\r\n12345\r\n0\r\n\r\n")
    assert (await reader.readline()).startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    writer.close()
    await assert_agreement(user.client)


async def test_shrinking_and_deleting_work_over_the_quota_and_growing_does_not(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QU6."""
    records = [await user.stored(bytes(1000)) for _ in range(3)]
    path = f"/storage/records/{records[0]['id']}"
    with quota_of(1500, monkeypatch):
        for size, expected in ((1001, 402), (1000, 200), (900, 200), (901, 402), (0, 200)):
            status, answer = await user.send("PUT", path, bytes(size))
            assert status == expected, (size, answer)
        assert (await user.create(b"x"))[0] == 402
        assert (await user.call("DELETE", f"/storage/records/{records[1]['id']}")).status == 204
        assert (await user.send("PUT", path, bytes(501)))[0] == 402
        assert (await user.send("PUT", path, bytes(500)))[0] == 200
        assert await user.used() == 1500
    await assert_agreement(user.client)


async def test_parallel_changes_that_shrink_and_grow_never_pass_the_quota(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def delete(record_id: str) -> tuple[int, None]:
        return (await user.call("DELETE", f"/storage/records/{record_id}")).status, None

    with quota_of(10_000, monkeypatch):
        ids = [(await user.stored(bytes(1000)))["id"] for _ in range(5)]
        for _ in range(8):
            changes = [
                user.send("PUT", f"/storage/records/{record_id}", bytes(size))
                for record_id in ids
                for size in (0, 3000, 1000, 4000)
            ]
            answers = await asyncio.gather(*changes, delete(ids[0]), user.create(bytes(900), "notes", ids[0]))
            assert {status for status, _ in answers} <= {200, 201, 204, 402, 404, 409}
            assert await user.used() <= 10_000
            await assert_agreement(user.client)


@pytest.mark.parametrize(
    "fault", ["ALTER TABLE storage_usage RENAME TO elsewhere", "ALTER TABLE storage_usage RENAME used_bytes TO other"]
)
async def test_when_the_quota_cannot_be_known_nothing_is_said_of_it_and_nothing_stored(user: User, fault: str) -> None:
    """QU8."""
    await user.stored(b"x")
    before = await keys(user.client)
    database: Database = user.client.app[DATABASE]
    async with database.acquire() as conn:
        await conn.execute(fault)
    for status, problem in (await user.get("/storage/usage"), await user.create(b"y")):
        assert (status, problem["code"]) == (503, "unavailable")
    assert await keys(user.client) == before


async def test_a_client_that_is_killed_in_mid_upload_gives_its_room_back(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QU4: within 5 s, of whichever kind the body is."""
    with quota_of(2 * MIB, monkeypatch):
        await user.stored(bytes(1000))
        for head, body in (
            ({"Content-Length": str(MIB)}, bytes(MIB // 2)),
            ({"Transfer-Encoding": "chunked"}, b"80000\r\n" + bytes(MIB // 2)),
        ):
            _, writer = await raw_upload(user, {**head, "X-Checksum": "0" * 64}, body)
            await writer.drain()

            async def reserved() -> bool:
                return bool((await state(user.client))["reserved"])

            await until(reserved)
            writer.transport.abort()
            async with asyncio.timeout(5):
                await assert_agreement(user.client)
            assert await user.used() == 1000
        assert (await user.create(bytes(2 * MIB - 1000)))[0] == 201


async def test_a_client_that_does_not_go_on_is_not_waited_for(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adiuva.storage.requests.IDLE_SECONDS", 0.1)
    record_id = str(uuid4())
    await user.stored(b"12345", "notes", record_id)
    for query in ("", f"&id={record_id}"):
        head = {"Content-Length": "5", "X-Checksum": sha256(b"12345")}
        reader, writer = await raw_upload(user, head, b"123", query)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
    await assert_agreement(user.client)


async def test_a_lease_is_kept_as_long_as_the_upload_runs(start: Start) -> None:
    user = await register(await start(upload_lease_seconds=1))
    go_on = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await go_on.wait()
        yield b"last"

    upload = asyncio.create_task(
        user.send("POST", "/storage/records?table=notes", chunks(), checksum=sha256(b"firstlast"))
    )

    async def outlived() -> bool:
        database: Database = user.client.app[DATABASE]
        async with database.acquire() as conn:
            return bool(
                await conn.fetchval(
                    "SELECT count(*) FROM storage_intents, pg_stat_activity"
                    " WHERE pid = pg_backend_pid() AND lease_until > backend_start + interval '3 s'"
                )
            )

    await until(outlived)
    go_on.set()
    assert (await upload)[0] == 201
    await assert_agreement(user.client)


async def test_the_problem_of_a_full_share_says_so(client: Client, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with quota_of(1, monkeypatch):
        async with await user.call(
            "POST",
            "/storage/records?table=notes",
            data=b"xy",
            headers={"Content-Type": "application/octet-stream", "X-Checksum": sha256(b"xy")},
        ) as answer:
            problem: dict[str, Any] = orjson.loads(await answer.read())
            assert answer.content_type == "application/problem+json"
    assert (problem["status"], problem["code"]) == (402, "quota_exceeded")
