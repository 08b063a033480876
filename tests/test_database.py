"""The pool, the schema check, and what clients see when the database goes away."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import attrs
import pytest

from adiuva import database as module
from adiuva import pool
from adiuva.database import Database, DatabaseUnreachableError, SchemaBehindError
from adiuva.embedded import FolderInUseError
from adiuva.errors import NotFoundError, OverloadedError, UnavailableError
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


async def test_a_connection_that_is_cut_is_unavailable_and_the_next_one_works(database: Database) -> None:
    async def cut_while_running() -> None:
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def use_after_the_cut() -> None:
        async with database.acquire() as connection, database.acquire() as other:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await closed.wait()
            await connection.fetchval("SELECT 1")

    for breach in (cut_while_running, use_after_the_cut):
        with pytest.raises(UnavailableError) as refused:
            await breach()
        assert refused.value.retry_after
        await database.ping()


async def test_whatever_goes_wrong_on_a_connection_that_is_gone_is_an_unavailability(database: Database) -> None:
    async def misread() -> None:
        async with database.acquire() as connection:
            connection.terminate()
            message = "cannot switch to state 15; another operation (2) is in progress"
            raise asyncpg.InternalClientError(message)

    async def stumble() -> None:
        async with database.acquire() as connection:
            connection.terminate()
            raise AttributeError

    async def refuse() -> None:
        async with database.acquire() as connection:
            connection.terminate()
            raise NotFoundError

    for stumbling in (misread, stumble):
        with pytest.raises(UnavailableError):
            await stumbling()
    with pytest.raises(NotFoundError):
        await refuse()
    await database.ping()


async def backend_of(database: Database) -> int:
    async with database.acquire() as connection:
        return connection.get_server_pid()


async def test_the_next_user_finds_the_connection_that_the_last_has_left(database: Database) -> None:
    busy = database.pool.get_size() - database.pool.get_idle_size()
    assert busy == len(database.at_hand) == 1  # of the check of the schema
    backend = await backend_of(database)
    async with database.acquire() as first, database.acquire() as second:
        assert first.get_server_pid() == backend != second.get_server_pid()
        assert len(database.at_hand) == 0
    assert len(database.at_hand) == 2
    assert await backend_of(database) == backend  # that one was given back last
    async with AsyncExitStack() as many:
        for _ in range(module.POOL_MIN + 2):
            await many.enter_async_context(database.acquire())
    assert len(database.at_hand) == module.POOL_MIN


async def test_what_is_at_hand_goes_back_to_the_pool_after_a_while(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AT_HAND_SECONDS", 0.05)
    database = await Database.connect(settings)
    async with database.acquire(), database.acquire():
        pass
    assert len(database.at_hand) == 2
    await asyncio.sleep(0.2)
    assert len(database.at_hand) == 0
    assert database.pool.get_idle_size() == database.pool.get_size()
    await database.ping()
    await database.close()


async def test_connections_that_are_lost_at_hand_are_made_anew(database: Database) -> None:
    async with database.acquire() as first, database.acquire() as second, database.acquire() as third:
        lost = [connection.get_server_pid() for connection in (first, second, third)]
    other = await asyncpg.connect(database.dsn)
    await other.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", lost)
    await other.close()
    await asyncio.sleep(0.1)
    assert len(database.at_hand) == 3
    backend = await backend_of(database)
    assert backend not in lost
    assert await backend_of(database) == backend
    assert len(database.at_hand) == 1
    async with AsyncExitStack() as many:
        for _ in range(module.POOL_MAX):
            assert (await many.enter_async_context(database.acquire())).get_server_pid() not in lost


async def test_who_waits_for_a_connection_gets_the_first_that_is_free(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_MIN", 1)
    monkeypatch.setattr(module, "POOL_MAX", 1)
    database = await Database.connect(settings)
    order = []

    async def use(name: int) -> None:
        async with database.acquire() as connection:
            await connection.fetchval("SELECT 1")
            order.append(name)

    async with asyncio.timeout(3):
        await asyncio.gather(*map(use, range(20)))
    assert order == list(range(20))


async def test_closing_waits_for_users_but_for_none_at_hand(settings: Settings) -> None:
    database = await Database.connect(settings)
    async with asyncio.timeout(3), database.acquire() as connection:
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
        assert await connection.fetchval("SELECT 1") == 1
    async with asyncio.timeout(3):
        await closing
    assert len(database.at_hand) == 0


async def test_a_statement_that_is_wrong_is_no_unavailability(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.acquire() as connection:
            await connection.fetch("SELECT 1 FROM no_such_table")


async def test_who_waits_too_long_for_a_connection_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACQUIRE_SECONDS", 0.05)
    async with AsyncExitStack() as held:
        for _ in range(module.POOL_MAX):
            await held.enter_async_context(database.acquire())
        with pytest.raises(OverloadedError):
            await database.ping()
    await database.ping()


async def test_a_query_that_takes_too_long_is_given_up_and_its_connection_works_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(module, "POOL_MIN", 1)
    monkeypatch.setattr(module, "POOL_MAX", 1)
    database = await Database.connect(settings)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        with pytest.raises(UnavailableError) as refused:
            async with database.acquire() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        assert refused.value.retry_after
        await database.ping()
    assert asyncio.get_running_loop().time() - began < 5
    await database.close()


async def test_a_closed_pool_is_unavailable(settings: Settings) -> None:
    database = await Database.connect(settings)
    await database.close()
    with pytest.raises(UnavailableError):
        await database.ping()


async def test_giving_a_connection_back_costs_no_round_trip(database: Database) -> None:
    queries: list[Any] = []
    async with database.acquire() as connection:
        connection.add_query_logger(queries.append)
        await connection.fetchval("SELECT 1")
    await asyncio.sleep(0.01)
    assert [query.query for query in queries] == ["SELECT 1"]


async def test_a_transaction_left_open_is_rolled_back(settings: Settings) -> None:
    database = await Database.connect(settings)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # asyncpg tells of the open transaction
    async with database.acquire() as connection:
        await connection.execute("BEGIN")
        await connection.execute("DELETE FROM plugins")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM plugins") == 3
    await database.close()


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
