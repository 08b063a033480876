"""Clears away what crashes left behind: uploads without an owner, blobs that had to go, bytes that nothing names."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import asyncpg
import structlog
from aiohttp import web

from adiuva import clock
from adiuva.blobs.protocol import BlobInfo, BlobStore
from adiuva.database import Database
from adiuva.errors import AdiuvaError, BlobStoreUnavailableError
from adiuva.storage.housekeeping import queries
from adiuva.storage.housekeeping.models import Tidied
from adiuva.storage.uploads import queries as upload_queries
from adiuva.storage.uploads.models import Doomed

log = structlog.get_logger(__name__)

ORPHANS_EVERY: Final = timedelta(hours=24)
HALF_WRITTEN_FOR: Final = timedelta(hours=24)  # no upload takes so long
CLOCKS_DIFFER: Final = timedelta(minutes=1)  # the store's and the database's
_BATCH: Final = 500
_AT_ONCE: Final = 8


class Housekeeper:
    """Runs beside the server, on any number of nodes: what one has taken on, the others leave alone."""

    def __init__(self, *, database: Database, blobs: BlobStore, lease_seconds: float) -> None:
        self._database = database
        self._blobs = blobs
        self._lease = timedelta(seconds=lease_seconds)
        self._pause = lease_seconds / 3
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the rounds; the first one at once."""
        self._task = asyncio.create_task(self._loop(), name="storage: housekeeping")

    async def stop(self) -> None:
        """End; a round that runs is broken off, which is as safe as a crash."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def run(self) -> Tidied:
        """A whole round: what is due, what nothing names, and the counters.

        Raises:
            AdiuvaError: the database or the blob store is away; the next round goes on.
        """
        tidied = await self.clear_due()
        tidied.orphans = await self.clear_orphans()
        tidied.repaired = await self.recount()
        return tidied

    async def clear_due(self) -> Tidied:
        """End the uploads whose lease has ended, and delete the blobs that have to go."""
        tidied = Tidied()
        async with self._database.acquire() as conn:
            for intent_id in await upload_queries.find_abandoned(conn):
                # Doomed for no time at all: the deletion below takes it on.
                doomed = await upload_queries.doom(conn, intent_id, timedelta(0), abandoned=True)
                tidied.abandoned += doomed is not None
        while True:
            async with self._database.acquire() as conn:
                due = await upload_queries.claim_doomed(conn, limit=_BATCH, lease=self._lease)
            if not due:
                return tidied
            tidied.deleted += await self._delete(due)

    async def clear_orphans(self) -> int:
        """Delete the bytes that nothing names, and those that are half written; gives how many blobs that were.

        Bytes that are older than the database were never its own: a server that was started with the wrong one, or
        with none, would delete everything.
        """
        orphans = foreign = 0
        async with self._database.acquire() as conn:
            born = await queries.find_birth(conn) - CLOCKS_DIFFER
        async for blobs in self._listed():
            async with self._database.acquire() as conn:
                unknown = set(await queries.find_unknown(conn, [blob.key for blob in blobs]))
            ours = [blob.key for blob in blobs if blob.key in unknown and blob.modified >= born]
            for key in ours:
                log.warning("bytes without a row deleted", key=key)
                await self._blobs.delete(key)
            orphans += len(ours)
            foreign += len(unknown) - len(ours)
        if foreign:
            log.error(
                "bytes are older than the database, which does not know them: is it the right one?", count=foreign
            )
        await self._blobs.sweep(clock.now() - HALF_WRITTEN_FOR)
        return orphans

    async def recount(self) -> int:
        """Put right the counters that do not agree with the rows; gives how many those were."""
        async with self._database.acquire() as conn:
            drifted = await queries.find_drift(conn)
            for counter in drifted:
                log.warning("usage counted anew", user_id=str(counter.user_id), kind=counter.kind)
                async with conn.transaction():
                    await queries.lock_counter(conn, counter)
                    await queries.recount(conn, counter)
        return len(drifted)

    async def _delete(self, due: list[Doomed]) -> int:
        """Delete the blobs of ``due``; those whose turn fails come again when their lease has ended."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def delete(doomed: Doomed) -> Doomed | None:
            async with turn:
                try:
                    await self._blobs.delete(doomed.key)
                except BlobStoreUnavailableError:
                    return None
                return doomed

        gone = [doomed for doomed in await asyncio.gather(*map(delete, due)) if doomed]
        async with self._database.acquire() as conn:
            await upload_queries.forget(conn, [doomed.id for doomed in gone])
        if len(gone) < len(due):
            log.warning("blobs could not be deleted yet", left=len(due) - len(gone))
        return len(gone)

    async def _listed(self) -> AsyncIterator[list[BlobInfo]]:
        blobs: list[BlobInfo] = []
        async for blob in self._blobs.list():
            blobs.append(blob)
            if len(blobs) == _BATCH:
                yield blobs
                blobs = []
        if blobs:
            yield blobs

    async def _loop(self) -> None:
        whole_at = clock.now()
        while True:
            try:
                if clock.now() >= whole_at:
                    await self.run()
                    whole_at = clock.now() + ORPHANS_EVERY
                else:
                    await self.clear_due()
            except (AdiuvaError, asyncpg.PostgresError) as error:
                log.warning("housekeeping put off", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the next round may go well
                log.error("housekeeping failed", error=type(error).__name__)  # noqa: TRY400 - no message in the log
            await asyncio.sleep(self._pause)


HOUSEKEEPER = web.AppKey("housekeeper", Housekeeper)
