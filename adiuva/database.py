"""The way to PostgreSQL: the embedded server or the one of ``DATABASE_URL``, behind one pool."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import asyncpg
import structlog
from attrs import define, field

from adiuva.embedded import EmbeddedPostgres, keep_running
from adiuva.errors import AdiuvaError, InvalidTokenError, OverloadedError, UnavailableError
from adiuva.pool import FAULTS, AtHand, Pool, PooledConnection, is_lost, release
from adiuva.settings import Settings

if TYPE_CHECKING:
    # What a query function takes; the first in a transaction as well.
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PooledConnection
else:
    Connection = asyncpg.Connection

log = structlog.get_logger(__name__)

T = TypeVar("T")
OnQuery = Callable[[asyncpg.connection.LoggedQuery], None]

_HERE = Path(__file__).parent
# Installed, they are in the package; in a checkout, beside it.
MIGRATIONS = next(folder for folder in (_HERE / "migrations", _HERE.parent / "migrations") if folder.is_dir())

POOL_MIN, POOL_MAX = 5, 20
# A request that waits longer than this for a connection is better refused.
ACQUIRE_SECONDS = 5.0
CONNECT_SECONDS = 10.0
QUERY_SECONDS = 10.0


class DatabaseUnreachableError(AdiuvaError):
    """The database cannot be reached."""

    code = "database_unavailable"


class SchemaBehindError(AdiuvaError):
    """The database's schema is behind this version of Adiuva."""

    code = "schema_behind"


class Acquired:
    """``async with database.acquire() as connection``: one of the pool's, given back at the end."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._connection: PooledConnection | None = None

    async def __aenter__(self) -> PooledConnection:
        database = self._database
        self._connection = connection = database.at_hand.take() or await self._wait(database)
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, database = self._connection, self._database
        assert connection is not None
        if error is None and not database.acquiring and database.at_hand.keep(connection):
            return
        lost = isinstance(error, FAULTS) or (
            isinstance(error, Exception) and not isinstance(error, AdiuvaError) and is_lost(connection)
        )
        await release(database.pool, connection)
        if lost:
            raise UnavailableError(retry_after=1) from error
        if isinstance(error, asyncpg.ForeignKeyViolationError) and _is_of_user(error):
            raise InvalidTokenError from error

    @staticmethod
    async def _wait(database: "Database") -> PooledConnection:
        database.acquiring += 1
        try:
            # Not the pool's own timeout: before Python 3.12 that costs a task.
            async with asyncio.timeout(ACQUIRE_SECONDS):
                return await database.pool.acquire()
        except TimeoutError as error:
            database.given_up += 1
            raise OverloadedError(retry_after=1) from error
        except (*FAULTS, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            raise UnavailableError(retry_after=1) from error
        finally:
            database.acquiring -= 1


def _is_of_user(error: asyncpg.ForeignKeyViolationError) -> bool:
    """Whether a row could not be written for its user, whose account has gone while the request was under way."""
    return str(error.constraint_name).endswith(("_user_id_fkey", "_author_id_fkey"))


@define(kw_only=True)
class Database:
    """The pool and what it stands on. ``dsn`` may hold a password."""

    pool: Pool
    dsn: str = field(repr=False)
    acquiring: int = field(default=0, init=False)  # how many wait for a connection now
    given_up: int = field(default=0, init=False)  # how many have waited in vain
    at_hand: AtHand = field(init=False)
    _embedded: EmbeddedPostgres | None = None
    _supervision: "asyncio.Task[None] | None" = None

    def __attrs_post_init__(self) -> None:
        self.at_hand = AtHand(self.pool, size=POOL_MIN)

    @classmethod
    async def connect(
        cls, settings: Settings, *, share: bool = False, check: bool = True, on_query: OnQuery | None = None
    ) -> Self:
        """Start or reach the database, and see that its schema is up to date.

        An embedded database is migrated here. With ``share`` one that another process of ours runs is joined, as
        ``adiuva admin`` does beside a running server; otherwise a second server on one ``DATA_DIR`` is refused.
        ``on_query`` is called after each statement, in the context of the task that it was for.

        Raises:
            EmbeddedPostgresError: The embedded server does not start; its message says why.
            DatabaseUnreachableError: The one of ``DATABASE_URL`` cannot be reached.
            SchemaBehindError: That one's schema is behind, and ``check`` is on.
        """
        embedded = None if settings.database_url else await asyncio.to_thread(_embed, settings, share=share)
        dsn = embedded.dsn if embedded else settings.database_url
        try:
            pool = await _pool(dsn, on_query)
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
        if embedded:
            database._supervision = asyncio.create_task(keep_running(embedded, database._moved_to))
        return database

    def acquire(self) -> Acquired:
        """A connection; the database being away, or all connections being busy too long, is an ``UnavailableError``.

        Connections are not reset between their users (that is a round trip): whoever sets session state undoes it.
        """
        return Acquired(self)

    async def ping(self) -> None:
        """Raise ``UnavailableError`` unless the database answers."""
        async with self.acquire() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self) -> None:
        """Give everything back, waiting shortly for queries that run."""
        if self._supervision:
            self._supervision.cancel()
        try:
            async with asyncio.timeout(5):
                await self.at_hand.close()
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()
        finally:
            if self._embedded:
                await asyncio.to_thread(self._embedded.stop)

    def _moved_to(self, dsn: str) -> None:
        self.dsn = dsn
        self.pool.set_connect_args(dsn, **_connect_args())

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


def run_on(settings: Settings, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run ``work`` in one transaction on the database of ``settings``, beside the running server: for commands."""

    async def run() -> T:
        database = await Database.connect(settings, share=True)
        try:
            async with database.acquire() as conn, conn.transaction():
                return await work(conn)
        finally:
            await database.close()

    return asyncio.run(run())


def _embed(settings: Settings, *, share: bool) -> EmbeddedPostgres:
    folder = settings.data_dir / "postgres"
    return (EmbeddedPostgres.running(folder) if share else None) or EmbeddedPostgres.start(folder)


async def _pool(dsn: str, on_query: OnQuery | None) -> Pool:
    async def listen(connection: Connection) -> None:
        assert on_query is not None
        connection.add_query_logger(on_query)

    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=POOL_MIN,
            max_size=POOL_MAX,
            reset=_no_reset,
            init=listen if on_query is not None else None,
            **_connect_args(),
        )
    except (*FAULTS, TimeoutError, ValueError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise DatabaseUnreachableError(f"The database of DATABASE_URL cannot be reached: {error}") from error


def _connect_args() -> dict[str, Any]:
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": QUERY_SECONDS,
        # Prepared statements live as long as their connection.
        "max_cached_statement_lifetime": 0,
        "statement_cache_size": 1000,
        "server_settings": {"application_name": "adiuva"},
    }


async def _no_reset(_connection: Connection) -> None:
    """The pool rolls an open transaction back by itself; anything else would be a round trip."""
