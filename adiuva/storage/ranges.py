"""Parts of blobs, which are checked as the whole is: none is given out in which a byte has changed in the store.

What is known of a blob is the checksum of all of it. So when a part is first asked for, all of it is read once, and a
checksum of each block remembered; a blob never changes under its key. From then on a part costs the blocks it is in.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Final
from weakref import WeakValueDictionary

from aiohttp import web

from adiuva.blobs.checksums import Sha256
from adiuva.blobs.chunks import Pieces
from adiuva.blobs.protocol import BlobStore
from adiuva.errors import BlobDamagedError
from adiuva.storage.models import Blob

BLOCK: Final = 2**20  # bytes
REMEMBERED: Final = 2**16  # blocks of all blobs together, with 32 bytes each


class Ranges:
    """The parts of the blobs in ``blobs``."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._known: OrderedDict[str, Sequence[bytes]] = OrderedDict()
        self._size = 0  # blocks
        self._reading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, blob: Blob, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``end``, a block at a time.

        Raises:
            BlobMissingError: there is no such blob; before the first block.
            BlobDamagedError: it is not what was stored.
        """
        checksums = await self._checksums(blob)
        first, last = start // BLOCK, -(-end // BLOCK)
        async with self._blobs.get(blob.key, first * BLOCK, min(last * BLOCK, blob.size)) as chunks:
            pieces = Pieces(chunks)
            for number in range(first, last):
                block = await pieces.take(BLOCK)
                if await _digest(block) != checksums[number]:
                    raise BlobDamagedError
                offset = number * BLOCK
                yield b"".join(block)[max(0, start - offset) : end - offset]

    async def _checksums(self, blob: Blob) -> Sequence[bytes]:
        if blob.size <= BLOCK:
            return [bytes.fromhex(blob.checksum)]
        lock = self._reading.get(blob.key) or asyncio.Lock()
        self._reading[blob.key] = lock
        async with lock:  # several parts of a blob at once make one reading
            if blob.key not in self._known:
                self._remember(blob.key, await self._read_all(blob))
            self._known.move_to_end(blob.key)
            return self._known[blob.key]

    async def _read_all(self, blob: Blob) -> Sequence[bytes]:
        whole, checksums = Sha256(), []
        async with self._blobs.get(blob.key) as chunks:
            pieces = Pieces(chunks)
            while block := await pieces.take(BLOCK):
                await whole.take(block)
                checksums.append(await _digest(block))
        if not whole.is_(blob.checksum):
            raise BlobDamagedError
        return checksums

    def _remember(self, key: str, checksums: Sequence[bytes]) -> None:
        self._known[key] = checksums
        self._size += len(checksums)
        while self._size > REMEMBERED and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._size -= len(forgotten)


async def _digest(block: Sequence[bytes]) -> bytes:
    hashed = Sha256()
    await hashed.take(block)
    return hashed.digest()


RANGES = web.AppKey("ranges", Ranges)
