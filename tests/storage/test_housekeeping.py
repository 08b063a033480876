"""What is cleared away by itself, and what is not."""

import os
import time

from adiuva.settings import Settings
from adiuva.storage.housekeeping.housekeeper import HOUSEKEEPER
from adiuva.web.keys import DATABASE
from tests.backup.test_backups import store
from tests.storage.conftest import User


async def test_bytes_that_are_older_than_the_database_are_not_its_own(user: User, settings: Settings) -> None:
    """As where a server is started with an empty database beside a store that is full."""
    await user.stored(b"a record")
    folder = settings.data_dir / "blobs" / user.id / "notes"
    (folder / "stray.1").write_bytes(b"left by a crash")
    (folder / "stray.2").write_bytes(b"of another database")
    year_ago = time.time() - 365 * 24 * 3600
    os.utime(folder / "stray.2", (year_ago, year_ago))
    assert user.client.app is not None
    tidied = await user.client.app[HOUSEKEEPER].run()
    assert tidied.orphans == 1
    assert {path.name for path in folder.glob("stray.*")} == {"stray.2"}


async def test_a_record_that_came_back_while_it_was_deleted_can_be_deleted(user: User) -> None:
    record = await user.stored(b"a record")
    assert user.client.app is not None
    async with user.client.app[DATABASE].acquire() as conn:
        await conn.execute(
            "INSERT INTO storage_tombstones (user_id, id, table_name, change) VALUES ($1, $2, 'notes', 1)",
            user.id,
            record["id"],
        )
    assert (await user.call("DELETE", f"/storage/records/{record['id']}")).status == 204
    status, changes = await user.get("/storage/changes")
    assert status == 200
    assert [change["id"] for change in changes["items"]] == [record["id"]]


async def test_counters_of_all_kinds_are_counted_anew(user: User) -> None:
    await user.stored(b"a record")
    assert (await store(user, b"a backup"))[0] == 201
    assert user.client.app is not None
    async with user.client.app[DATABASE].acquire() as conn:
        await conn.execute(
            """
            INSERT INTO storage_usage (user_id, kind, used_bytes, reserved_bytes)
            VALUES ($1, 'packages', 5, 5), ($1, 'backups', 7, 0)
            ON CONFLICT (user_id, kind) DO UPDATE SET used_bytes = excluded.used_bytes
            """,
            user.id,
        )
        await user.client.app[HOUSEKEEPER].run()
        rows = await conn.fetch(
            "SELECT kind, used_bytes, reserved_bytes FROM storage_usage WHERE user_id = $1", user.id
        )
    assert {tuple(row) for row in rows} == {("records", 8, 0), ("packages", 0, 0), ("backups", 8, 0)}
