"""The vault, its keys and its records, at a real server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adiuva.client import Client, PassphraseIsPasswordError, ServerError, UnknownKeyError, Vault, WrongPassphraseError
from adiuva.client.connection import Call
from adiuva.client.errors import DecryptionError, KeyAddedError, RolledBackError
from adiuva.client.keys import HEADER_ID
from adiuva.client.lock import LEAST
from adiuva.client.records import Record

PASSPHRASE = "the server never sees this one"
OTHER = "another one that it never sees"
LARGE = bytes(range(256)) * 1000


async def raw(client: Client, record: Record) -> bytes:
    """What the server has."""
    return (await client.send(Call(method="GET", path=f"/storage/records/{record.id}"))).content


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_record_comes_back_on_every_device(client: Client, vault: Vault, device: Any) -> None:
    record = await vault.records.create("tasks", b"data")
    assert b"data" not in await raw(client, record)
    other = await (await device()).unlock(PASSPHRASE)
    assert await other.records.get("tasks", record.id) == b"data"


async def test_a_record_is_replaced_listed_and_deleted(vault: Vault) -> None:
    record = await vault.records.create("tasks", b"data")
    replaced = await vault.records.replace("tasks", record.id, b"other data", if_match=record.etag)
    assert await vault.records.get("tasks", record.id) == b"other data"
    assert [item async for item in vault.records.list("tasks")] == [replaced]
    with pytest.raises(ServerError) as caught:
        await vault.records.replace("tasks", record.id, b"lost", if_match=record.etag)
    assert caught.value.server_code == "precondition_failed"
    await vault.records.delete(record.id)
    with pytest.raises(ServerError) as caught:
        await vault.records.get("tasks", record.id)
    assert caught.value.server_code == "not_found"


async def test_a_server_that_gives_another_record_s_bytes_is_found_out(client: Client, vault: Vault) -> None:
    one, other = [await vault.records.create("tasks", data) for data in (b"one", b"other")]
    envelope = await raw(client, one)
    await vault.records._write("PUT", f"/storage/records/{other.id}", envelope)
    with pytest.raises(DecryptionError):
        await vault.records.get("tasks", other.id)
    with pytest.raises(DecryptionError):
        await vault.records.get("notes", one.id)


async def test_a_file_of_any_size_is_a_record_too(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    record = await vault.records.create_from_file("files", tmp_path / "file")
    await vault.records.save_to_file("files", record.id, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LARGE


async def test_a_file_that_is_not_whole_leaves_what_was_there(client: Client, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    (tmp_path / "back").write_bytes(b"what was there")
    record = await vault.records.create_from_file("files", tmp_path / "file")
    await vault.records._write("PUT", f"/storage/records/{record.id}", (await raw(client, record))[:-1])
    with pytest.raises(DecryptionError):
        await vault.records.save_to_file("files", record.id, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"what was there"
    assert "back" not in " ".join(_names(tmp_path) - {"back"})


async def test_many_records_are_stored_in_a_few_requests_and_listed_by_pages(vault: Vault) -> None:
    records = await vault.records.create_many("tasks", [b"%d" % number for number in range(205)])
    assert await vault.records.get("tasks", records[170].id) == b"170"
    listed = [record async for record in vault.records.list("tasks")]
    assert sorted(listed, key=lambda record: record.id) == sorted(records, key=lambda record: record.id)
    assert await vault.records.create_many("tasks", []) == []


async def test_a_record_of_a_batch_that_is_too_large_is_told_of(vault: Vault) -> None:
    assert len(await vault.records.create_many("tasks", [bytes(262_095)])) == 1
    with pytest.raises(ServerError):
        await vault.records.create_many("tasks", [bytes(262_096)])


async def test_another_passphrase_opens_nothing(vault: Vault, device: Any) -> None:
    with pytest.raises(WrongPassphraseError):
        await (await device()).unlock(OTHER)


async def test_the_password_is_no_passphrase(client: Client) -> None:
    with pytest.raises(PassphraseIsPasswordError):
        await client.unlock("the server sees this one")


async def test_two_devices_that_make_keys_at_once_have_the_same(device: Any) -> None:
    clients = [await device() for _ in range(4)]
    vaults = await asyncio.gather(*(client.unlock(PASSPHRASE, cost=LEAST) for client in clients))
    record = await vaults[0].records.create("tasks", b"data")
    assert [await vault.records.get("tasks", record.id) for vault in vaults] == [b"data"] * 4


async def test_another_passphrase_is_one_small_record_s_work(client: Client, vault: Vault, device: Any) -> None:
    record = await vault.records.create("tasks", b"data")
    before = await raw(client, record)
    await vault.change_passphrase(OTHER, cost=LEAST)
    assert await raw(client, record) == before
    assert await (await (await device()).unlock(OTHER)).records.get("tasks", record.id) == b"data"
    with pytest.raises(WrongPassphraseError):
        await (await device()).unlock(PASSPHRASE)


async def test_a_new_key_seals_from_then_on_and_old_ones_still_open(client: Client, vault: Vault) -> None:
    old = await vault.records.create("tasks", b"old")
    await vault.rotate()
    new = await vault.records.create("tasks", b"new")
    assert [(await raw(client, record))[5:9] for record in (old, new)] == [b"\0\0\0\x01", b"\0\0\0\x02"]
    assert await vault.records.get("tasks", old.id) == b"old"
    assert await vault.records.get("tasks", new.id) == b"new"


async def test_another_device_fetches_a_new_key_when_it_meets_it(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    await vault.rotate()
    record = await vault.records.create("tasks", b"data")
    assert await other.records.get("tasks", record.id) == b"data"


async def test_all_is_sealed_anew_and_then_the_old_key_can_go(client: Client, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    records = [await vault.records.create("tasks", b"%d" % number) for number in range(5)]
    file = await vault.records.create_from_file("tasks", tmp_path / "file")
    await vault.rotate()
    newest = await vault.records.create("tasks", b"newest")
    assert await vault.reencrypt("tasks") == 6
    assert await vault.reencrypt("tasks") == 0
    await vault.forget_old_keys()
    for record in (*records, file, newest):
        assert (await raw(client, record))[5:9] == b"\0\0\0\x02"
    assert await vault.records.get("tasks", records[3].id) == b"3"
    await vault.records.save_to_file("tasks", file.id, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LARGE


async def test_what_a_forgotten_key_has_sealed_is_lost(vault: Vault) -> None:
    record = await vault.records.create("tasks", b"data")
    await vault.rotate()
    await vault.forget_old_keys()
    with pytest.raises(UnknownKeyError):
        await vault.records.get("tasks", record.id)


async def test_old_keys_are_not_forgotten_for_a_key_that_another_device_has_added(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    record = await vault.records.create("tasks", b"data")
    await vault.rotate()
    await vault.reencrypt("tasks")
    await other.rotate()
    with pytest.raises(KeyAddedError):
        await vault.forget_old_keys()
    assert await vault.records.get("tasks", record.id) == b"data"
    assert await vault.reencrypt("tasks") == 1
    await vault.forget_old_keys()
    assert await vault.records.get("tasks", record.id) == b"data"


async def test_all_is_sealed_with_a_key_that_only_another_device_knew_yet(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    record = await vault.records.create("tasks", b"data")
    await vault.rotate()
    assert await other.reencrypt("tasks") == 1
    await other.forget_old_keys()
    assert await vault.records.get("tasks", record.id) == b"data"


async def test_of_two_devices_that_change_the_keys_at_once_none_loses_one(vault: Vault, device: Any) -> None:
    other = await (await device()).unlock(PASSPHRASE)
    results = await asyncio.gather(vault.rotate(), other.rotate(), return_exceptions=True)
    assert all(
        result is None or (isinstance(result, ServerError) and result.server_code == "precondition_failed")
        for result in results
    )
    records = [await each.records.create("tasks", b"data") for each in (vault, other)]
    third = await (await device()).unlock(PASSPHRASE)
    assert [await third.records.get("tasks", record.id) for record in records] == [b"data"] * 2


async def test_a_server_that_gives_out_an_older_key_ring_is_found_out(
    client: Client, vault: Vault, device: Any
) -> None:
    path = f"/storage/records/{HEADER_ID}"
    older = (await client.send(Call(method="GET", path=path))).content
    await vault.rotate()
    await vault.records._write("PUT", path, older)
    with pytest.raises(RolledBackError):
        await vault.rotate()
    with pytest.raises(RolledBackError):
        await (await device()).unlock(PASSPHRASE, newest_key=vault.newest_key)
    await vault.records.delete(HEADER_ID)
    with pytest.raises(RolledBackError):
        await (await device()).unlock(PASSPHRASE, newest_key=vault.newest_key)


async def test_users_have_keys_of_their_own(client: Client, vault: Vault, device: Any) -> None:
    record = await vault.records.create("tasks", b"data")
    eve = await device("eve@example.com")
    stolen = await eve.unlock(PASSPHRASE, cost=LEAST)
    await stolen.records._write(
        "POST", "/storage/records", await raw(client, record), params={"table": "tasks", "id": record.id}
    )
    with pytest.raises(DecryptionError):
        await stolen.records.get("tasks", record.id)


async def test_the_key_header_of_another_user_is_not_taken(client: Client, vault: Vault, device: Any) -> None:
    header = (await client.send(Call(method="GET", path=f"/storage/records/{HEADER_ID}"))).content
    eve = await device("eve@example.com")
    stolen = await eve.unlock(PASSPHRASE, cost=LEAST)
    await stolen.records._write("PUT", f"/storage/records/{HEADER_ID}", header)
    with pytest.raises(DecryptionError):
        await eve.unlock(PASSPHRASE)
