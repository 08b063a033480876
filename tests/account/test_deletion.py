"""Whoever deletes an account leaves nothing, whatever is away at that moment."""

import asyncio
from base64 import b64encode
from typing import Any
from uuid import UUID

import pytest

from adiuva.account import service
from adiuva.account.places import VectorsPlace
from adiuva.account.service import ACCOUNTS, Accounts
from adiuva.blobs.protocol import BlobStore
from adiuva.database import Connection, Database
from adiuva.errors import BlobStoreUnavailableError, VectorStoreUnavailableError
from adiuva.storage.housekeeping.housekeeper import HOUSEKEEPER
from adiuva.storage.keys import BLOBS
from adiuva.vectors.service import VECTORS
from adiuva.web.keys import DATABASE
from tests.storage.conftest import API, PASSWORD, Client, User, assert_agreement, keys, register, sha256, state, until

BODY = b"ciphertext"


async def store_everything(user: User) -> None:
    await user.stored(BODY)
    gone = await user.stored(BODY + b"!")
    await user.call("DELETE", f"/storage/records/{gone['id']}")
    headers = {"X_Backup_Version": "1", "X_Backup_Timestamp": "2026-01-01T00:00:00Z", "X_Backup_Checksum": sha256(BODY)}
    assert (await user.send("PUT", "/backup", BODY, **headers))[0] == 201
    vectors = [{"id": "v", "blob": b64encode(BODY).decode(), "checksum": sha256(BODY)}]
    assert (await user.call("POST", "/storage/vectors/upsert", json={"vectors": vectors})).status == 200


async def delete(user: User, password: str = PASSWORD) -> int:
    return (await user.call("DELETE", "/auth/me", json={"password": password})).status


async def vectors_of(user: User) -> int:
    store = user.client.app[VECTORS].store
    return len(await store.search(UUID(user.id), [1.0] + [0.0] * 31, 100))


async def rows_of(user: User) -> dict[str, int]:
    """How many rows every table has with this user in it."""
    database: Database = user.client.app[DATABASE]
    found = {}
    async with database.acquire() as conn:
        columns = await conn.fetch(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'uuid'"
        )
        for table, column in columns:
            count = await conn.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", UUID(user.id))
            if count:
                found[table] = count
    return found


async def clear_away(accounts: Accounts) -> None:
    for place in accounts._places:
        await accounts.clear(place)


async def test_everything_of_the_user_goes_and_nothing_of_anybody_else(client: Client, user: User) -> None:
    grace = await register(client, "grace@example.com")
    await store_everything(user)
    await store_everything(grace)
    assert await delete(user) == 204
    assert (await user.get("/auth/me"))[0] == 401
    assert (
        await client.post(f"{API}/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
    ).status == 401

    async def gone() -> bool:
        return await vectors_of(user) == 0 and not any(key.startswith(user.id) for key in await keys(client))

    await until(gone)
    assert set(await rows_of(user)) <= {"account_remains"}
    assert await vectors_of(grace) == 1
    assert await grace.used() == await grace.used("backups") == len(BODY)
    await assert_agreement(client)
    again = await register(client)
    assert (await again.get("/storage/records"))[1]["total"] == 0


async def test_without_the_right_password_nothing_goes(user: User) -> None:
    await user.stored(BODY)
    async with await user.call("DELETE", "/auth/me", json={"password": "wrong password"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "invalid_credentials")
    assert (await user.call("DELETE", "/auth/me", json={})).status == 422
    assert await user.used() == len(BODY)


class Away:
    """A store that is away as long as the test wants, and passes everything on otherwise."""

    def __init__(self, store: Any, error: type[Exception], name: str) -> None:
        self._store, self._error, self._name, self.is_away = store, error, name, True

    def __getattr__(self, name: str) -> Any:
        if name == self._name and self.is_away:

            async def fail(*_: Any) -> None:
                raise self._error

            return fail
        return getattr(self._store, name)


async def test_with_the_stores_away_the_rest_goes_and_they_follow_when_they_are_back(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_everything(user)
    housekeeper, accounts = user.client.app[HOUSEKEEPER], user.client.app[ACCOUNTS]
    blobs: BlobStore = user.client.app[BLOBS]
    away = [
        Away(blobs, BlobStoreUnavailableError, "delete"),
        Away(user.client.app[VECTORS].store, VectorStoreUnavailableError, "delete_user"),
    ]
    monkeypatch.setattr(housekeeper, "_blobs", away[0])
    monkeypatch.setattr(accounts, "_places", [VectorsPlace(away[1])])
    assert await delete(user) == 204
    assert (await user.get("/auth/me"))[0] == 401
    while accounts._tasks:
        await asyncio.sleep(0)
    assert await vectors_of(user) == 1
    assert len(await keys(user.client)) == 2
    for store in away:
        store.is_away = False
    database: Database = user.client.app[DATABASE]
    async with database.acquire() as conn:
        await conn.execute("UPDATE storage_intents SET lease_until = now()")
    await housekeeper.clear_due()
    await clear_away(accounts)
    assert await vectors_of(user) == 0
    await assert_agreement(user.client)


async def test_what_is_left_is_forgotten_only_when_no_request_can_bring_it_back(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = user.client.app[ACCOUNTS]
    await delete(user)
    await clear_away(accounts)
    assert await rows_of(user) == {"account_remains": 1}
    monkeypatch.setattr(service, "LAST_WORDS", service.LAST_WORDS * 0)
    await clear_away(accounts)
    assert await rows_of(user) == {}


async def test_uploads_that_run_meanwhile_leave_nothing(user: User) -> None:
    body = bytes(200_000)

    async def upload() -> int:
        return int((await user.create(body))[0])

    async def change(record_id: str) -> int:
        return int((await user.send("PUT", f"/storage/records/{record_id}", body))[0])

    known = [(await user.stored(BODY))["id"] for _ in range(10)]
    work = [upload() for _ in range(15)] + [change(record_id) for record_id in known]
    *statuses, deleted = await asyncio.gather(*work, delete(user))
    assert deleted == 204
    assert set(statuses) <= {200, 201, 401, 404, 503}
    await assert_agreement(user.client)
    assert await keys(user.client) == set()
    assert (await state(user.client))["rows"] == set()


class Club:
    """A place that knows its members by their address, and has trouble with some of them."""

    id = "club"

    def __init__(self, *members: str) -> None:
        self.members = set(members)
        self.trouble: dict[str, Exception] = {}

    async def name_of(self, conn: Connection, user_id: UUID) -> str | None:
        email: str = await conn.fetchval("SELECT email FROM users WHERE id = $1", user_id)
        return email if email in self.members else None

    async def clear(self, user_id: UUID, name: str) -> None:
        if name in self.trouble:
            raise self.trouble[name]
        self.members.discard(name)


async def test_a_place_is_told_the_name_it_knows_the_user_by_and_one_user_does_not_hold_up_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, database = client.app[ACCOUNTS], client.app[DATABASE]
    club = Club("ada@example.com", "grace@example.com")
    club.trouble["ada@example.com"] = ZeroDivisionError()
    monkeypatch.setattr(accounts, "_places", [club])
    monkeypatch.setattr(service, "LAST_WORDS", service.LAST_WORDS * 0)
    for name in ("ada", "grace", "alan"):
        assert await delete(await register(client, f"{name}@example.com")) == 204
    await clear_away(accounts)
    assert club.members == {"ada@example.com"}
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT array_agg(name) FROM account_remains") == ["ada@example.com"]
    club.trouble["ada@example.com"] = VectorStoreUnavailableError()
    with pytest.raises(VectorStoreUnavailableError):
        await accounts.clear(club)
    club.trouble.clear()
    await clear_away(accounts)
    assert club.members == set()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM account_remains") == 0
