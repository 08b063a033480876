"""Sync between devices, at a real server."""

import asyncio
from typing import Any

import pytest

from adiuva.client import Client, Vault, WrongPassphraseError
from adiuva.client.changes import Change
from adiuva.client.lock import LEAST

PASSPHRASE = "the server never sees this one"


async def all_since(vault: Vault, cursor: str = "0") -> tuple[list[Change], str]:
    found: list[Change] = []
    async for changes in vault.sync.since(cursor):
        found += changes.items
        cursor = changes.cursor
    return found, cursor


async def test_another_device_catches_up(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    record = await vault.records.create("tasks", b"data")
    gone = await vault.records.create("tasks", b"gone")
    await vault.records.delete(gone.id)
    changes, cursor = await all_since(other)
    assert {(change.id, change.deleted) for change in changes} == {(record.id, False), (gone.id, True)}
    assert await all_since(other, cursor) == ([], cursor)

    await vault.records.replace("tasks", record.id, b"new data")
    (change,), _ = await all_since(other, cursor)
    assert await other.records.get(change.table, change.id) == b"new data"


async def test_more_changes_than_a_page_come_once_each(vault: Vault) -> None:
    ids = [record.id for record in await vault.records.create_many("tasks", [b""] * 205)]
    changes, _ = await all_since(vault)
    assert [change.id for change in changes] == ids


async def test_a_device_that_follows_hears_of_changes_as_they_are_made(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    following = other.sync.follow((await all_since(other))[1])
    for number in range(3):
        coming = asyncio.ensure_future(anext(following))
        record = await vault.records.create("tasks", b"%d" % number)
        async with asyncio.timeout(10):
            (change,) = (await coming).items
        assert change.id == record.id
    await following.aclose()


async def test_a_socket_that_is_closed_is_opened_again(vault: Vault, client: Client, device: Any) -> None:
    other_client = await device()
    other = await other_client.unlock(PASSPHRASE)
    sockets = []
    connect = other_client.connect

    async def remember(path: str) -> Any:
        sockets.append(await connect(path))
        return sockets[-1]

    other_client.connect = remember
    following = other.sync.follow()
    await vault.records.create("tasks", b"one")
    assert len((await anext(following)).items) == 1
    await sockets[0].close()
    coming = asyncio.ensure_future(anext(following))
    record = await vault.records.create("tasks", b"two")
    async with asyncio.timeout(10):
        assert [change.id for change in (await coming).items] == [record.id]
    assert len(sockets) == 2
    await following.aclose()


async def test_a_new_key_comes_with_the_sync(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    await vault.rotate()
    assert (other.newest_key, vault.newest_key) == (1, 2)
    changes, _ = await all_since(other)
    assert changes == []
    assert other.newest_key == 2


async def test_a_new_passphrase_is_asked_for(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    await vault.change_passphrase("another one that it never sees", cost=LEAST)
    with pytest.raises(WrongPassphraseError):
        await all_since(other)
