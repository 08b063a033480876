"""The user's keys as this client holds them, and their header at the server."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Self

from adiuva.client.chunks import StreamOpener, StreamSealer
from adiuva.client.connection import Answer, Call, Connection
from adiuva.client.envelope import Header, Kind, place, seal, unseal
from adiuva.client.errors import KeyAddedError, RolledBackError, ServerError
from adiuva.client.keyring import Keyring
from adiuva.client.lock import Cost, Lock

TABLE = "keyring"
HEADER_ID = "6b657972-696e-4700-8000-000000000001"  # the same for every user: the first thing a new device asks for
_PATH = f"/storage/records/{HEADER_ID}"


class Keys:
    """Seals and opens for one user's places; goes to the server where another device has added a key."""

    def __init__(self, connection: Connection, user_id: str, lock: Lock, answer: Answer, newest: int) -> None:
        """``answer`` is the key header, as it came from the server, ``newest`` the newest key known; see ``open``."""
        self._connection = connection
        self._user_id = user_id
        self._newest = newest
        self._take(lock, answer)

    def _take(self, lock: Lock, answer: Answer) -> None:
        ring = lock.unwrap(answer.content, self._user_id)
        if ring.current < self._newest:
            raise RolledBackError
        self.ring = ring
        self._newest = ring.current
        self._lock = lock
        self._etag = answer.headers["ETag"]

    @classmethod
    async def open(cls, connection: Connection, user_id: str, passphrase: str, cost: Cost, newest: int) -> Self:
        """Fetch the key header and unlock it; where there is none, and never was, make one."""
        try:
            answer = await _fetch(connection)
        except ServerError as error:
            if error.server_code != "not_found":
                raise
            if newest:
                raise RolledBackError from error
            await cls._make(connection, user_id, passphrase, cost)
            answer = await _fetch(connection)
        # Another device may have been faster to make one, so this is the one at the server in any case.
        lock = await asyncio.to_thread(Lock.of, answer.content, passphrase)
        return cls(connection, user_id, lock, answer, newest)

    @staticmethod
    async def _make(connection: Connection, user_id: str, passphrase: str, cost: Cost) -> None:
        lock = await asyncio.to_thread(Lock.new, passphrase, cost)
        header = lock.wrap(Keyring.new(), user_id)
        call = _store("POST", "/storage/records", header, params={"table": TABLE, "id": HEADER_ID})
        try:
            await connection.send(call)
        except ServerError as error:
            if error.server_code != "id_taken":
                raise

    async def refresh(self) -> None:
        """Take the keys that another device has added.

        Raises:
            WrongPassphraseError: The passphrase was changed meanwhile.
            RolledBackError: The server gave an older ring than this one.
        """
        self._take(self._lock, await _fetch(self._connection))

    async def change(self, change: Callable[[Keyring], Keyring]) -> None:
        """Change the ring here and at the server.

        Raises:
            ServerError: ``precondition_failed``: another device was faster; this one has its change now.
        """
        await self.refresh()
        await self._write(change(self.ring), self._lock)

    async def forget_old(self) -> None:
        """Keep the current key only.

        Raises:
            KeyAddedError: it is not the one that was current here.
            ServerError: as ``change`` does.
        """
        current = self.ring.current
        await self.refresh()
        if self.ring.current != current:
            raise KeyAddedError
        await self._write(self.ring.without_old_keys(), self._lock)

    async def relock(self, passphrase: str, cost: Cost) -> None:
        """Lock the same ring with another passphrase; raises as ``change`` does."""
        await self.refresh()
        await self._write(self.ring, await asyncio.to_thread(Lock.new, passphrase, cost))

    async def _write(self, ring: Keyring, lock: Lock) -> None:
        header = lock.wrap(ring, self._user_id)
        await self._connection.send(_store("PUT", _PATH, header, if_match=self._etag))
        self._take(lock, await _fetch(self._connection))

    def place(self, *parts: str) -> bytes:
        """The associated data of one of this user's places."""
        kind, *rest = parts
        return place(kind, self._user_id, *rest)

    def seal(self, data: bytes, where: bytes) -> bytes:
        """``data`` as an envelope for the place ``where``."""
        return seal(data, where, self.ring.keys, self.ring.current)

    async def unseal(self, envelope: bytes, where: bytes) -> bytes:
        """What an envelope holds.

        Raises:
            DecryptionError: It was not sealed for this place with a key of this user, or was changed.
        """
        await self._have(envelope, Kind.WHOLE)
        return unseal(envelope, where, self.ring.keys)

    def sealer(self, where: bytes) -> StreamSealer:
        """For what may be large."""
        return StreamSealer(where, self.ring.keys, self.ring.current)

    async def opener(self, start: bytes, where: bytes) -> StreamOpener:
        """For the stream that begins with ``start``, which is still to be fed; raises as ``unseal`` does."""
        await self._have(start, Kind.STREAM)
        return StreamOpener(where, self.ring.keys)

    async def reseal(self, envelope: bytes, where: bytes) -> bytes:
        """The same data, of either kind, sealed with the current key; raises as ``unseal`` does."""
        if Header.read(envelope, *Kind).kind is Kind.WHOLE:
            return self.seal(await self.unseal(envelope, where), where)
        opener, sealer = await self.opener(envelope, where), self.sealer(where)
        return sealer.feed(opener.feed(envelope) + opener.finish()) + sealer.finish()

    def is_current(self, envelope: bytes) -> bool:
        """Whether the current key has sealed this."""
        return Header.read(envelope, *Kind).key_id == self.ring.current

    async def _have(self, envelope: bytes, kind: Kind) -> None:
        if Header.read(envelope, kind).key_id not in self.ring.keys:
            await self.refresh()


async def _fetch(connection: Connection) -> Answer:
    return await connection.send(Call(method="GET", path=_PATH))


def _store(
    method: str, path: str, header: bytes, *, if_match: str | None = None, params: dict[str, str | int] | None = None
) -> Call:
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": hashlib.sha256(header).hexdigest()}
    if if_match is not None:
        headers["If-Match"] = if_match
    return Call(method=method, path=path, body=lambda: header, headers=headers, params=params or {})
