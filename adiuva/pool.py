"""The pool's connections: what may go wrong with one, and where it waits between one user and the next."""

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import structlog
from attrs import define, field

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    PooledConnection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    PooledConnection = asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

log = structlog.get_logger(__name__)

# What a connection has to be fit for the next user, after a query that was given up: it waits for its cancelling.
RELEASE_SECONDS = 5.0
# How often those that are at hand go back to the pool, which closes the ones that have had no user for five minutes.
AT_HAND_SECONDS = 30.0

# The server is away, too slow (a TimeoutError is an OSError), going, or out of something; the same statement may
# work in a moment.
FAULTS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,  # What asyncpg says of a connection that ends while it speaks.
)


async def release(pool: Pool, connection: PooledConnection) -> None:
    """Give a connection back to the pool, which sees to the state that it is in."""
    try:
        await pool.release(connection, timeout=RELEASE_SECONDS)
    except (*FAULTS, asyncpg.InterfaceError, asyncpg.PostgresError) as fault:
        # What was asked for is done; the pool makes a new connection in place of this one.
        log.info("a connection was lost on its way back", error=type(fault).__name__)


def is_lost(connection: PooledConnection) -> bool:
    """Whether a connection has ended: what goes wrong on it then is of that, whatever the exception says.

    On one that lives an ``InterfaceError`` is a mistake in its use.
    """
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # The pool has let go of it already.
        return True


@define(eq=False)
class AtHand:
    """Up to ``size`` of the pool's connections, between one user and the next.

    To fetch one from the pool and to bring it back cost a task, and more time than a small query. Most users find the
    one here that the last has left.
    """

    _pool: Pool
    _size: int
    _connections: list[PooledConnection] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _returning: set["asyncio.Task[None]"] = field(factory=set, init=False)
    _closed: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._connections)

    def take(self) -> PooledConnection | None:
        """The one that was used last; None where the pool has to be asked."""
        if not self._connections:
            return None
        if is_lost(self._connections[-1]):
            self._return_all()  # the server is gone, or was, and the others' with it
            return None
        return self._connections.pop()

    def keep(self, connection: PooledConnection) -> bool:
        """Keep one for the next user; False if it has to go back to the pool."""
        if self._closed or len(self._connections) >= self._size:
            return False
        if is_lost(connection) or connection.is_in_transaction():
            return False
        self._connections.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AT_HAND_SECONDS, self._return_all)
        return True

    async def close(self) -> None:
        """Give all back, and keep none any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._release(self._connections)

    def _return_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connections, self._connections = self._connections, []
        task = asyncio.get_running_loop().create_task(self._release(connections))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _release(self, connections: list[PooledConnection]) -> None:
        while connections:
            await release(self._pool, connections.pop())
