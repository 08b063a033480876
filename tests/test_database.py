"""The pool, the schema check, and what happens when the database goes away."""

from adiuva.database import Database


async def test_a_fresh_database_answers_and_has_every_migration(database: Database) -> None:
    await database.ping()
    assert await database.missing_migrations() == []


async def test_tests_do_not_see_each_others_rows(database: Database) -> None:
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
