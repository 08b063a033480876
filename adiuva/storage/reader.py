"""What was stored, on its way out: no byte of it leaves before it is known to be what came in.

Of a large blob that is known block by block, of a small one by the SHA-256 of all of it. Where there is no more than
that of a large one, since it was stored by an older version or is a package, only its last bytes can be held back.
"""

from collections.abc import AsyncGenerator, Sequence

from aiohttp import web

from adiuva.blobs.blocks import BLOCK, is_block
from adiuva.blobs.checksums import Sha256, verified
from adiuva.blobs.chunks import Pieces
from adiuva.blobs.protocol import BlobStore
from adiuva.errors import BlobDamagedError
from adiuva.storage.models import Blob


class Reader:
    """Reads the blobs in ``blobs``; what is not what was stored is a ``BlobDamagedError``."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def whole(self, blob: Blob) -> bytes:
        """All bytes of a small one.

        Raises:
            BlobMissingError: there is no such blob.
            BlobDamagedError: it is not what was stored.
        """
        data, hashed = await self._blobs.read(blob.key, blob.size), Sha256()
        await hashed.take([data])
        if not hashed.is_(blob.checksum):
            raise BlobDamagedError
        return data

    async def parts(
        self, blob: Blob, checksums: bytes, start: int, end: int
    ) -> AsyncGenerator[Sequence[bytes | memoryview], None]:
        """The bytes from ``start`` up to ``end``, a block at a time, of one whose blocks have these ``checksums``.

        Raises:
            BlobMissingError: there is no such blob; before the first block.
            BlobDamagedError: it is not what was stored; before the first block that is not.
        """
        first, last = start // BLOCK, -(-end // BLOCK)
        # To the very end where that is asked for: what follows there was not stored.
        limit = last * BLOCK if last * BLOCK < blob.size else None
        async with self._blobs.get(blob.key, first * BLOCK, limit) as chunks:
            pieces = Pieces(chunks)
            for number in range(first, last):
                block = await pieces.take(BLOCK)
                if not is_block(block, checksums, number) or (number == last - 1 and await pieces.more_than(0)):
                    raise BlobDamagedError
                offset = number * BLOCK
                yield _cut(block, max(0, start - offset), end - offset)

    async def stream(self, blob: Blob) -> AsyncGenerator[Sequence[bytes], None]:
        """All bytes of one of which no more is known than the SHA-256; the last ones only once all are right.

        Raises:
            BlobMissingError: there is no such blob; before the first of them.
            BlobDamagedError: it is not what was stored.
        """
        left = blob.size
        async with self._blobs.get(blob.key) as chunks:
            async for chunk in verified(chunks, blob.checksum):
                left -= len(chunk)
                if left < 0:
                    raise BlobDamagedError
                yield [chunk]
        if left:
            raise BlobDamagedError


def _cut(block: Sequence[bytes | memoryview], start: int, end: int) -> Sequence[bytes | memoryview]:
    if start == 0 and end >= BLOCK:
        return block
    return [memoryview(b"".join(block))[start:end]]


READER = web.AppKey("reader", Reader)
