"""Records, room and changes that two servers share."""

import asyncio
import hashlib
import os
from collections import Counter
from typing import Any

import pytest

from tests.two_servers.conftest import Pair, both

pytestmark = pytest.mark.proof

MIB = 2**20
PRO_BYTES = 5 * 2**30


async def leave_room(pair: Pair, room: int) -> None:
    """Let it look as if all but so much of pro's room were taken: to fill it would take minutes."""
    statement = "UPDATE storage_usage SET used_bytes = $1 WHERE kind = 'records'"
    assert await pair.conn.execute(statement, PRO_BYTES - room) == "UPDATE 1"


async def test_200_uploads_at_two_servers_with_room_for_10_store_10(pair: Pair) -> None:
    """QU1."""
    ada = await pair.user()
    await pair.tier(ada, "pro")
    _, record = await ada.store(b"")
    await ada.call("DELETE", f"/storage/records/{record['id']}")
    data = os.urandom(MIB)
    for _ in range(3):
        await leave_room(pair, 10 * MIB)
        answers = await both(lambda turn: ada.store(data, at=turn), 200)
        assert Counter(status for status, _ in answers) == {201: 10, 402: 190}
        assert await pair.conn.fetchval("SELECT sum(size_bytes) FROM storage_records") == 10 * MIB
        usage = await pair.conn.fetchrow("SELECT used_bytes, reserved_bytes FROM storage_usage")
        assert usage is not None
        assert tuple(usage) == (PRO_BYTES, 0)
        for status, record in answers:
            if status == 201:
                assert (await ada.call("DELETE", f"/storage/records/{record['id']}"))[0] == 204


async def test_what_a_killed_server_had_reserved_is_given_back_by_the_other(pair: Pair) -> None:
    """QU4."""
    ada = await pair.user()
    await pair.tier(ada, "pro")
    never = asyncio.Event()

    async def body() -> Any:
        yield bytes(MIB)
        await never.wait()

    headers = {"X-Checksum": "0" * 64, "Content-Type": "application/octet-stream", "Content-Length": str(2 * MIB)}
    upload = asyncio.create_task(ada.call("POST", "/storage/records?table=notes", at=0, data=body(), headers=headers))
    reserved = "SELECT coalesce(sum(reserved_bytes), 0) FROM storage_usage"
    async with asyncio.timeout(10):
        while not await pair.conn.fetchval(reserved):
            await asyncio.sleep(0.05)
    pair.servers[0].process.kill()
    async with asyncio.timeout(3 + 5):  # the lease, and what the other server takes to notice
        while await pair.conn.fetchval(reserved) or await pair.conn.fetchval("SELECT count(*) FROM storage_intents"):
            await asyncio.sleep(0.05)
    assert (await ada.call("GET", "/storage/usage", at=1))[1]["records"]["used_bytes"] == 0
    with pytest.raises(Exception):  # noqa: B017, PT011 - however aiohttp says that nobody is there any more
        await upload


async def test_reads_at_both_servers_during_replaces_are_whole_versions(pair: Pair) -> None:
    """ST3."""
    ada = await pair.user()
    await pair.tier(ada, "team")
    versions = [os.urandom(50_000) for _ in range(100)]
    known = {hashlib.sha256(version).hexdigest() for version in versions}
    _, record = await ada.store(versions[0])
    done = asyncio.Event()

    async def replace() -> None:
        for version in versions[1:]:
            assert (await ada.store(version, record["id"]))[0] == 200
        done.set()

    async def read(turn: int) -> int:
        reads = 0
        while not done.is_set() or reads < 125:
            async with pair.session.get(
                ada.url(f"/storage/records/{record['id']}", turn), headers=ada.bearer
            ) as answer:
                data = await answer.read()
                assert answer.status == 200
                assert answer.headers["X-Checksum"] == hashlib.sha256(data).hexdigest()
                assert answer.headers["X-Checksum"] in known
            reads += 1
        return reads

    replacing = asyncio.create_task(replace())
    assert sum(await both(read, 8)) >= 1000
    await replacing


async def test_of_50_writers_with_one_etag_at_two_servers_one_wins(pair: Pair) -> None:
    """ST4."""
    ada = await pair.user()
    await pair.tier(ada, "team")
    _, record = await ada.store(b"first")
    etag = f'"{record["checksum"]}"'

    async def write(turn: int) -> tuple[int, Any]:
        return await ada.store(f"version {turn}".encode(), record["id"], at=turn, **{"If-Match": etag})

    assert Counter(status for status, _ in await both(write, 50)) == {200: 1, 412: 49}


async def test_a_device_that_follows_20_writers_at_two_servers_misses_nothing_and_hears_of_it(pair: Pair) -> None:
    """ST5, and the notice from the other server."""
    ada = await pair.user()
    await pair.tier(ada, "team")
    done, seen = asyncio.Event(), list[tuple[str, str]]()

    async def follow() -> None:
        cursor = "0"
        while True:
            last = done.is_set()
            status, page = await ada.call("GET", f"/storage/changes?limit=37&cursor={cursor}")
            assert status == 200
            seen.extend((item["id"], item["checksum"]) for item in page["items"])
            cursor = page["cursor"]
            if last and not page["has_more"]:
                return

    async def write(turn: int) -> list[tuple[str, str]]:
        made = []
        for number in range(100):
            status, record = await ada.store(f"{turn} {number}".encode(), at=turn)
            assert status == 201
            made.append((record["id"], record["checksum"]))
        return made

    async with pair.session.ws_connect(ada.url("/storage/stream", 1), headers=ada.bearer) as socket:
        assert await socket.receive_json(timeout=5) == {"type": "ready"}
        following = asyncio.create_task(follow())
        await ada.store(b"at the other server", at=0)
        assert (await socket.receive_json(timeout=5))["type"] == "changed"
        written = [version for made in await both(write, 20) for version in made]
        done.set()
        await following
    assert len(seen) == len(set(seen)) == 2001
    assert set(written) < set(seen)
