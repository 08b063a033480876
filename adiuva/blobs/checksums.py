"""Checksums of streams: SHA-256, taken off the event loop where there is much to hash."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence

from adiuva.errors import BlobDamagedError, ChecksumMismatchError

INLINE = 2**19
"""Up to so many bytes are hashed on the spot, a third of a millisecond; a thread would cost half as much again."""


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
    """``chunks``, of which the last one comes only once all have the checksum ``sha256``.

    So bytes that changed in the store are never passed on as a whole.

    Raises:
        BlobDamagedError: They have another checksum.
    """
    hashed, last = Sha256(), b""
    async for chunk in chunks:
        await hashed.take([chunk])
        if last:
            yield last
        last = chunk
    if not hashed.is_(sha256):
        raise BlobDamagedError
    if last:
        yield last
