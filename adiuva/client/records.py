"""Records: small pieces of data, each sealed for its table and id."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from attrs import frozen
from cattrs import Converter

from adiuva.client.connection import Call, Connection
from adiuva.client.errors import ServerError
from adiuva.client.files import save, sealed
from adiuva.client.keys import Keys
from adiuva.sdk.convert import strict_converter

PAGE = 200
MOST_ITEMS = 100  # of a batch
_PATH = "/storage/records"
_converter: Converter = strict_converter()


@frozen(kw_only=True)
class Record:
    """What the server knows of a record."""

    id: str
    table: str
    checksum: str
    size_bytes: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """For ``if_match``."""
        return f'"{self.checksum}"'


class Records:
    """The records of one user. All of it raises ``ServerError`` and ``CannotConnectError``."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """Of the user to whom ``keys`` belong."""
        self._connection = connection
        self._keys = keys

    async def create(self, table: str, data: bytes, *, record_id: str | None = None) -> Record:
        """Store a new record; its id is made here where none is given.

        ``id_taken`` for an id of one's own after an answer was lost: it is stored already.
        """
        record_id = record_id or str(uuid4())
        envelope = self._keys.seal(data, self._place(table, record_id))
        return await self._write("POST", _PATH, envelope, params={"table": table, "id": record_id})

    async def create_many(self, table: str, data: Sequence[bytes]) -> list[Record]:
        """Store new records, a hundred a request; each takes at most 262,095 bytes."""
        records: list[Record] = []
        for start in range(0, len(data), MOST_ITEMS):
            batch = [self._item(table, one) for one in data[start : start + MOST_ITEMS]]
            answer = await self._connection.call("POST", f"{_PATH}/batch", {"records": batch})
            for result in answer["results"]:
                if error := result.get("error"):
                    raise ServerError(error["code"], error.get("detail", "A record of the batch was refused."))
                records.append(_converter.structure(result["record"], Record))
        return records

    def _item(self, table: str, data: bytes) -> dict[str, str]:
        record_id = str(uuid4())
        envelope = self._keys.seal(data, self._place(table, record_id))
        checksum = hashlib.sha256(envelope).hexdigest()
        return {"id": record_id, "table": table, "checksum": checksum, "blob": b64encode(envelope).decode()}

    async def get(self, table: str, record_id: str) -> bytes:
        """The data of a record.

        Raises:
            DecryptionError: It is not what this user stored in this table under this id.
        """
        answer = await self._connection.send(Call(method="GET", path=f"{_PATH}/{record_id}"))
        return await self._keys.unseal(answer.content, self._place(table, record_id))

    async def replace(self, table: str, record_id: str, data: bytes, *, if_match: str | None = None) -> Record:
        """Store other data in a record; with ``if_match`` only where it is still the one with that ``Record.etag``."""
        envelope = self._keys.seal(data, self._place(table, record_id))
        return await self._write("PUT", f"{_PATH}/{record_id}", envelope, if_match=if_match)

    async def delete(self, record_id: str) -> None:
        """Delete a record."""
        await self._connection.call("DELETE", f"{_PATH}/{record_id}")

    async def list(self, table: str) -> AsyncIterator[Record]:
        """The records of a table, newest first."""
        page, seen, total = 1, 0, 1
        while seen < total:
            params: dict[str, str | int] = {"table": table, "page": page, "limit": PAGE}
            answer = (await self._connection.send(Call(method="GET", path=_PATH, params=params))).json()
            for item in answer["items"]:
                yield _converter.structure(item, Record)
            if not answer["items"]:
                return
            page, seen, total = page + 1, seen + len(answer["items"]), answer["total"]

    async def create_from_file(self, table: str, path: Path, *, record_id: str | None = None) -> Record:
        """Store what a file holds, of any size; ``save_to_file`` reads it."""
        record_id = record_id or str(uuid4())
        async with sealed(path, self._keys, self._place(table, record_id)) as file:
            headers = {**file.headers, "X-Checksum": file.checksum}
            params = {"table": table, "id": record_id}
            call = Call(method="POST", path=_PATH, body=file.chunks, headers=headers, params=params)
            return _converter.structure((await self._connection.send(call)).json(), Record)

    async def save_to_file(self, table: str, record_id: str, path: Path) -> None:
        """Write to ``path`` what ``create_from_file`` stored; raises as ``get`` does."""
        async with self._connection.stream(Call(method="GET", path=f"{_PATH}/{record_id}")) as answer:
            await save(answer, path, self._keys, self._place(table, record_id))

    async def reencrypt(self, table: str) -> int:
        """Seal anew what an older key has sealed in a table; how many records that were."""
        await self._keys.refresh()  # another device may have added a key
        records = [record async for record in self.list(table)]  # all of them first: the list moves while they change
        return sum([await self._reencrypt(table, record.id) for record in records])

    async def _reencrypt(self, table: str, record_id: str) -> bool:
        path = f"{_PATH}/{record_id}"
        try:
            answer = await self._connection.send(Call(method="GET", path=path))
            if self._keys.is_current(answer.content):
                return False
            envelope = await self._keys.reseal(answer.content, self._place(table, record_id))
            await self._write("PUT", path, envelope, if_match=answer.headers["ETag"])
        except ServerError as error:
            if error.server_code == "precondition_failed":  # another device has written it, maybe with an older key
                return await self._reencrypt(table, record_id)
            if error.server_code != "not_found":
                raise
            return False
        return True

    async def _write(
        self,
        method: str,
        path: str,
        envelope: bytes,
        *,
        if_match: str | None = None,
        params: dict[str, str | int] | None = None,
    ) -> Record:
        headers = {"Content-Type": "application/octet-stream", "X-Checksum": hashlib.sha256(envelope).hexdigest()}
        if if_match is not None:
            headers["If-Match"] = if_match
        call = Call(method=method, path=path, body=lambda: envelope, headers=headers, params=params or {})
        return _converter.structure((await self._connection.send(call)).json(), Record)

    def _place(self, table: str, record_id: str) -> bytes:
        return self._keys.place("record", table, record_id)
