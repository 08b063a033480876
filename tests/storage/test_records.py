"""Records as a client sees them."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from uuid import uuid4

import pytest

from adiuva.web import disconnect
from tests.storage.conftest import Client, Start, User, assert_agreement, register, sha256

BODY = b"\x00ciphertext\xff" * 100


async def test_what_is_stored_comes_back_as_it_was(user: User) -> None:
    status, record = await user.create(BODY, "notes")
    assert status == 201
    assert set(record) == {"id", "table", "checksum", "size_bytes", "created_at", "updated_at"}
    assert (record["table"], record["checksum"], record["size_bytes"]) == ("notes", sha256(BODY), len(BODY))
    assert record["created_at"] == record["updated_at"]
    assert record["created_at"].endswith("Z")
    async with await user.call("GET", f"/storage/records/{record['id']}") as answer:
        assert (answer.status, await answer.read()) == (200, BODY)
        assert answer.headers["X-Checksum"] == sha256(BODY)
        assert answer.headers["ETag"] == f'"{sha256(BODY)}"'
        assert answer.headers["Content-Length"] == str(len(BODY))
        assert answer.headers["Content-Type"] == "application/octet-stream"
        modified = datetime.fromisoformat(record["updated_at"])
        assert answer.headers["Last-Modified"] == modified.strftime("%a, %d %b %Y %H:%M:%S GMT")
    await assert_agreement(user.client)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 2**20, 2**20 + 1, 5 * 2**20 + 3])
async def test_bodies_of_all_sizes_come_back_with_and_without_a_length(user: User, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield body[start : start + 100_000]

    known = await user.stored(body)
    status, unknown = await user.send("POST", "/storage/records?table=notes", chunks(), checksum=sha256(body))
    assert status == 201
    for record in (known, unknown):
        assert record["size_bytes"] == size
        assert await user.read(record["id"]) == (200, body)
    assert await user.used() == 2 * size
    await assert_agreement(user.client)


async def test_a_wrong_checksum_is_refused_and_nothing_is_kept(user: User) -> None:
    for body in (BODY, b"x" * 3 * 2**20):
        status, problem = await user.create(body[:-1] + b"?", X_Checksum=sha256(body))
        assert (status, problem["code"]) == (400, "checksum_mismatch")
    assert await user.used() == 0
    await assert_agreement(user.client)


@pytest.mark.parametrize(
    "table",
    [
        "",
        "Notes",
        "1notes",
        "no-tes",
        "a" * 64,
        "../x",
        "%2e%2e",
        "%2e%2e%2fx",
        "a%00",
        "a%2fb",
        "n%C3%B6tes",
        "a%0A",
        "a b",
    ],
)
async def test_a_table_that_is_none_is_refused(user: User, table: str) -> None:
    status, problem = await user.create(BODY, table)
    assert (status, problem["errors"][0]["field"]) == (422, "table")
    assert (await user.get(f"/storage/records?table={table}"))[0] == 422
    await assert_agreement(user.client)


async def test_what_is_missing_or_wrong_in_the_headers_is_refused(user: User) -> None:
    post = "/storage/records?table=notes"
    assert (await user.send("POST", "/storage/records", BODY))[0] == 422
    for checksum in ("", "abc", sha256(BODY).upper(), sha256(BODY) + "0"):
        status, problem = await user.send("POST", post, BODY, checksum)
        assert (status, problem["errors"][0]["field"]) == (422, "X-Checksum")
    assert (await user.send("POST", post, BODY, Content_Type="application/json"))[0] == 415
    assert (await user.send("POST", post, gzip.compress(BODY), Content_Encoding="gzip"))[0] == 415
    assert (await user.send("POST", f"{post}&id=42", BODY))[0] == 422
    await assert_agreement(user.client)


async def test_over_the_limit_is_cut_at_the_first_byte_whether_it_was_announced_or_not(start: Start) -> None:
    user = await register(await start(max_blob_bytes=1000))
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * 2**20:
            sent += 500
            yield b"x" * 500
            await asyncio.sleep(0)

    assert (await user.create(b"x" * 1000))[0] == 201
    assert (await user.create(b"x" * 1001))[0] == 413
    status, problem = await user.send("POST", "/storage/records?table=notes", endless(), checksum="0" * 64)
    assert (status, problem["code"]) == (413, "payload_too_large")
    assert sent < 100 * 2**20
    assert await user.used() == 1000
    await assert_agreement(user.client)


async def test_the_same_record_again_is_a_retry_and_another_one_with_its_id_a_conflict(user: User) -> None:
    record_id = str(uuid4())
    status, record = await user.create(BODY, "notes", record_id)
    assert (status, record["id"]) == (201, record_id)
    assert await user.create(BODY, "notes", record_id) == (200, record)
    assert (await user.create(BODY + b"!", "notes", record_id))[0] == 409
    assert (await user.create(BODY, "tasks", record_id))[0] == 409
    assert (await user.create(BODY + b"!", "notes", record_id, X_Checksum=sha256(BODY)))[0] == 400
    assert await user.used() == len(BODY)
    await assert_agreement(user.client)


async def test_of_parallel_creations_with_one_id_one_wins_and_the_same_bytes_are_retries(user: User) -> None:
    record_id = str(uuid4())
    answers = await asyncio.gather(*(user.create(BODY, "notes", record_id) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({str(record) for _, record in answers}) == 1
    other = str(uuid4())
    answers = await asyncio.gather(*(user.create(BODY + bytes([n]), "notes", other) for n in range(20)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 19
    await assert_agreement(user.client)


async def test_ids_belong_to_their_user(client: Client, user: User) -> None:
    grace = await register(client, "grace@example.com")
    record = await user.stored(BODY)
    path = f"/storage/records/{record['id']}"
    assert (await grace.get(path))[0] == 404
    assert (await grace.send("PUT", path, BODY))[0] == 404
    assert (await grace.call("DELETE", path)).status == 404
    assert (await grace.get("/storage/records"))[1]["total"] == 0
    status, own = await grace.create(b"mine", "notes", record["id"])
    assert (status, own["id"]) == (201, record["id"])
    assert await grace.read(record["id"]) == (200, b"mine")
    assert await user.read(record["id"]) == (200, BODY)
    await assert_agreement(client)


async def test_ids_that_are_none_are_not_found(user: User) -> None:
    for record_id in ("42", str(uuid4()), "..%2f..", "%00", "{" + str(uuid4()) + "}"):
        path = f"/storage/records/{record_id}"
        assert (await user.get(path))[0] == 404
        assert (await user.send("PUT", path, BODY))[0] == 404
        assert (await user.call("DELETE", path)).status == 404
    await assert_agreement(user.client)


async def test_lists_are_in_pages_newest_first(user: User) -> None:
    made = [(await user.stored(bytes([n]), "notes"))["id"] for n in range(5)]
    other = (await user.stored(b"task", "tasks"))["id"]
    status, page = await user.get("/storage/records?table=notes&page=2&limit=2")
    assert (status, page["page"], page["limit"], page["total"]) == (200, 2, 2, 5)
    assert [item["id"] for item in page["items"]] == made[::-1][2:4]
    assert (await user.get("/storage/records?table=notes&page=9"))[1] == {
        "items": [],
        "page": 9,
        "limit": 50,
        "total": 5,
    }
    assert [item["id"] for item in (await user.get("/storage/records"))[1]["items"]] == [other, *made[::-1]]
    assert (await user.get("/storage/records?limit=201"))[0] == 422


async def test_a_record_is_replaced_and_its_old_bytes_go(user: User) -> None:
    record = await user.stored(BODY)
    path = f"/storage/records/{record['id']}"
    status, replaced = await user.send("PUT", path, b"new")
    assert status == 200
    assert {**record, **replaced} == replaced
    assert (replaced["checksum"], replaced["size_bytes"]) == (sha256(b"new"), 3)
    assert replaced["created_at"] == record["created_at"] < replaced["updated_at"]
    assert await user.read(record["id"]) == (200, b"new")
    assert await user.used() == 3
    await assert_agreement(user.client)


async def test_if_match_lets_through_what_is_still_so(user: User) -> None:
    record = await user.stored(BODY)
    path, etag = f"/storage/records/{record['id']}", f'"{sha256(BODY)}"'
    assert (await user.send("PUT", path, b"2", If_Match='"other"'))[0] == 412
    assert (await user.send("PUT", path, b"2", If_Match=f"W/{etag}"))[0] == 412
    assert (await user.send("PUT", path, b"2", If_Match=f'"other", {etag}'))[0] == 200
    assert (await user.send("PUT", path, b"3", If_Match=etag))[0] == 412
    assert (await user.send("PUT", path, b"4", If_Match="*"))[0] == 200
    assert (await user.call("DELETE", path, headers={"If-Match": etag})).status == 412
    assert (await user.call("DELETE", path, headers={"If-Match": f'"{sha256(b"4")}"'})).status == 204
    assert (await user.send("PUT", path, b"5", If_Match="*"))[0] == 404
    await assert_agreement(user.client)


async def test_of_50_writers_with_one_etag_one_wins(user: User) -> None:
    """ST4."""
    record = await user.stored(BODY)
    path, etag = f"/storage/records/{record['id']}", f'"{sha256(BODY)}"'
    answers = await asyncio.gather(*(user.send("PUT", path, b"%d" % n, If_Match=etag) for n in range(50)))
    assert sorted(status for status, _ in answers) == [200] + [412] * 49
    [winner] = [record for status, record in answers if status == 200]
    assert sha256((await user.read(record["id"]))[1]) == winner["checksum"]
    await assert_agreement(user.client)


async def test_a_deleted_record_is_gone_and_its_id_is_free(user: User) -> None:
    record = await user.stored(BODY)
    path = f"/storage/records/{record['id']}"
    assert (await user.call("DELETE", path)).status == 204
    assert (await user.call("DELETE", path)).status == 404
    assert (await user.get(path))[0] == 404
    assert await user.used() == 0
    await assert_agreement(user.client)
    assert (await user.create(b"again", "notes", record["id"]))[0] == 201
    assert (await user.call("DELETE", path)).status == 204
    await assert_agreement(user.client)


async def test_what_the_client_has_is_not_sent_again(user: User) -> None:
    record = await user.stored(BODY)
    etag = f'"{sha256(BODY)}"'
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        assert await user.read(record["id"], If_None_Match=known) == (304, b"")
    assert (await user.read(record["id"], If_None_Match='"other"'))[0] == 200
    async with await user.call("GET", f"/storage/records/{record['id']}", headers={"If-None-Match": etag}) as answer:
        assert (answer.headers["ETag"], answer.headers["X-Checksum"]) == (etag, sha256(BODY))
        modified = answer.headers["Last-Modified"]
    assert (await user.read(record["id"], If_Modified_Since=modified))[0] == 304
    assert (await user.read(record["id"], If_Modified_Since=modified, If_None_Match='"other"'))[0] == 200
    assert (await user.read(record["id"], If_Match='"other"'))[0] == 412


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_ranges_give_their_part(user: User, size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    record = await user.stored(body)
    for header, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=900-", 900, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{10 * size}", 0, size),
        (f"bytes=0-{10 * size}", 0, size),
        ("bytes=500-99999999999999999", 500, size),
    ):
        async with await user.call("GET", f"/storage/records/{record['id']}", headers={"Range": header}) as answer:
            assert (answer.status, await answer.read()) == (206, body[start:end]), header
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
            assert answer.headers["Content-Length"] == str(end - start)


async def test_a_download_that_nobody_reads_is_broken_off(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "STALLED_SECONDS", 0.5)
    record = await user.stored(b"x" * 24 * 2**20)
    url = user.client.make_url(f"/api/v1/storage/records/{record['id']}")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (str(url.host), url.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(f"GET {url.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n\r\n".encode())
    await asyncio.sleep(2)
    read = 0
    with suppress(ConnectionResetError):
        while piece := await reader.read(2**20):
            read += len(piece)
    assert read < 24 * 2**20
    writer.close()


async def test_ranges_that_cannot_be_are_refused_and_what_is_no_range_is_passed_over(user: User) -> None:
    record = await user.stored(BODY)
    size = len(BODY)
    for header in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        async with await user.call("GET", f"/storage/records/{record['id']}", headers={"Range": header}) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}"), header
    for header in ("bytes=5-2", "bytes=a-b", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes 0-1"):
        assert await user.read(record["id"], Range=header) == (200, BODY), header
    empty = await user.stored(b"")
    assert (await user.read(empty["id"], Range="bytes=0-"))[0] == 416


async def test_a_range_of_what_has_changed_since_is_the_whole(user: User) -> None:
    record = await user.stored(BODY)
    etag = f'"{sha256(BODY)}"'
    assert await user.read(record["id"], Range="bytes=0-4", If_Range=etag) == (206, BODY[:5])
    assert await user.read(record["id"], Range="bytes=0-4", If_Range='"other"') == (200, BODY)
    assert await user.read(record["id"], Range="bytes=0-4", If_Range=f"W/{etag}") == (200, BODY)
    assert await user.read(record["id"], Range="bytes=0-4", If_Range="Thu, 01 Jan 1970 00:00:00 GMT") == (200, BODY)


async def test_usage_tells_both_shares(start: Start, user: User) -> None:
    gib = 2**30
    await user.stored(BODY)
    assert (await user.get("/storage/usage"))[1] == {
        "records": {"used_bytes": len(BODY), "quota_bytes": 5 * gib},
        "backups": {"used_bytes": 0, "quota_bytes": 5 * gib},
    }
    team = await register(await start(default_tier="team"), "team@example.com")
    assert (await team.get("/storage/usage"))[1]["records"] == {"used_bytes": 0, "quota_bytes": None}


async def test_free_has_no_storage(start: Start) -> None:
    user = await register(await start(default_tier="free"))
    for body in (b"x", b""):
        status, problem = await user.create(body)
        assert (status, problem["code"]) == (402, "quota_exceeded")
    assert (await user.get("/storage/usage"))[1]["records"] == {"used_bytes": 0, "quota_bytes": 0}
