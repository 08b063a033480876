"""Takes packages in and gives them out. What comes is in the blob store before it is looked through, and in no row."""

import asyncio
from typing import Final

from aiohttp import web

from adiuva.clock import new_id
from adiuva.database import Connection, Database
from adiuva.errors import NotFoundError, UnavailableError
from adiuva.marketplace import queries as plugin_queries
from adiuva.marketplace.errors import NotInstalledError, PackageFixedError
from adiuva.marketplace.models import Plugin
from adiuva.marketplace.packages import queries
from adiuva.marketplace.packages.archives import inspect
from adiuva.marketplace.packages.models import Target
from adiuva.marketplace.service import in_transaction, is_privileged
from adiuva.storage.models import Blob
from adiuva.storage.service import read_to_the_end
from adiuva.storage.uploads.models import Account, Body, Doomed, Upload, Wanted
from adiuva.storage.uploads.service import Uploads
from adiuva.web.access import Principal

_FOLDER: Final = "_plugins"  # no table of records can be called so
_AT_ONCE: Final = 2  # archives that are looked through, each in memory as a whole


class Packages:
    """The archives of plugins: an author's own, until an admin has approved them."""

    def __init__(self, *, database: Database, uploads: Uploads) -> None:
        self._database = database
        self._uploads = uploads
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def upload(self, principal: Principal, plugin_id: str, body: Body) -> Plugin:
        """Keep the package of the version that waits for a review, in place of the one it had.

        An approved version without a package can get one; that waits for a review by itself.

        Raises:
            NotFoundError: the plugin is not the user's.
            PackageFixedError: the package of that version has been reviewed.
            ChecksumMismatchError: what comes is not what its checksum tells of.
            RefusedError: it is no archive that may be kept.
        """
        async with self._database.acquire() as conn:
            target = await self._target(conn, principal, plugin_id)
        if target.package_approved:
            if target.package_checksum != body.checksum:
                raise PackageFixedError
            await read_to_the_end(body)
            return await self._shown(principal, plugin_id, target)  # a retry
        account = Account(user_id=principal.user_id, kind="packages", quota=None)
        wanted = Wanted(name=f"{_FOLDER}/{plugin_id}", length=body.length)
        async with self._uploads.open(account, [wanted]) as [upload]:
            size = await self._uploads.receive(upload, body)
            await self._look_through(upload)
            await self._attach(principal, plugin_id, target=target, upload=upload, checksum=body.checksum, size=size)
        return await self._shown(principal, plugin_id, target)

    async def find(self, principal: Principal, plugin_id: str) -> Blob:
        """The package of a plugin: the approved one; for its author and admins the last one.

        Raises:
            NotFoundError: there is none for this user.
            NotInstalledError: the user has not installed the plugin.
        """
        async with self._database.acquire() as conn:
            plugin = await plugin_queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
            if plugin is not None and is_privileged(principal, plugin.author_id):
                submitted = await queries.find_submitted(conn, plugin_id)
                blob = submitted.package if submitted else None
            elif plugin is None or plugin.status != "approved":
                raise NotFoundError
            elif not plugin.installed:
                raise NotInstalledError
            else:
                blob = await queries.find_approved(conn, plugin_id)
        if blob is None:
            raise NotFoundError("This plugin has no package here.")
        return blob

    async def _target(self, conn: Connection, principal: Principal, plugin_id: str) -> Target:
        target = await queries.find_target(conn, plugin_id)
        if target is None or target.author_id != principal.user_id:
            plugin = await plugin_queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
            if plugin is None or plugin.author_id != principal.user_id:
                raise NotFoundError
            raise PackageFixedError("No version of this plugin waits for a review; submit a new one.")
        return target

    async def _look_through(self, upload: Upload) -> None:
        async with self._turns:
            data = bytearray()
            async with self._uploads.blobs.get(upload.key) as chunks:
                async for chunk in chunks:
                    data += chunk
            await asyncio.to_thread(inspect, data)

    async def _attach(
        self, principal: Principal, plugin_id: str, *, target: Target, upload: Upload, checksum: str, size: int
    ) -> None:
        async def work(conn: Connection) -> Doomed | None:
            await plugin_queries.lock_plugin(conn, plugin_id)
            now = await self._target(conn, principal, plugin_id)
            if now.position != target.position or now.package_approved:
                raise PackageFixedError
            stored, doomed = await queries.attach(
                conn,
                intent_id=upload.id,
                doom_id=new_id(),
                plugin_id=plugin_id,
                target=target,
                checksum=checksum,
                size=size,
                lease=self._uploads.lease,
            )
            if not stored:
                raise UnavailableError
            return doomed

        replaced = await in_transaction(self._database, work)
        upload.committed = True
        if replaced is not None:
            self._uploads.clear_away(replaced.id, replaced.key)

    async def _shown(self, principal: Principal, plugin_id: str, target: Target) -> Plugin:
        async with self._database.acquire() as conn:
            plugin = await plugin_queries.find_version(conn, plugin_id, target.version, user_id=principal.user_id)
        if plugin is None:
            raise NotFoundError
        return plugin


PACKAGES = web.AppKey("packages", Packages)
