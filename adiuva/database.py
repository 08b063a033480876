"""The way to PostgreSQL: the embedded server or the one of ``DATABASE_URL``, behind one pool."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import asyncpg
from attrs import define, field

from adiuva.embedded import EmbeddedPostgres
from adiuva.errors import AdiuvaError
from adiuva.pool import FAULTS, Connection, Lent, Pool
from adiuva.settings import Settings

__all__ = ["MIGRATIONS", "Connection", "Database", "DatabaseUnreachableError", "SchemaBehindError"]

_HERE = Path(__file__).parent
# Installed, they are in the package; in a checkout, beside it.
MIGRATIONS = next(folder for folder in (_HERE / "migrations", _HERE.parent / "migrations") if folder.is_dir())

CONNECT_SECONDS = 10.0


class DatabaseUnreachableError(AdiuvaError):
    """The database cannot be reached."""

    code = "database_unavailable"


class SchemaBehindError(AdiuvaError):
    """The database's schema is behind this version of Adiuva."""

    code = "schema_behind"


@define(kw_only=True)
class Database:
    """The pool and what it stands on. ``dsn`` may hold a password."""

    pool: Pool
    dsn: str = field(repr=False)
    _embedded: EmbeddedPostgres | None = None

    @classmethod
    async def connect(cls, settings: Settings, *, share: bool = False, check: bool = True) -> Self:
        """Start or reach the database, and see that its schema is up to date.

        An embedded database is migrated here. With ``share`` one that another process of ours runs is joined, as
        ``adiuva admin`` does beside a running server; otherwise a second server on one ``DATA_DIR`` is refused.

        Raises:
            EmbeddedPostgresError: The embedded server does not start; its message says why.
            DatabaseUnreachableError: The one of ``DATABASE_URL`` cannot be reached.
            SchemaBehindError: That one's schema is behind, and ``check`` is on.
        """
        embedded = None if settings.database_url else await asyncio.to_thread(_embed, settings, share=share)
        dsn = embedded.dsn if embedded else settings.database_url
        try:
            pool = await _pool(dsn)
        except BaseException:
            if embedded:
                await asyncio.to_thread(embedded.stop)
            raise
        database = cls(pool=pool, dsn=dsn, embedded=embedded)
        try:
            if check:
                await database._check_schema()
        except BaseException:
            await database.close()
            raise
        return database

    def acquire(self) -> Lent:
        """``async with database.acquire() as connection``.

        Connections are not reset between their users (that is a round trip): whoever sets session state undoes it.

        Raises:
            UnavailableError: The database is away, or went away in between.
            OverloadedError: All connections have been busy for too long.
        """
        return self.pool.acquire()

    async def ping(self) -> None:
        """Raise ``UnavailableError`` unless the database answers."""
        async with self.acquire() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self) -> None:
        """Give everything back, waiting shortly for queries that run."""
        try:
            await self.pool.close()
        finally:
            if self._embedded:
                await asyncio.to_thread(self._embedded.stop)

    async def missing_migrations(self) -> Sequence[str]:
        """The migrations that this version has and the database has not; a newer database may have more."""
        wanted = sorted(
            path.name.removesuffix(".sql")
            for path in MIGRATIONS.glob("*.sql")
            if not path.name.endswith(".rollback.sql")
        )
        async with self.acquire() as connection:
            try:
                rows = await connection.fetch("SELECT migration_id FROM _yoyo_migration")
            except asyncpg.UndefinedTableError:
                return wanted
        applied = {row["migration_id"] for row in rows}
        return [name for name in wanted if name not in applied]

    async def _check_schema(self) -> None:
        missing = await self.missing_migrations()
        if not missing:
            return
        if self._embedded is None:
            raise SchemaBehindError(
                f"The database's schema is behind (missing: {', '.join(missing)}): run `adiuva migrate`."
            )
        from adiuva.migrate import apply

        await asyncio.to_thread(apply, self.dsn)


def _embed(settings: Settings, *, share: bool) -> EmbeddedPostgres:
    folder = settings.data_dir / "postgres"
    return (EmbeddedPostgres.running(folder) if share else None) or EmbeddedPostgres.start(folder)


async def _pool(dsn: str) -> Pool:
    async def connect() -> Connection:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            # Prepared statements live as long as their connection.
            max_cached_statement_lifetime=0,
            statement_cache_size=1000,
            server_settings={"application_name": "adiuva"},
        )

    pool = Pool(connect=connect)
    try:
        await pool.open()
    except (*FAULTS, TimeoutError, ValueError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise DatabaseUnreachableError(f"The database of DATABASE_URL cannot be reached: {error}") from error
    return pool
