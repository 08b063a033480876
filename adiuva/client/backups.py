"""Backups: whole files, sealed for their version and time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen
from cattrs import Converter

from adiuva.client.connection import Call, Connection
from adiuva.client.files import save, sealed
from adiuva.client.keys import Keys
from adiuva.clock import now
from adiuva.sdk.convert import strict_converter

PAGE = 50
_converter: Converter = strict_converter()


@frozen(kw_only=True)
class Backup:
    """What the server knows of a backup."""

    id: str
    version: str
    timestamp: datetime
    checksum: str
    size_bytes: int
    created_at: datetime


class Backups:
    """The backups of one user. All of it raises ``ServerError`` and ``CannotConnectError``."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """Of the user to whom ``keys`` belong."""
        self._connection = connection
        self._keys = keys

    async def create(self, path: Path, version: str, *, timestamp: datetime | None = None) -> Backup:
        """Store what a file holds; ``version`` is the app's own word, such as that of its schema."""
        time = _text(timestamp or now())
        async with sealed(path, self._keys, self._place(version, time)) as file:
            headers = {
                **file.headers,
                "X-Backup-Version": version,
                "X-Backup-Timestamp": time,
                "X-Backup-Checksum": file.checksum,
            }
            call = Call(method="PUT", path="/backup", body=file.chunks, headers=headers)
            return _converter.structure((await self._connection.send(call)).json(), Backup)

    async def restore(self, path: Path, backup_id: str | None = None) -> str:
        """Write a backup to ``path``, the newest one where no other is named; gives its version.

        Raises:
            DecryptionError: It is no backup of this user, or not whole; ``path`` is as it was.
        """
        source = "/backup" if backup_id is None else f"/backup/{backup_id}"
        async with self._connection.stream(Call(method="GET", path=source)) as answer:
            version = answer.headers["X-Backup-Version"]
            time = _text(datetime.fromisoformat(answer.headers["X-Backup-Timestamp"]))
            await save(answer, path, self._keys, self._place(version, time))
        return version

    async def list(self) -> AsyncIterator[Backup]:
        """The backups, newest first."""
        page, seen, total = 1, 0, 1
        while seen < total:
            call = Call(method="GET", path="/backup/history", params={"page": page, "limit": PAGE})
            answer = (await self._connection.send(call)).json()
            for item in answer["items"]:
                yield _converter.structure(item, Backup)
            if not answer["items"]:
                return
            page, seen, total = page + 1, seen + len(answer["items"]), answer["total"]

    async def delete(self, backup_id: str) -> None:
        """Delete a backup."""
        await self._connection.call("DELETE", f"/backup/{backup_id}")

    def _place(self, version: str, time: str) -> bytes:
        return self._keys.place("backup", version, time)


def _text(time: datetime) -> str:
    """In UTC and whole seconds: it is bound to the backup, so it is written in one way only."""
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
