"""Takes bytes in: an intent first, then the bytes, then the row that the caller writes, else nothing is left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
import structlog

from adiuva.blobs.blocks import BlockChecksums
from adiuva.blobs.protocol import BlobStore
from adiuva.database import Database
from adiuva.errors import AdiuvaError, ChecksumMismatchError, QuotaExceededError, UnavailableError
from adiuva.storage.uploads import queries
from adiuva.storage.uploads.models import Account, Body, Traffic, Upload, Used, Wanted

log = structlog.get_logger(__name__)

T = TypeVar("T")
Reached = Callable[[str], None]

STEP_BYTES: Final = 2**20  # what a body without a length reserves at once
QUOTA_SECONDS: Final = 10.0
SURPLUS_SECONDS: Final = 0.05


def nothing(_: str) -> None:
    """Nobody wants to know how far an upload is."""


class Uploads:
    """All uploads of this process. ``reached`` is told each point at which a crash would leave something behind."""

    def __init__(
        self, *, database: Database, blobs: BlobStore, lease_seconds: float, reached: Reached = nothing
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.lease = timedelta(seconds=lease_seconds)
        self.reached = reached
        self.traffic = Traffic()
        self._running: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep the leases of uploads that run."""
        self._renewing = asyncio.create_task(self._renew_forever(), name="uploads: leases")

    async def stop(self) -> None:
        """End, once what is being cleared away is gone; what is left then is left to housekeeping."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def open(self, account: Account, wanted: Sequence[Wanted]) -> AsyncIterator[Sequence[Upload]]:
        """Reserve room for uploads, for all of them or for none; what is not committed inside leaves nothing behind.

        Raises:
            QuotaExceededError: there is no room.
            UnavailableError: nobody can say whether there is.
        """
        uploads = [Upload.of(account, one) for one in wanted]
        await self._reserve(account, uploads)
        self._running.update(upload.id for upload in uploads)
        self.reached("begun")
        try:
            yield uploads
        finally:
            self._running.difference_update(upload.id for upload in uploads)
            if failed := [upload for upload in uploads if not upload.committed]:
                await asyncio.shield(self._in_background(self._give_back(failed)))

    async def receive(self, upload: Upload, body: Body) -> int:
        """Store what comes; gives its size.

        Raises:
            ChecksumMismatchError: it is not what the checksum tells of.
            PayloadTooLargeError: it is more than was announced.
            QuotaExceededError: it is of unknown length, and more than there is room for.
        """
        blocks = BlockChecksums()
        chunks = self._metered(upload, body, blocks)
        try:
            size = await self.blobs.put(upload.key, chunks, size=body.length, sha256=body.checksum)
        except ChecksumMismatchError:
            await expect_end_soon(body)
            raise
        body.expect_end()
        upload.blocks = blocks.digest()
        self.reached("stored")
        return size

    @property
    def running(self) -> int:
        """How many uploads are under way."""
        return len(self._running)

    def no_room(self, account: Account) -> QuotaExceededError:
        """What to raise, counted."""
        self.traffic.over_quota[account.kind] += 1
        return QuotaExceededError()

    def clear_away(self, intent_id: UUID, key: str) -> None:
        """Delete a blob that no row names any more, in the background; what fails is left to housekeeping."""
        self._in_background(self._delete(intent_id, key))

    async def usage(self, user_id: UUID) -> dict[str, Used]:
        """What a user has stored, by kind.

        Raises:
            UnavailableError: nobody can say.
        """

        async def ask() -> dict[str, Used]:
            async with self.database.acquire() as conn:
                return await queries.usage(conn, user_id)

        return await _answered(ask())

    async def _reserve(self, account: Account, uploads: Sequence[Upload]) -> None:
        async def ask() -> bool:
            async with self.database.acquire() as conn:
                if not any(upload.reserved for upload in uploads):
                    await queries.begin(conn, account, uploads, self.lease)
                    return True
                return await queries.reserve(conn, account, uploads, self.lease)

        if not await _answered(ask()):
            raise self.no_room(account)

    async def _metered(self, upload: Upload, body: Body, blocks: BlockChecksums) -> AsyncIterator[bytes]:
        """The chunks of ``body``, told to ``blocks``; where its length is unknown, room is reserved as they come."""
        received = 0
        async for chunk in body.chunks:
            if not received:
                self.reached("receiving")
            received += len(chunk)
            self.traffic.bytes_in += len(chunk)
            missing = received - upload.replaces - upload.reserved
            if missing > 0 and upload.account.quota is not None:
                await self._reserve_more(upload, missing)
            blocks.update(chunk)
            yield chunk

    async def _reserve_more(self, upload: Upload, missing: int) -> None:
        for amount in (max(missing, STEP_BYTES), missing):

            async def ask(amount: int = amount) -> bool:
                async with self.database.acquire() as conn:
                    return await queries.reserve_more(conn, upload.account, intent_id=upload.id, amount=amount)

            if await _answered(ask()):
                upload.reserved += amount
                return
        raise self.no_room(upload.account)

    async def _give_back(self, uploads: Sequence[Upload]) -> None:
        async with self.database.acquire() as conn:
            doomed = [(upload.id, await queries.doom(conn, upload.id, self.lease)) for upload in uploads]
        for intent_id, key in doomed:
            if key is not None:
                self.clear_away(intent_id, key)  # whoever waits for the answer need not wait for the store

    async def _delete(self, intent_id: UUID, key: str) -> None:
        await self.blobs.delete(key)
        self.reached("cleared")
        async with self.database.acquire() as conn:
            await queries.forget(conn, [intent_id])
        self.reached("forgotten")

    def _in_background(self, work: Awaitable[None]) -> "asyncio.Task[None]":
        async def run() -> None:
            try:
                await work
            except (AdiuvaError, asyncpg.PostgresError) as error:
                log.warning("a blob is left to housekeeping", error=type(error).__name__)

        task = asyncio.create_task(run(), name="uploads: clear away")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.lease.total_seconds() / 3)
            if self._running:
                with suppress(AdiuvaError, asyncpg.PostgresError):  # the next turn comes before the lease ends
                    async with self.database.acquire() as conn:
                        await queries.renew(conn, list(self._running), self.lease)


async def expect_end_soon(body: Body) -> None:
    """Give what is under way the time to come: whoever sends more than was announced is told that, if possible.

    Raises:
        PayloadTooLargeError: more has come.
    """
    if body.length is not None:
        await asyncio.sleep(SURPLUS_SECONDS)
    body.expect_end()


async def _answered(question: Awaitable[T]) -> T:
    """What the database says of the quota; whatever goes wrong there is no answer, and never "nothing used"."""
    try:
        async with asyncio.timeout(QUOTA_SECONDS):
            return await question
    except (TimeoutError, asyncpg.PostgresError) as error:
        log.error("quota unknown", error=type(error).__name__)  # noqa: TRY400 - no text of the database in the log
        raise UnavailableError(retry_after=1) from error
