"""Deletes accounts, whatever is away at that moment."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Final

import asyncpg
import stamina
import structlog
from aiohttp import web

from adiuva.account import queries
from adiuva.account.places import Place
from adiuva.auth.service import Auth
from adiuva.database import Database
from adiuva.errors import AdiuvaError
from adiuva.storage.housekeeping.housekeeper import Housekeeper
from adiuva.web.access import Principal

log = structlog.get_logger(__name__)

ROUND_SECONDS: Final = 10.0
# A request that began before the end of its account may still write somewhere; after so long none does.
LAST_WORDS: Final = timedelta(seconds=60)


class Accounts:
    """The end of accounts: blobs are left to housekeeping, ``places`` to rounds that go on until nothing is left."""

    def __init__(self, *, auth: Auth, database: Database, housekeeper: Housekeeper, places: Sequence[Place]) -> None:
        self._auth = auth
        self._database = database
        self._housekeeper = housekeeper
        self._places = places
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the rounds."""
        self._loop_task = asyncio.create_task(self._loop(), name="accounts: remains")

    async def stop(self) -> None:
        """End; what is left then is found again after the next start."""
        tasks = [*self._tasks, *([self._loop_task] if self._loop_task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def delete(self, principal: Principal, password: str) -> None:
        """Delete an account: its rows now, what is elsewhere as soon as that can be reached.

        Raises:
            InvalidCredentialsError: the password is wrong.
        """
        await self._auth.confirm(principal, password)
        async for attempt in stamina.retry_context(on=asyncpg.DeadlockDetectedError, attempts=5, wait_initial=0.05):
            with attempt:
                await self._delete_rows(principal)
        log.info("account deleted", user_id=str(principal.user_id))
        self._soon(self._housekeeper.clear_due())
        for place in self._places:
            self._soon(self.clear(place))

    async def clear(self, place: Place) -> None:
        """Delete what ``place`` has of accounts that are gone; what fails comes again in the next round."""
        async with self._database.acquire() as conn:
            remains = await queries.list_remains(conn, place.id)
        for user in remains:
            try:
                await place.clear(user.user_id, user.name)
            except AdiuvaError:  # it is away
                raise
            except Exception as error:  # noqa: BLE001 - the others need not wait for this one
                log.error("an account is not cleared away", place=place.id, error=type(error).__name__)  # noqa: TRY400
                continue
            async with self._database.acquire() as conn:
                await queries.forget_remains(conn, user.user_id, place.id, LAST_WORDS)

    async def _delete_rows(self, principal: Principal) -> None:
        user_id = principal.user_id
        async with self._database.acquire() as conn, conn.transaction():
            await queries.lock_storage(conn, user_id)
            await queries.doom_blobs(conn, user_id)
            names = {place.id: await place.name_of(conn, user_id) for place in self._places}
            if await queries.delete_user(conn, user_id):
                await queries.remember(conn, user_id, {id_: name for id_, name in names.items() if name is not None})

    def _soon(self, work: Awaitable[object]) -> None:
        task = asyncio.create_task(_put_off(work), name="accounts: clear away")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _loop(self) -> None:
        while True:
            for place in self._places:
                await _put_off(self.clear(place))
            await asyncio.sleep(ROUND_SECONDS)


async def _put_off(work: Awaitable[object]) -> None:
    """What does not go now goes in one of the next rounds."""
    try:
        await work
    except (AdiuvaError, asyncpg.PostgresError) as error:
        log.warning("what is left of deleted accounts is put off", error=type(error).__name__)
    except Exception as error:  # noqa: BLE001 - the next round may go well
        log.error("deleted accounts not cleared away", error=type(error).__name__)  # noqa: TRY400 - no message in the log


ACCOUNTS = web.AppKey("accounts", Accounts)
