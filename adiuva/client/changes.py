"""Sync: what this user's other devices have changed."""

from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import WSMsgType
from attrs import frozen
from cattrs import Converter

from adiuva.client import keys
from adiuva.client.connection import Call, Connection
from adiuva.client.errors import CannotConnectError
from adiuva.client.keys import Keys
from adiuva.sdk.convert import strict_converter

FIRST = "0"
PAGE = 200
_converter: Converter = strict_converter()


@frozen(kw_only=True)
class Change:
    """What became of a record last; ``Records.get`` gives its data, unless it is deleted."""

    id: str
    table: str
    deleted: bool
    checksum: str | None
    size_bytes: int | None
    created_at: datetime | None
    updated_at: datetime


@frozen(kw_only=True)
class Changes:
    """Some changes, and the cursor to keep once they are applied."""

    items: list[Change]
    cursor: str


@frozen(kw_only=True)
class _Page(Changes):
    has_more: bool


class Sync:
    """What has changed in the records of one user. All of it raises ``ServerError`` and ``CannotConnectError``."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """Of the user to whom ``keys`` belong."""
        self._connection = connection
        self._keys = keys

    async def since(self, cursor: str = FIRST) -> AsyncIterator[Changes]:
        """All changes after a cursor, this device's own among them, by and by; then it ends.

        A record that was changed several times comes once, as it is now.

        Raises:
            WrongPassphraseError: The passphrase was changed on another device: unlock with the new one, and go on.
        """
        more = True
        while more:
            params: dict[str, str | int] = {"cursor": cursor, "limit": PAGE}
            call = Call(method="GET", path="/storage/changes", params=params)
            page = _converter.structure((await self._connection.send(call)).json(), _Page)
            if any(item.table == keys.TABLE for item in page.items):
                await self._keys.refresh()
            if page.cursor != cursor:
                yield Changes(items=[item for item in page.items if item.table != keys.TABLE], cursor=page.cursor)
            cursor, more = page.cursor, page.has_more

    async def follow(self, cursor: str = FIRST) -> AsyncIterator[Changes]:
        """As ``since``, and then on and on, as soon as anything changes.

        It connects again where the server closes the socket, and raises ``CannotConnectError`` where that does not
        help: go on from the last cursor then.
        """
        while True:
            ready = False
            async with await self._connection.connect("/storage/stream") as socket:
                async for frame in socket:
                    if frame.type is not WSMsgType.TEXT:
                        break
                    ready = True  # whatever it says, there may be something
                    async for changes in self.since(cursor):
                        cursor = changes.cursor
                        yield changes
            if not ready:
                msg = "The server closed the connection."
                raise CannotConnectError(msg)
