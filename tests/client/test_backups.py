"""Backups, at a real server."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from adiuva.client import Client, DecryptionError, ServerError, Vault
from adiuva.client.connection import Call

LARGE = bytes(range(256)) * 40_000  # 10 MB: over what is kept in memory


async def test_the_newest_comes_back_on_another_device(vault: Vault, device: Any, tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(LARGE)
    await vault.backups.create(tmp_path / "app.db", "7")
    (tmp_path / "app.db").write_bytes(b"old")
    await vault.backups.create(tmp_path / "app.db", "6", timestamp=datetime(2020, 1, 1, tzinfo=UTC))
    other = await (await device()).unlock("the server never sees this one")
    assert await other.backups.restore(tmp_path / "back") == "7"
    assert (tmp_path / "back").read_bytes() == LARGE


async def test_backups_are_listed_restored_by_id_and_deleted(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"data")
    there = timezone(timedelta(hours=5, minutes=30))
    first = await vault.backups.create(tmp_path / "app.db", "7", timestamp=datetime(2026, 1, 1, 3, tzinfo=there))
    second = await vault.backups.create(tmp_path / "app.db", "8")
    assert [backup async for backup in vault.backups.list()] == [second, first]
    assert first.timestamp == datetime(2025, 12, 31, 21, 30, tzinfo=UTC)
    assert await vault.backups.restore(tmp_path / "back", first.id) == "7"
    await vault.backups.delete(first.id)
    with pytest.raises(ServerError):
        await vault.backups.restore(tmp_path / "back", first.id)


async def test_an_empty_file_is_a_backup(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "app.db").touch()
    await vault.backups.create(tmp_path / "app.db", "7")
    await vault.backups.restore(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


async def test_a_backup_passed_off_as_another_version_is_found_out(
    client: Client, vault: Vault, tmp_path: Path
) -> None:
    (tmp_path / "app.db").write_bytes(b"data")
    backup = await vault.backups.create(tmp_path / "app.db", "7")
    envelope = (await client.send(Call(method="GET", path=f"/backup/{backup.id}"))).content
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Backup-Version": "8",
        "X-Backup-Timestamp": backup.timestamp.isoformat(),
        "X-Backup-Checksum": backup.checksum,
    }
    forged = await client.send(Call(method="PUT", path="/backup", body=lambda: envelope, headers=headers))
    (tmp_path / "back").write_bytes(b"what was there")
    with pytest.raises(DecryptionError):
        await vault.backups.restore(tmp_path / "back", forged.json()["id"])
    assert (tmp_path / "back").read_bytes() == b"what was there"
