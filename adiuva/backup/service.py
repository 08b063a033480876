"""Backups: taken in and let go as records are."""

from uuid import UUID

from aiohttp import web
from attrs import frozen

from adiuva.backup import queries
from adiuva.backup.models import Backup, Label, StoredBackup
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import NotFoundError, UnavailableError
from adiuva.storage.uploads.models import Account, Body, Wanted
from adiuva.storage.uploads.service import Uploads
from adiuva.tiers import TIERS
from adiuva.web.access import Principal

_FOLDER = "_backups"  # no table of records can be called so


@frozen(kw_only=True)
class Backups:
    """Every call is one user's; another user's backup is none."""

    database: Database
    uploads: Uploads

    async def store(self, principal: Principal, label: Label, body: Body) -> Backup:
        """Take a backup in.

        Raises:
            QuotaExceededError: there is no room for it.
            ChecksumMismatchError: what comes is not what its checksum tells of.
        """
        account = Account(user_id=principal.user_id, kind="backups", quota=TIERS[principal.tier].backup_bytes)
        if account.quota == 0:
            raise self.uploads.no_room(account)
        backup_id = new_id()
        wanted = Wanted(name=f"{_FOLDER}/{backup_id}", length=body.length)
        async with self.uploads.open(account, [wanted]) as [upload]:
            size = await self.uploads.receive(upload, body)
            async with self.database.acquire() as conn:
                backup = await queries.insert_backup(
                    conn,
                    intent_id=upload.id,
                    user_id=principal.user_id,
                    backup_id=backup_id,
                    label=label,
                    checksum=body.checksum,
                    size=size,
                    blocks=upload.blocks,
                )
            if backup is None:
                raise UnavailableError
            upload.committed = True
        return backup

    async def find(self, user_id: UUID, backup_id: UUID | None) -> StoredBackup:
        """One backup; without an id, the one that was taken last.

        Raises:
            NotFoundError: there is no such backup.
        """
        async with self.database.acquire() as conn:
            if backup_id is None:
                found = await queries.find_newest(conn, user_id)
            else:
                found = await queries.find_backup(conn, user_id, backup_id)
        if found is None:
            raise NotFoundError
        return found

    async def delete(self, user_id: UUID, backup_id: UUID) -> None:
        """Delete a backup.

        Raises:
            NotFoundError: there is no such backup.
        """
        async with self.database.acquire() as conn:
            doomed = await queries.delete_backup(
                conn, intent_id=new_id(), user_id=user_id, backup_id=backup_id, lease=self.uploads.lease
            )
        if doomed is None:
            raise NotFoundError
        self.uploads.clear_away(doomed.id, doomed.key)


BACKUPS = web.AppKey("backups", Backups)
