"""Stores many small records at once: their bytes side by side, their rows in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from aiohttp import web
from attrs import frozen

from adiuva.blobs.checksums import Sha256
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import (
    AdiuvaError,
    ChecksumMismatchError,
    QuotaExceededError,
    UnavailableError,
    ValidationFailedError,
)
from adiuva.storage.batch import queries
from adiuva.storage.batch.models import NewRecord, RecordBatch, Result
from adiuva.storage.batch.queries import Insertion
from adiuva.storage.errors import IdTakenError
from adiuva.storage.models import Record
from adiuva.storage.service import account_of, same_record
from adiuva.storage.uploads.models import Body, Upload, Wanted
from adiuva.storage.uploads.service import Uploads
from adiuva.web import problems
from adiuva.web.access import Principal

_AT_ONCE = 8
_TRIES = 5


@frozen(kw_only=True)
class Batch:
    """Every call is one user's."""

    database: Database
    uploads: Uploads

    async def store(self, principal: Principal, batch: RecordBatch) -> list[Result]:
        """Store what can be stored; gives what became of each record, in their order.

        Raises:
            ValidationFailedError: an id is there twice.
            QuotaExceededError: there is no room for all that is new; nothing is stored.
        """
        items = {item.id or new_id(): item for item in batch.records}
        if len(items) < len(batch.records):
            raise ValidationFailedError([("records", "must not have one id twice")])
        results = {record_id: await _checked(item) for record_id, item in items.items()}
        for _ in range(_TRIES):
            new = {record_id: item for record_id, item in items.items() if results[record_id] is None}
            results |= await self._known(principal.user_id, new)
            new = {record_id: item for record_id, item in new.items() if results[record_id] is None}
            try:
                results |= await self._insert(principal, new) if new else {}
            except IdTakenError:  # somebody was faster with one of them
                continue
            return [result for result in results.values() if result is not None]
        raise UnavailableError

    async def _known(self, user_id: UUID, items: dict[UUID, NewRecord]) -> dict[UUID, Result]:
        asked = [record_id for record_id, item in items.items() if item.id is not None]
        if not asked:
            return {}
        async with self.database.acquire() as conn:
            existing = await queries.find_records(conn, user_id, asked)
        return {record.id: _again(record, items[record.id]) for record in existing}

    async def _insert(self, principal: Principal, items: dict[UUID, NewRecord]) -> dict[UUID, Result]:
        account = account_of(principal)
        if account.quota == 0:
            raise QuotaExceededError
        wanted = [Wanted(name=f"{item.table}/{record_id}", length=len(item.blob)) for record_id, item in items.items()]
        async with self.uploads.open(account, wanted) as uploads:
            await self._receive(uploads, list(items.values()))
            insertions = [
                Insertion(
                    intent_id=upload.id,
                    record_id=record_id,
                    table=item.table,
                    checksum=item.checksum,
                    size=len(item.blob),
                )
                for upload, (record_id, item) in zip(uploads, items.items(), strict=True)
            ]
            async with self.database.acquire() as conn:
                records = await queries.insert_records(conn, principal.user_id, insertions)
            if not records:
                raise UnavailableError
            for upload in uploads:
                upload.committed = True
        return {record.id: Result(status=201, record=record) for record in records}

    async def _receive(self, uploads: Sequence[Upload], items: Sequence[NewRecord]) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def receive(upload: Upload, item: NewRecord) -> None:
            async with turn:
                body = Body(checksum=item.checksum, length=len(item.blob), chunks=_chunks(item.blob))
                await self.uploads.receive(upload, body)

        try:
            async with asyncio.TaskGroup() as group:
                for upload, item in zip(uploads, items, strict=True):
                    group.create_task(receive(upload, item))
        except* AdiuvaError as errors:
            raise errors.exceptions[0] from None


async def _checked(item: NewRecord) -> Result | None:
    hashed = Sha256()
    await hashed.take([item.blob])
    return None if hashed.is_(item.checksum) else _failed(ChecksumMismatchError())


def _again(existing: Record, item: NewRecord) -> Result:
    try:
        return Result(status=200, record=same_record(existing, item.table, item.checksum))
    except IdTakenError as error:
        return _failed(error)


def _failed(error: AdiuvaError) -> Result:
    return Result(status=problems.status_of(error), error=problems.body(error))


async def _chunks(blob: bytes) -> AsyncIterator[bytes]:
    yield blob


BATCH = web.AppKey("record_batch", Batch)
