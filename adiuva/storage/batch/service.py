"""Stores many small records at once: their bytes side by side, their rows in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

from aiohttp import web
from attrs import frozen

from adiuva.blobs.checksums import Sha256
from adiuva.clock import new_id
from adiuva.database import Connection, Database
from adiuva.errors import (
    AdiuvaError,
    ChecksumMismatchError,
    NotFoundError,
    PreconditionFailedError,
    UnavailableError,
    ValidationFailedError,
)
from adiuva.storage.batch import queries
from adiuva.storage.batch.models import Item, RecordBatch, Result
from adiuva.storage.batch.queries import Insertion
from adiuva.storage.errors import IdTakenError
from adiuva.storage.models import Record
from adiuva.storage.queries import replace_record
from adiuva.storage.service import account_of, same_record
from adiuva.storage.uploads.models import Body, Upload, Wanted
from adiuva.storage.uploads.service import Uploads
from adiuva.web import problems
from adiuva.web.access import Principal

_AT_ONCE = 8
_TRIES = 5


class _MovedError(Exception):
    """A record that is to be replaced is another one by now."""


@frozen(kw_only=True)
class _Write:
    """An item that can be stored, the record that it replaces, and where its bytes are."""

    record_id: UUID
    item: Item
    old: Record | None
    upload: Upload


@frozen(kw_only=True)
class Batch:
    """Every call is one user's."""

    database: Database
    uploads: Uploads

    async def store(self, principal: Principal, batch: RecordBatch) -> list[Result]:
        """Store what can be stored; gives what became of each record, in their order.

        Raises:
            ValidationFailedError: an id is there twice, or one of what is to be replaced is missing.
            QuotaExceededError: there is no room for all that is new; nothing is stored.
        """
        items = _by_id(batch)
        results = {record_id: await _checked(item) for record_id, item in items.items()}
        for _ in range(_TRIES):
            left = {record_id: item for record_id, item in items.items() if results[record_id] is None}
            existing = await self._find(principal.user_id, left)
            results |= {record_id: _refused(item, existing.get(record_id)) for record_id, item in left.items()}
            left = {record_id: item for record_id, item in left.items() if results[record_id] is None}
            try:
                results |= await self._write(principal, left, existing) if left else {}
            except (IdTakenError, _MovedError):  # somebody was faster with one of them
                continue
            return [result for result in results.values() if result is not None]
        raise UnavailableError

    async def _find(self, user_id: UUID, items: Mapping[UUID, Item]) -> dict[UUID, Record]:
        asked = [record_id for record_id, item in items.items() if item.id is not None]
        if not asked:
            return {}
        async with self.database.acquire() as conn:
            return {record.id: record for record in await queries.find_records(conn, user_id, asked)}

    async def _write(
        self, principal: Principal, items: Mapping[UUID, Item], existing: Mapping[UUID, Record]
    ) -> dict[UUID, Result]:
        account = account_of(principal)
        if account.quota == 0 and items.keys() - existing.keys():
            raise self.uploads.no_room(account)
        wanted = [_wanted(record_id, item, existing.get(record_id)) for record_id, item in items.items()]
        async with self.uploads.open(account, wanted) as uploads:
            await self._receive(uploads, list(items.values()))
            writes = [
                _Write(record_id=record_id, item=item, old=existing.get(record_id), upload=upload)
                for upload, (record_id, item) in zip(uploads, items.items(), strict=True)
            ]
            async with self.database.acquire() as conn, conn.transaction():
                await queries.lock(conn, principal.user_id, [one.upload.id for one in writes], list(existing))
                results = await _insert(conn, principal.user_id, [one for one in writes if one.old is None])
                old_keys = {}
                for one in writes:
                    if one.old is not None:
                        results[one.record_id], old_keys[one.upload.id] = await self._replace(conn, one)
            for upload in uploads:
                upload.committed = True
        for intent_id, key in old_keys.items():
            self.uploads.clear_away(intent_id, key)
        return results

    async def _replace(self, conn: Connection, one: _Write) -> tuple[Result, str]:
        account, if_match = one.upload.account, one.item.if_match
        replaced = await replace_record(
            conn,
            intent_id=one.upload.id,
            user_id=account.user_id,
            record_id=one.record_id,
            checksum=one.item.checksum,
            size=len(one.item.blob),
            blocks=one.upload.blocks,
            quota=account.quota,
            expected=None if if_match in {None, "*"} else [str(if_match)],
            lease=self.uploads.lease,
        )
        if replaced is None:
            raise _MovedError
        record, old_key = replaced
        return Result(status=200, record=record), old_key

    async def _receive(self, uploads: Sequence[Upload], items: Sequence[Item]) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def receive(upload: Upload, item: Item) -> None:
            async with turn:
                body = Body(checksum=item.checksum, length=len(item.blob), chunks=_chunks(item.blob))
                await self.uploads.receive(upload, body)

        try:
            async with asyncio.TaskGroup() as group:
                for upload, item in zip(uploads, items, strict=True):
                    group.create_task(receive(upload, item))
        except* AdiuvaError as errors:
            raise errors.exceptions[0] from None


def _by_id(batch: RecordBatch) -> dict[UUID, Item]:
    faults = [
        (f"records[{position}].id", "is needed with if_match")
        for position, item in enumerate(batch.records)
        if item.if_match is not None and item.id is None
    ]
    if faults:
        raise ValidationFailedError(faults)
    items = {item.id or new_id(): item for item in batch.records}
    if len(items) < len(batch.records):
        raise ValidationFailedError([("records", "must not have one id twice")])
    return items


async def _checked(item: Item) -> Result | None:
    hashed = Sha256()
    await hashed.take([item.blob])
    return None if hashed.is_(item.checksum) else _failed(ChecksumMismatchError())


def _refused(item: Item, existing: Record | None) -> Result | None:
    """What becomes of an item that is not to be written: it is there already, or cannot be."""
    if existing is None:
        return None if item.if_match is None else _failed(NotFoundError())
    if item.if_match is None or existing.checksum == item.checksum or existing.table != item.table:
        try:
            return Result(status=200, record=same_record(existing, item.table, item.checksum))
        except IdTakenError as error:
            return _failed(error)
    return None if item.if_match in {"*", existing.checksum} else _failed(PreconditionFailedError())


def _wanted(record_id: UUID, item: Item, old: Record | None) -> Wanted:
    return Wanted(
        name=f"{item.table}/{record_id}", length=len(item.blob), replaces=0 if old is None else old.size_bytes
    )


async def _insert(conn: Connection, user_id: UUID, writes: Sequence[_Write]) -> dict[UUID, Result]:
    if not writes:
        return {}
    insertions = [
        Insertion(
            intent_id=one.upload.id,
            record_id=one.record_id,
            table=one.item.table,
            checksum=one.item.checksum,
            size=len(one.item.blob),
            blocks=one.upload.blocks,
        )
        for one in writes
    ]
    records = await queries.insert_records(conn, user_id, insertions)
    if not records:
        raise UnavailableError
    return {record.id: Result(status=201, record=record) for record in records}


def _failed(error: AdiuvaError) -> Result:
    return Result(status=problems.status_of(error), error=problems.body(error))


async def _chunks(blob: bytes) -> AsyncIterator[bytes]:
    yield blob


BATCH = web.AppKey("record_batch", Batch)
