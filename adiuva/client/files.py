"""Files of any size, sealed on their way to the server and opened on their way back. The only copy is ciphertext."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from aiohttp import ClientResponse
from attrs import frozen

from adiuva.client.chunks import CHUNK_BYTES
from adiuva.client.envelope import HEADER_BYTES
from adiuva.client.keys import Keys

_PIECE_BYTES = 16 * CHUNK_BYTES
_SPOOLED_BYTES = 8 * 1024 * 1024


@frozen(kw_only=True)
class SealedFile:
    """An envelope in a temporary file: the server wants its checksum before its first byte."""

    checksum: str
    size: int
    _file: IO[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that sends it."""
        return {"Content-Type": "application/octet-stream", "Content-Length": str(self.size)}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, from the first one, however often."""
        self._file.seek(0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE_BYTES):
            yield piece


@asynccontextmanager
async def sealed(path: Path, keys: Keys, where: bytes) -> AsyncIterator[SealedFile]:
    """The file at ``path``, sealed for the place ``where``; gone afterwards."""
    with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as file:
        yield await asyncio.to_thread(_seal, path, file, keys, where)


def _seal(path: Path, target: IO[bytes], keys: Keys, where: bytes) -> SealedFile:
    sealer, digest, size = keys.sealer(where), hashlib.sha256(), 0
    with path.open("rb") as source:
        more = True
        while more:
            data = source.read(_PIECE_BYTES)
            more = bool(data)
            piece = sealer.feed(data) if more else sealer.finish()
            digest.update(piece)
            size += target.write(piece)
    return SealedFile(checksum=digest.hexdigest(), size=size, file=target)


async def save(answer: ClientResponse, path: Path, keys: Keys, where: bytes) -> None:
    """Open the envelope that ``answer`` is, into ``path``: that holds all of it, or what it held before.

    Raises:
        DecryptionError: It was not sealed for this place with a key of this user, was changed, or is not whole.
    """
    descriptor, name = await asyncio.to_thread(tempfile.mkstemp, dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            await _open(answer, file, keys, where)
        await asyncio.to_thread(os.replace, name, path)
    except BaseException:
        await asyncio.to_thread(Path(name).unlink, missing_ok=True)
        raise


async def _open(answer: ClientResponse, file: IO[bytes], keys: Keys, where: bytes) -> None:
    start = await _at_least(answer, HEADER_BYTES)
    opener = await keys.opener(start, where)
    await asyncio.to_thread(file.write, opener.feed(start))
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        await asyncio.to_thread(lambda data: file.write(opener.feed(data)), piece)
    await asyncio.to_thread(file.write, opener.finish())
    await asyncio.to_thread(_sync, file)


async def _at_least(answer: ClientResponse, size: int) -> bytes:
    start = b""
    while len(start) < size and (more := await answer.content.read(_PIECE_BYTES)):
        start += more
    return start


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
