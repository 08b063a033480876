"""Reaching the database, and the check of its schema."""

from pathlib import Path

import attrs
import pytest

from adiuva.database import Database, DatabaseUnreachableError, SchemaBehindError
from adiuva.embedded import FolderInUseError
from adiuva.errors import UnavailableError
from adiuva.settings import Settings


async def test_a_fresh_database_answers_and_has_every_migration(database: Database) -> None:
    await database.ping()
    assert await database.missing_migrations() == []


async def test_the_url_of_another_driver_reaches_the_same_database(settings: Settings) -> None:
    url = settings.database_url.replace("postgresql://", "postgresql+asyncpg://")
    database = await Database.connect(Settings(database_url=url))
    await database.ping()
    await database.close()


async def test_a_schema_that_is_behind_is_refused_with_what_to_do(empty_database_url: str) -> None:
    settings = Settings(database_url=empty_database_url)
    with pytest.raises(SchemaBehindError, match=r"missing: 0001\..*, 0002\..*: run `adiuva migrate`"):
        await Database.connect(settings)
    database = await Database.connect(settings, check=False)
    assert len(await database.missing_migrations()) >= 2
    await database.close()


async def test_a_schema_that_is_ahead_is_taken(database: Database, settings: Settings) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('f', '9999.from-a-newer-version')"
        )
    newer = await Database.connect(settings)
    await newer.close()


@pytest.mark.parametrize("where", ["me:canary@127.0.0.1:1/adiuva", "/adiuva?host=/nowhere", "me:canary@127.0.0.1:1/"])
async def test_a_database_that_is_not_there_is_told_in_one_line_without_its_password(where: str) -> None:
    with pytest.raises(DatabaseUnreachableError) as refused:
        await Database.connect(Settings(database_url=f"postgresql://{where}"))
    assert "DATABASE_URL" in refused.value.message
    assert "canary" not in refused.value.message
    assert "\n" not in refused.value.message


async def test_a_closed_database_is_unavailable(settings: Settings) -> None:
    database = await Database.connect(settings)
    await database.close()
    with pytest.raises(UnavailableError):
        await database.ping()


async def test_an_embedded_database_is_made_migrated_and_kept(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    database = await Database.connect(settings)
    try:
        assert await database.missing_migrations() == []
        async with database.acquire() as connection:
            await connection.execute("DELETE FROM plugins WHERE id = 'time-tracker'")
        with pytest.raises(FolderInUseError, match="stop it, or set another DATA_DIR"):
            await Database.connect(settings)
        beside = await Database.connect(settings, share=True)
        await beside.ping()
        await beside.close()
        await database.ping()
    finally:
        await database.close()
    again = await Database.connect(attrs.evolve(settings, port=8001))
    async with again.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM plugins") == 2
    await again.close()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
