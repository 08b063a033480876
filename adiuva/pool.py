"""Connections to PostgreSQL, made on need, kept, and lent to one user at a time.

asyncpg has a pool of its own. It makes a proxy, a future and a task each time it lends a connection, and that takes
twice the CPU of the query that it was lent for (measured: 40 beside 20 microseconds).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from attrs import define, field

from adiuva.errors import AdiuvaError, OverloadedError, UnavailableError

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# A request that waits longer than this for a connection is better refused.
ACQUIRE_SECONDS = 5.0
# Something on the way may have dropped a connection that was idle for longer, without telling.
_IDLE_SECONDS = 300.0
_SETTLE_SECONDS = 5.0

# The server is away, going, or out of something; the same statement may work in a moment.
FAULTS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@define(kw_only=True, eq=False)
class Pool:
    """At most ``high`` connections, of which ``low`` are made by ``open``. Who waits for one is served in order."""

    connect: Callable[[], Awaitable[Connection]]
    low: int = 5
    high: int = 20
    _all: set[Connection] = field(init=False, factory=set)
    _idle: list[tuple[Connection, float]] = field(init=False, factory=list)
    _waiting: "deque[asyncio.Future[Connection | None]]" = field(init=False, factory=deque)
    _connecting: int = field(init=False, default=0)
    _settling: set[asyncio.Task[None]] = field(init=False, factory=set)
    _empty: asyncio.Event = field(init=False, factory=asyncio.Event)
    _closing: bool = field(init=False, default=False)

    async def open(self) -> None:
        """Make the first connections. Raises what connecting raises."""
        made = await asyncio.gather(*(self._connect() for _ in range(self.low)), return_exceptions=True)
        for connection in self._all:
            self._lend(connection)
        for fault in made:
            if isinstance(fault, BaseException):
                await self.close()
                raise fault

    def acquire(self) -> "Lent":
        """``async with pool.acquire() as connection``.

        Raises:
            OverloadedError: All connections have been busy for ``ACQUIRE_SECONDS``.
            UnavailableError: The database is away, or went away in between.
        """
        return Lent(self)

    async def close(self, grace: float = 5.0) -> None:
        """Close what is idle, wait for the rest for ``grace`` seconds, then cut it off."""
        self._closing = True
        while self._waiting:
            self._wake(None)
        while self._idle:
            self._drop(self._idle.pop()[0])
        if self._all or self._connecting:
            try:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
            except TimeoutError:
                for connection in tuple(self._all):
                    self._drop(connection)

    def take_idle(self) -> Connection | None:
        """The connection that was used last, if it is good."""
        while self._idle:
            connection, since = self._idle.pop()
            if not connection.is_closed() and asyncio.get_running_loop().time() - since < _IDLE_SECONDS:
                return connection
            self._drop(connection)
        return None

    async def take(self) -> Connection:
        """An idle connection, a new one, or the next that is given back."""
        while not self._closing:
            if (connection := self.take_idle()) is not None:
                return connection
            if len(self._all) + self._connecting < self.high:
                return await self._connect()
            turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                connection = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on(turn.result())
                raise
            if connection is not None:
                return connection
        raise UnavailableError(retry_after=1)

    def give(self, connection: Connection, *, settled: bool = True) -> None:
        """Take a connection back. One that is not ``settled`` may be in the middle of something."""
        if self._closing or connection.is_closed():
            self._drop(connection)
            self._wake(None)
        elif settled and not connection.is_in_transaction():
            self._lend(connection)
        else:
            task = asyncio.get_running_loop().create_task(self._settle(connection))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _connect(self) -> Connection:
        self._connecting += 1
        try:
            connection = await self.connect()
        except BaseException:
            self._connecting -= 1
            self._wake(None)  # There is room for another to try.
            self._check_empty()
            raise
        self._connecting -= 1
        self._all.add(connection)
        return connection

    async def _settle(self, connection: Connection) -> None:
        """Wait for what was cancelled, and undo a transaction that was left open."""
        try:
            await connection.reset(timeout=_SETTLE_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, this connection is of no more use
            connection.terminate()
        self.give(connection)

    def _lend(self, connection: Connection) -> None:
        if not self._wake(connection):
            self._idle.append((connection, asyncio.get_running_loop().time()))

    def _wake(self, connection: Connection | None) -> bool:
        """Hand the next one who waits this connection, or, with None, the room to make one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _pass_on(self, connection: Connection | None) -> None:
        if connection is None:
            self._wake(None)
        else:
            self.give(connection)

    def _drop(self, connection: Connection) -> None:
        connection.terminate()
        self._all.discard(connection)
        self._check_empty()

    def _check_empty(self) -> None:
        if self._closing and not self._all and not self._connecting:
            self._empty.set()


class Lent:
    """One use of a connection."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        connection = self._pool.take_idle()
        if connection is None:
            try:
                async with asyncio.timeout(ACQUIRE_SECONDS):
                    connection = await self._pool.take()
            except TimeoutError as error:
                raise OverloadedError(retry_after=1) from error
            except (*FAULTS, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
                raise UnavailableError(retry_after=1) from error
        self._connection = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        self._connection = None
        # An InterfaceError is also how asyncpg tells of a mistake in its use, which is no unavailability.
        lost = isinstance(error, FAULTS) or (isinstance(error, asyncpg.InterfaceError) and connection.is_closed())
        self._pool.give(connection, settled=error is None or isinstance(error, asyncpg.PostgresError | AdiuvaError))
        if lost:
            raise UnavailableError(retry_after=1) from error
