"""Records: what is stored, replaced and deleted, and that bytes and rows agree whatever dies between."""

from collections.abc import Sequence
from uuid import UUID

from aiohttp import web
from attrs import frozen

from adiuva.blobs.checksums import Sha256
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import (
    ChecksumMismatchError,
    NotFoundError,
    PreconditionFailedError,
    UnavailableError,
)
from adiuva.storage import queries
from adiuva.storage.errors import IdTakenError
from adiuva.storage.models import Blob, Record, Usage, UsageOf
from adiuva.storage.uploads.models import Account, Body, Upload, Used, Wanted
from adiuva.storage.uploads.service import Uploads, expect_end_soon
from adiuva.tiers import TIERS
from adiuva.web.access import Principal

_TRIES = 10
_NOTHING = Used(used_bytes=0, reserved_bytes=0)


@frozen(kw_only=True)
class Records:
    """Every call is one user's; another user's record is none."""

    database: Database
    uploads: Uploads

    async def create(self, principal: Principal, table: str, record_id: UUID | None, body: Body) -> tuple[Record, bool]:
        """Store a new record; gives it, and whether it is new: the same one again is a retry.

        Raises:
            IdTakenError: the id is that of another record.
            QuotaExceededError: there is no room for it.
            ChecksumMismatchError: what comes is not what its checksum tells of.
        """
        if record_id is not None and (existing := await self._find(principal.user_id, record_id)):
            await read_to_the_end(body)
            return same_record(existing, table, body.checksum), False
        account = account_of(principal)
        if account.quota == 0:
            raise self.uploads.no_room(account)
        stored_id = record_id or new_id()
        wanted = Wanted(name=f"{table}/{stored_id}", length=body.length)
        async with self.uploads.open(account, [wanted]) as [upload]:
            size = await self.uploads.receive(upload, body)
            try:
                async with self.database.acquire() as conn:
                    record = await queries.insert_record(
                        conn,
                        intent_id=upload.id,
                        user_id=principal.user_id,
                        record_id=stored_id,
                        table=table,
                        checksum=body.checksum,
                        size=size,
                        blocks=upload.blocks,
                    )
            except IdTakenError:  # somebody was faster
                existing = await self._find(principal.user_id, stored_id)
                if existing is None:
                    raise
                return same_record(existing, table, body.checksum), False
            if record is None:
                raise UnavailableError
            upload.committed = True
        self.uploads.reached("committed")
        return record, True

    async def replace(
        self, principal: Principal, record_id: UUID, body: Body, expected: Sequence[str] | None
    ) -> Record:
        """Let a record have other bytes, if its checksum is one of ``expected``; None: whatever it is.

        Raises:
            NotFoundError: there is no such record.
            PreconditionFailedError: it has another checksum.
            QuotaExceededError: it grows, and there is no room for it.
            ChecksumMismatchError: what comes is not what its checksum tells of.
        """
        account = account_of(principal)
        old = await self._expected(principal.user_id, record_id, expected)
        wanted = Wanted(name=f"{old.table}/{record_id}", length=body.length, replaces=old.size_bytes)
        async with self.uploads.open(account, [wanted]) as [upload]:
            size = await self.uploads.receive(upload, body)
            record, old_key = await self._commit_replacement(upload, record_id, body.checksum, size, expected)
            upload.committed = True
        self.uploads.reached("committed")
        self.uploads.clear_away(upload.id, old_key)
        return record

    async def _commit_replacement(
        self, upload: Upload, record_id: UUID, checksum: str, size: int, expected: Sequence[str] | None
    ) -> tuple[Record, str]:
        account = upload.account
        for _ in range(_TRIES):  # one that is deleted and made again meanwhile is found the next time
            async with self.database.acquire() as conn:
                replaced = await queries.replace_record(
                    conn,
                    intent_id=upload.id,
                    user_id=account.user_id,
                    record_id=record_id,
                    checksum=checksum,
                    size=size,
                    blocks=upload.blocks,
                    quota=account.quota,
                    expected=expected,
                    lease=self.uploads.lease,
                )
            if replaced is not None:
                return replaced
            now = await self._expected(account.user_id, record_id, expected)
            if account.quota is not None and size - now.size_bytes > upload.reserved:
                raise self.uploads.no_room(account)
        raise UnavailableError

    async def delete(self, principal: Principal, record_id: UUID, expected: Sequence[str] | None) -> None:
        """Delete a record, if its checksum is one of ``expected``; None: whatever it is.

        Raises:
            NotFoundError: there is no such record.
            PreconditionFailedError: it has another checksum.
        """
        async with self.database.acquire() as conn:
            doomed = await queries.delete_record(
                conn,
                intent_id=new_id(),
                user_id=principal.user_id,
                record_id=record_id,
                expected=expected,
                lease=self.uploads.lease,
            )
        if doomed is None:
            if expected is not None:
                await self._expected(principal.user_id, record_id, expected)
                raise PreconditionFailedError  # it was another one a moment ago
            raise NotFoundError
        self.uploads.reached("committed")
        self.uploads.clear_away(doomed.id, doomed.key)

    async def blob(self, user_id: UUID, record_id: UUID) -> Blob:
        """Where a record's bytes are.

        Raises:
            NotFoundError: there is no such record.
        """
        async with self.database.acquire() as conn:
            blob = await queries.find_blob(conn, user_id, record_id)
        if blob is None:
            raise NotFoundError
        return blob

    async def usage(self, principal: Principal) -> Usage:
        """How much of its shares the user has used.

        Raises:
            UnavailableError: nobody can say.
        """
        used, tier = await self.uploads.usage(principal.user_id), TIERS[principal.tier]
        return Usage(
            records=UsageOf(used_bytes=used.get("records", _NOTHING).used_bytes, quota_bytes=tier.storage_bytes),
            backups=UsageOf(used_bytes=used.get("backups", _NOTHING).used_bytes, quota_bytes=tier.backup_bytes),
        )

    async def _find(self, user_id: UUID, record_id: UUID) -> Record | None:
        async with self.database.acquire() as conn:
            return await queries.find_record(conn, user_id, record_id)

    async def _expected(self, user_id: UUID, record_id: UUID, expected: Sequence[str] | None) -> Record:
        record = await self._find(user_id, record_id)
        if record is None:
            raise NotFoundError
        if expected is not None and record.checksum not in expected:
            raise PreconditionFailedError
        return record


def account_of(principal: Principal) -> Account:
    """Whose share of storage a record is counted in."""
    return Account(user_id=principal.user_id, kind="records", quota=TIERS[principal.tier].storage_bytes)


def same_record(existing: Record, table: str, checksum: str) -> Record:
    """``existing``, which a retry would make again.

    Raises:
        IdTakenError: it is another one.
    """
    if (existing.table, existing.checksum) != (table, checksum):
        raise IdTakenError
    return existing


async def read_to_the_end(body: Body) -> None:
    """What is a retry has to have the bytes that it tells of, too."""
    hashed = Sha256()
    async for chunk in body.chunks:
        await hashed.take([chunk])
    if not hashed.is_(body.checksum):
        await expect_end_soon(body)
        raise ChecksumMismatchError


RECORDS = web.AppKey("records", Records)
