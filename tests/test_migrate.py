"""The way of a schema: from empty to head and back, at once, after a crash, and after a mistake."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from adiuva import migrate as module
from adiuva.database import MIGRATIONS, DatabaseUnreachableError
from adiuva.migrate import MigrationFailedError, apply, migrate, roll_back
from adiuva.settings import Settings

NAMES = sorted(path.stem for path in MIGRATIONS.glob("*.sql") if not path.name.endswith(".rollback.sql"))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def ours(url: str) -> set[tuple[str, str]]:
    """Every table, index, type, constraint and function that is not yoyo's."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            """
            SELECT 'relation', relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
            UNION SELECT 'type', typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
            UNION SELECT 'constraint', conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            """
        )
    return {(kind, name) for kind, name in rows if "yoyo" not in name}


async def test_empty_goes_to_head_and_back(empty_database_url: str) -> None:
    assert await ours(empty_database_url) == set()
    assert await asyncio.to_thread(apply, empty_database_url) == NAMES
    head = await ours(empty_database_url)
    assert await asyncio.to_thread(apply, empty_database_url) == []
    assert await asyncio.to_thread(roll_back, empty_database_url) == NAMES[::-1]
    assert await ours(empty_database_url) == set()
    assert await asyncio.to_thread(apply, empty_database_url) == NAMES
    assert await ours(empty_database_url) == head


def test_every_migration_has_its_rollback_and_says_what_it_stands_on() -> None:
    for before, name in zip([None, *NAMES], NAMES, strict=False):
        assert (MIGRATIONS / f"{name}.rollback.sql").exists()
        text = (MIGRATIONS / f"{name}.sql").read_text()
        assert before is None or f"-- depends: {before}" in text


async def test_the_seed_tables_and_enums_are_there(database_url: str) -> None:
    async with connected(database_url) as connection:
        tables = {
            row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        assert tables >= {
            "users",
            "refresh_tokens",
            "subscriptions",
            "storage_records",
            "backup_metadata",
            "plugins",
            "plugin_installations",
            "plugin_reviews",
            "revenue_events",
        }
        enums = await connection.fetch(
            "SELECT typname, array_agg(enumlabel ORDER BY enumsortorder) AS labels"
            " FROM pg_enum JOIN pg_type ON enumtypid = pg_type.oid GROUP BY typname"
        )
        assert {row["typname"]: row["labels"] for row in enums} == {
            "billing_tier": ["free", "pro", "power", "team"],
            "plugin_status": ["pending_review", "approved", "rejected", "withdrawn", "suspended"],
            "review_decision": ["approved", "rejected"],
        }
        plugins = await connection.fetch("SELECT name, price_cents, currency, status FROM plugins ORDER BY price_cents")
        assert [tuple(row) for row in plugins] == [
            ("GitHub Sync", 0, "eur", "approved"),
            ("Slack Notifier", 499, "eur", "approved"),
            ("Time Tracker", 999, "eur", "approved"),
        ]


async def test_every_constraint_is_named_in_the_migrations(database_url: str) -> None:
    """PostgreSQL names what we do not; queries.py could not rely on that."""
    texts = "".join((MIGRATIONS / f"{name}.sql").read_text() for name in NAMES)
    named = set(re.findall(r"CONSTRAINT (\w+)", texts))
    async with connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            " AND contype <> 'n' AND conrelid::regclass::text NOT LIKE '%yoyo%'"
        )
    assert {row[0] for row in rows} <= named


async def test_foreign_keys_are_indexed(database_url: str) -> None:
    """Otherwise deleting one user reads whole tables."""
    async with connected(database_url) as connection:
        bare = await connection.fetch(
            """
            SELECT conname FROM pg_constraint c
            WHERE contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1] AND i.indpred IS NULL
            )
            """
        )
    # A reviewer is an admin: few, and hardly ever deleted.
    assert {row[0] for row in bare} <= {"plugin_reviews_reviewer_id_fkey"}


async def test_several_that_migrate_at_once_take_turns(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(asyncio.to_thread(apply, empty_database_url) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == NAMES


async def test_a_lock_left_by_a_killed_migration_is_no_obstacle(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
    await asyncio.to_thread(roll_back, database_url)
    assert await asyncio.to_thread(apply, database_url) == NAMES


async def test_a_migration_that_fails_leaves_nothing_and_is_named(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIGRATIONS", tmp_path)
    (tmp_path / "0001.good.sql").write_text("CREATE TABLE good (id int);")
    (tmp_path / "0002.bad.sql").write_text("CREATE TABLE half (id int); CREATE TABLE half (id int);")
    with pytest.raises(MigrationFailedError, match=r'Migration 0002\.bad failed: relation "half" already exists'):
        await asyncio.to_thread(apply, empty_database_url)
    assert {name for kind, name in await ours(empty_database_url) if kind == "relation"} == {"good"}
    (tmp_path / "0002.bad.sql").write_text("CREATE TABLE half (id int);")
    assert await asyncio.to_thread(apply, empty_database_url) == ["0002.bad"]


async def test_an_embedded_database_is_migrated_whether_it_runs_or_not(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert await asyncio.to_thread(migrate, settings) == NAMES
    assert await asyncio.to_thread(migrate, settings) == []


def test_a_database_that_is_not_there_is_told() -> None:
    with pytest.raises(DatabaseUnreachableError) as refused:
        migrate(Settings(database_url="postgresql://me:canary@127.0.0.1:1/adiuva"))
    assert "canary" not in refused.value.message
