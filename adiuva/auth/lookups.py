"""Who asks, as the database has it now: the one query that each private request costs, shared by those that meet."""

import asyncio
from collections.abc import Mapping
from contextvars import Context, copy_context
from uuid import UUID

from asyncpg import Record
from attrs import define, field

from adiuva.auth import queries
from adiuva.database import Database

# Whoever comes while another's lookup is under way waits for it no longer than this: one connection that hangs, or a
# database that is far away, holds up nobody else.
PATIENCE_SECONDS = 0.02


@define(eq=False)
class LoginLookups:
    """Looks logins up; those that come while one is looked up are next, in one query for all of them.

    That is less work for the database and for this process the more there is to do, and none more for a request that
    comes alone. A query always begins after the requests that it is for have come, so that nothing is older than they.
    """

    _database: Database
    # The lookup that others wait for, until it is done or its time is up.
    _ahead: asyncio.TimerHandle | None = field(default=None, init=False)
    _waiting: list["_Waiting"] = field(factory=list, init=False)
    _tasks: set["asyncio.Task[None]"] = field(factory=set, init=False)

    async def find(self, login_id: UUID) -> Record | None:
        """The login as `queries.find_principals` gives it; None if it is not there, or was revoked.

        Raises:
            UnavailableError: the database is away, or too busy.
        """
        if self._ahead is not None:
            waiting = _Waiting(login_id)
            self._waiting.append(waiting)
            return await waiting.found
        turn = self._take_turn()
        try:
            return (await self._fetch([login_id])).get(login_id)
        finally:
            self._end_turn(turn)

    def _take_turn(self) -> asyncio.TimerHandle:
        self._ahead = turn = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._next)
        return turn

    def _end_turn(self, turn: asyncio.TimerHandle) -> None:
        if self._ahead is turn:
            turn.cancel()
            self._next()

    def _next(self) -> None:
        """Nobody need wait any longer: all who do are looked up now."""
        self._ahead = None
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            task = asyncio.get_running_loop().create_task(
                self._find_all(waiting, self._take_turn()), context=waiting[0].context
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _find_all(self, waiting: list["_Waiting"], turn: asyncio.TimerHandle) -> None:
        try:
            rows = await self._fetch(list({one.login_id for one in waiting}))
        except Exception as error:  # noqa: BLE001 - it is theirs, whatever it is
            for one in waiting:
                if not one.found.done():
                    one.found.set_exception(error)
        else:
            for one in waiting:
                if not one.found.done():
                    one.found.set_result(rows.get(one.login_id))
        finally:
            for one in waiting:
                one.found.cancel()  # as this was; else they are done
            self._end_turn(turn)

    async def _fetch(self, login_ids: list[UUID]) -> Mapping[UUID, Record]:
        async with self._database.acquire() as conn:
            rows = await queries.find_principals(conn, login_ids)
        return {row["login_id"]: row for row in rows}


@define(eq=False)
class _Waiting:
    login_id: UUID
    found: "asyncio.Future[Record | None]" = field(init=False)
    # The first one's is that of the query: its statement is in that request's trace.
    context: Context = field(init=False, factory=copy_context)

    @found.default
    def _future(self) -> "asyncio.Future[Record | None]":
        return asyncio.get_running_loop().create_future()
