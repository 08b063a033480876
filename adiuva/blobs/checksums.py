"""Checksums of streams: SHA-256, taken off the event loop where there is much to hash."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence

from adiuva.errors import BlobDamagedError, ChecksumMismatchError

INLINE = 64 * 2**10
"""Up to so many bytes are hashed at once: a thread would take longer."""


_BATCH = 2**19  # bytes that one hop to a thread hashes


class Sha256:
    """The checksum of bytes that come in pieces; one call at a time."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Take ``chunks`` in, in this thread; the interpreter is free meanwhile."""
        for chunk in chunks:
            self._hash.update(chunk)

    async def take(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Take ``chunks`` in without holding up the event loop."""
        if sum(map(len, chunks)) <= INLINE:
            self.update(chunks)
        else:
            await asyncio.to_thread(self.update, chunks)

    def is_(self, sha256: str) -> bool:
        """Whether all that came has this checksum; takes the same time whatever the answer."""
        return hmac.compare_digest(self._hash.hexdigest().encode(), sha256.encode())

    def digest(self) -> bytes:
        """The checksum as bytes."""
        return self._hash.digest()

    def expect(self, sha256: str) -> None:
        """Raise ``ChecksumMismatchError`` unless all that came has this checksum."""
        if not self.is_(sha256):
            raise ChecksumMismatchError


async def verified(chunks: AsyncIterator[bytes], sha256: str) -> AsyncIterator[bytes]:
    """``chunks``, of which the last ones come only once all have the checksum ``sha256``.

    So bytes that changed in the store are never passed on as a whole. Holds little more than a MiB.

    Raises:
        BlobDamagedError: They have another checksum.
    """
    hashed, known, new, size = Sha256(), list[bytes](), list[bytes](), 0
    async for chunk in chunks:
        new.append(chunk)
        size += len(chunk)
        if size >= _BATCH:
            for piece in known:
                yield piece
            await hashed.take(new)
            known, new, size = new, [], 0
    await hashed.take(new)
    if not hashed.is_(sha256):
        raise BlobDamagedError
    for piece in known + new:
        yield piece
