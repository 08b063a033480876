"""Sync between devices: no change is missed, and every device hears that there is one."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from adiuva.auth.socket_watch import SOCKETS
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.storage.changes import feed as feed_module
from adiuva.storage.changes import queries
from tests.storage.conftest import API, Client, Start, User, register, sha256, until


async def changes(user: User, cursor: str = "", limit: int = 200) -> dict[str, Any]:
    status, page = await user.get(f"/storage/changes?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
    assert status == 200, page
    return page  # type: ignore[no-any-return]


async def test_changes_come_in_their_order_each_record_once_with_what_became_of_it(user: User) -> None:
    first, second, third = [await user.stored(bytes([n])) for n in range(3)]
    page = await changes(user)
    assert [item["id"] for item in page["items"]] == [first["id"], second["id"], third["id"]]
    assert page["has_more"] is False
    assert page["items"][0] == {**first, "deleted": False}

    await user.send("PUT", f"/storage/records/{first['id']}", b"new")
    await user.call("DELETE", f"/storage/records/{second['id']}")
    later = await changes(user, page["cursor"])
    assert [(item["id"], item["deleted"], item["checksum"]) for item in later["items"]] == [
        (first["id"], False, sha256(b"new")),
        (second["id"], True, None),
    ]
    assert later["items"][1]["table"] == "notes"
    whole = await changes(user)
    assert [item["id"] for item in whole["items"]] == [third["id"], first["id"], second["id"]]
    assert (await changes(user, later["cursor"])) == {"items": [], "cursor": later["cursor"], "has_more": False}


async def test_a_record_that_comes_back_is_no_longer_deleted(user: User) -> None:
    record = await user.stored(b"1")
    await user.call("DELETE", f"/storage/records/{record['id']}")
    await user.stored(b"2", "notes", record["id"])
    assert [(item["id"], item["deleted"]) for item in (await changes(user))["items"]] == [(record["id"], False)]


async def test_pages_follow_one_another(user: User) -> None:
    made = [(await user.stored(bytes([n])))["id"] for n in range(5)]
    await user.call("DELETE", f"/storage/records/{made[0]}")
    seen, cursor, more = [], "", True
    while more:
        page = await changes(user, cursor, limit=2)
        seen += [item["id"] for item in page["items"]]
        cursor, more = page["cursor"], page["has_more"]
    assert seen == [*made[1:], made[0]]


@pytest.mark.parametrize("cursor", ["-1", "x", "1.5", "9" * 19, "%00"])
async def test_a_cursor_that_is_none_is_refused(user: User, cursor: str) -> None:
    status, problem = await user.get(f"/storage/changes?cursor={cursor}")
    assert (status, problem["errors"][0]["field"]) == (422, "cursor")


async def test_nobody_sees_somebody_elses_changes(client: Client, user: User) -> None:
    grace = await register(client, "grace@example.com")
    await user.stored(b"x")
    assert (await changes(grace))["items"] == []


async def test_transactions_that_would_commit_out_of_order_take_turns(user: User, database: Database) -> None:
    """A number is given out under a lock that is held until the commit: what is below a number seen is seen, too."""
    user_id = UUID(user.id)
    await user.stored(b"the row of usage exists")

    async def store(conn: "asyncpg.Connection[Any] | Any", name: str) -> None:
        await conn.execute(
            """
            WITH usage AS (
                UPDATE storage_usage SET last_change = last_change + 1
                WHERE user_id = $1 AND kind = 'records' RETURNING last_change
            )
            INSERT INTO storage_records (user_id, id, table_name, blob_key, checksum, size_bytes, change)
            SELECT $1, $2, 'notes', $3, repeat('0', 64), 0, last_change FROM usage
            """,
            user_id,
            uuid4(),
            name,
        )

    async def seen() -> int:
        async with database.acquire() as conn:
            found, _ = await queries.list_changes(conn, user_id, after=0, limit=100)
        return len(found)

    async with database.acquire() as first, database.acquire() as second:
        slow = first.transaction()
        await slow.start()
        await store(first, "slow")
        fast = asyncio.create_task(store(second, "fast"))

        async def waits() -> bool:
            async with database.acquire() as conn:
                return bool(await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits)
        assert await seen() == 1
        assert not fast.done(), "the later number would be visible before the earlier one"
        await slow.commit()
        await fast
        assert await seen() == 3


async def follow(user: User, done: asyncio.Event) -> list[tuple[str, str]]:
    """What a device sees that asks again and again; each version of each record."""
    seen, cursor = [], ""
    while True:
        last_turn = done.is_set()
        page = await changes(user, cursor, limit=37)
        seen += [(item["id"], item["checksum"] or "") for item in page["items"]]
        cursor = page["cursor"]
        if last_turn and not page["has_more"]:
            return seen


async def follow_writers(user: User, writers: int, writes: int) -> None:
    done = asyncio.Event()

    async def write(writer: int) -> list[tuple[str, str]]:
        made = []
        for number in range(writes):
            body = f"{writer} {number}".encode()
            record = await user.stored(body)
            made.append((record["id"], sha256(body)))
        return made

    reader = asyncio.create_task(follow(user, done))
    written = [version for made in await asyncio.gather(*map(write, range(writers))) for version in made]
    done.set()
    seen = await reader
    assert len(seen) == len(set(seen)), "seen twice"
    assert set(seen) == set(written)


async def test_a_device_that_follows_writers_misses_nothing(user: User) -> None:
    await follow_writers(user, writers=5, writes=8)


@pytest.mark.proof
async def test_a_device_that_follows_20_writers_of_100_records_misses_nothing_and_sees_nothing_twice(
    user: User,
) -> None:
    """ST5."""
    await follow_writers(user, writers=20, writes=100)


async def stream(user: User) -> aiohttp.ClientWebSocketResponse:
    socket = await user.client.ws_connect(
        f"{API}/storage/stream", headers={"Authorization": f"Bearer {user.token}"}, timeout=aiohttp.ClientWSTimeout(1)
    )
    assert await socket.receive_json(timeout=5) == {"type": "ready"}
    return socket


async def test_all_devices_of_a_user_hear_of_a_change_at_whichever_node(start: Start, user: User) -> None:
    other = await register(user.client, "grace@example.com")
    elsewhere = User(await start(), user.id, user.token)
    here, there, others = await stream(user), await stream(elsewhere), await stream(other)
    record = await user.stored(b"1")
    cursor = (await changes(user))["cursor"]
    for socket in (here, there):
        assert await socket.receive_json(timeout=5) == {"type": "changed", "cursor": cursor}
    await elsewhere.call("DELETE", f"/storage/records/{record['id']}")
    assert (await here.receive_json(timeout=5))["type"] == "changed"
    with pytest.raises(TimeoutError):
        await others.receive(timeout=0.2)


async def test_a_user_whose_node_lost_the_database_is_told_to_look(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_SECONDS", 0.05)
    socket = await stream(user)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query ILIKE 'LISTEN%' AND datname = current_database()"
    )
    await connection.close()
    assert await socket.receive_json(timeout=10) == {"type": "changed"}
    await user.stored(b"1")
    assert (await socket.receive_json(timeout=5))["cursor"] == (await changes(user))["cursor"]


async def test_the_stream_needs_a_login_and_ends_with_it(user: User) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await user.client.ws_connect(f"{API}/storage/stream")
    assert refused.value.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as foreign:
        await user.client.ws_connect(f"{API}/storage/stream", headers={"Origin": "https://evil.example"})
    assert foreign.value.status == 403
    async with await user.call("POST", "/auth/ticket") as answer:
        ticket = (await answer.json())["ticket"]
    socket = await user.client.ws_connect(f"{API}/storage/stream?ticket={ticket}")
    assert await socket.receive_json(timeout=5) == {"type": "ready"}
    _, sessions = await user.get("/auth/sessions")
    await user.call("DELETE", f"/auth/sessions/{sessions['items'][0]['id']}")
    await user.client.app[SOCKETS].tick()
    await socket.receive(timeout=5)
    assert socket.close_code == 4401


async def test_however_much_changes_one_frame_waits_for_a_device_that_does_not_read(user: User) -> None:
    socket = await stream(user)
    await asyncio.gather(*(user.stored(b"%d" % n) for n in range(50)))
    cursor, frames = (await changes(user))["cursor"], 0
    async with asyncio.timeout(5):
        while (await socket.receive_json())["cursor"] != cursor:
            frames += 1
    assert frames < 50
