"""The databases of the tests: what one test does to its own, the next one does not find."""

import psycopg
import pytest

from adiuva.testing.databases import Databases

USER = "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a@example.com', 'x')"


@pytest.fixture
def taken(postgres: str) -> Databases:
    """Databases that no other test takes."""
    return Databases(postgres, "template")


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_the_next_test_has_the_same_database_with_the_rows_of_the_migrations_and_no_others(taken: Databases) -> None:
    with taken.take() as first:
        pristine = run(first, "SELECT * FROM plugins ORDER BY id")
        run(first, USER)
        run(first, "INSERT INTO audit_log (id, actor, action, target) VALUES (gen_random_uuid(), 'a', 'b.c', 'd')")
        run(first, "DELETE FROM plugins")
        assert run(first, "SELECT nextval('stripe_readings'), nextval('stripe_readings')") == [(1, 2)]
    with taken.take() as second:
        assert second == first
        assert run(second, "SELECT count(*) FROM users") == [(0,)]
        assert run(second, "SELECT * FROM plugins ORDER BY id") == pristine != []
        assert run(second, "SELECT nextval('stripe_readings')") == [(1,)]
        assert run(second, "SELECT count(*) FROM audit_log") == [(0,)]


def test_two_at_once_are_two(taken: Databases) -> None:
    with taken.take() as first, taken.take() as second:
        run(first, USER)
        assert run(second, "SELECT count(*) FROM users") == [(0,)]


def test_who_is_still_connected_is_sent_away(taken: Databases) -> None:
    with taken.take() as first:
        left = psycopg.connect(first)
        left.execute("LOCK TABLE users")
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    with taken.take() as second:
        assert second == first


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD COLUMN note text",
        "ALTER TABLE users RENAME COLUMN email TO address",
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
        "CREATE TABLE more (id int)",
        "DROP TABLE plugin_reviews",
        "DROP INDEX storage_intents_user_id_idx",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only",
        "DROP TRIGGER audit_log_append_only ON audit_log",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 1', current_database()); END $$",
    ],
)
def test_one_whose_schema_or_settings_were_changed_is_thrown_away(taken: Databases, change: str) -> None:
    with taken.take() as first:
        run(first, change)
    with taken.take() as second:
        assert second != first
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)
