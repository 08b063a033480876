"""Databases that tests take one after another: to remove what a test has left in one is faster than to make a new one.

A test is handed what it would find in a fresh copy of the template: the rows that migrations insert, and no others. A
database whose schema or settings a test has changed is thrown away.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from attrs import frozen

# What the migrations have inserted is kept as JSON: a table of the same columns would be in the way of a rollback.
PREPARE = """
CREATE SCHEMA pristine;
CREATE TABLE pristine.tables (name text, rows json);
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format(
            'INSERT INTO pristine.tables SELECT %L, json_agg(kept) FROM public.%I kept HAVING count(*) > 0', name, name
        );
    END LOOP;
END $$;
"""
_RESTORE = """
INSERT INTO public.{} OVERRIDING SYSTEM VALUE
SELECT kept.* FROM pristine.tables, json_populate_recordset(NULL::public.{}, rows) AS kept WHERE tables.name = %s
"""

_END_OTHERS = """
SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

# A row of the catalog that is changed has another xmin, which is the same in all copies of a template.
_SCHEMA = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT format('%s %s', pg_class.oid, pg_class.xmin) AS part FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind <> 'S'
    UNION ALL SELECT format('%s %s %s', attrelid, attnum, pg_attribute.xmin) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    UNION ALL SELECT format('%s %s', pg_trigger.oid, pg_trigger.xmin) FROM pg_trigger
    UNION ALL SELECT format('%s %s', pg_constraint.oid, pg_constraint.xmin) FROM pg_constraint
    UNION ALL SELECT format('%s %s', pg_proc.oid, pg_proc.xmin) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
) AS parts
"""

_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"

Connection = psycopg.Connection[Any]


@frozen
class _Copy:
    """A copy of the template and who cleans it: a connection that stays, since a new one would take as long again."""

    name: str
    connection: Connection
    filled: str  # the query for the tables that have rows
    pristine: tuple[str, ...]  # the tables that have some from the start
    schema: str


class Databases:
    """Copies of ``template``, for one process; ``dsn`` is that of the server's own database, ``postgres``."""

    def __init__(self, dsn: str, template: str) -> None:
        self._dsn = dsn
        self._template = template
        self._clean: list[_Copy] = []

    @contextmanager
    def take(self) -> Iterator[str]:
        """The DSN of a database that is as good as new."""
        copy = self._clean.pop() if self._clean else self._copy()
        yield database_of(self._dsn, copy.name)
        if _clean(copy):
            self._clean.append(copy)
        else:
            copy.connection.close()
            drop(self._dsn, copy.name)

    def _copy(self) -> _Copy:
        name = create(self._dsn, self._template)
        connection = psycopg.connect(database_of(self._dsn, name), autocommit=True)
        # As a replica the server fires no triggers, those of foreign keys and of append-only tables included.
        connection.execute("SET session_replication_role = replica")
        tables = _column(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return _Copy(
            name=name,
            connection=connection,
            filled=" UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT FROM public.{table})" for table in tables
            ),
            pristine=tuple(_column(connection, "SELECT name FROM pristine.tables")),
            schema=_schema(connection),
        )


def _clean(copy: _Copy) -> bool:
    """Make it as it was when it was copied; False where that cannot be done."""
    connection = copy.connection
    try:
        while _column(connection, _END_OTHERS):
            time.sleep(0.002)  # PostgreSQL can wait for it too, but looks every 100 ms
        if _schema(connection) != copy.schema:
            return False
        for table in _column(connection, copy.filled):
            connection.execute(_with_name("DELETE FROM public.{}", table))
        for table in copy.pristine:
            connection.execute(_with_name(_RESTORE, table), [table])
        for sequence in _column(connection, _SEQUENCES):
            connection.execute(_with_name("ALTER SEQUENCE public.{} RESTART", sequence))
    except psycopg.Error:  # the test has ended the connection, or locked or removed the database
        return False
    return True


def create(server: str, template: str) -> str:
    """The name of a new copy of ``template``; ``server`` is the DSN of its database ``postgres``."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode())
    return name


def drop(server: str, name: str) -> None:
    """Remove a database, whoever is connected to it."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(_with_name("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))


def database_of(server: str, name: str) -> str:
    """The DSN of the database ``name``."""
    return server.replace("/postgres?", f"/{name}?")


def _schema(connection: Connection) -> str:
    (found,) = _column(connection, _SCHEMA)
    return found


def _column(connection: Connection, query: str) -> list[str]:
    return [row[0] for row in connection.execute(query.encode(), prepare=True)]


def _with_name(statement: str, name: str) -> bytes:
    return statement.replace("{}", f'"{name}"').encode()
