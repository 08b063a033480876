"""What the rest of Adiuva knows of a blob store: bytes under a key, in and out as streams."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from attrs import frozen


@frozen(kw_only=True)
class BlobInfo:
    """One blob of a listing; ``modified`` is when the store took it, in UTC."""

    key: str
    size: int  # bytes
    modified: datetime


class BlobStore(Protocol):
    """Blobs under keys such as ``{user_id}/{table}/{record_id}.{revision}``. All sizes and offsets are bytes.

    Every call may raise ``adiuva.errors.BlobStoreUnavailableError`` when the store is away, full or out of order.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size: int | None, sha256: str) -> int:
        """Keep what ``chunks`` gives under ``key``, and give its size.

        It is visible only once all of it is safe and its SHA-256 is ``sha256`` (lower-case hex). Whatever ends this
        before leaves nothing behind, and what was under ``key`` stays as it was; what a kill leaves is never visible,
        and for ``sweep``. Only a fault of the store, or a cancellation, in the very last step may leave it there,
        whole: whoever has no answer deletes the key.

        Args:
            key: Where it goes; what is there is replaced as a whole.
            chunks: The bytes. What it raises goes through.
            size: How many there are to be, where that is known; a hint that says how to send them.
            sha256: Their checksum.

        Raises:
            adiuva.errors.ChecksumMismatchError: The bytes are not those that ``sha256`` tells of.
        """
        ...

    def get(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes from ``start`` up to ``end`` (not included; ``None``: to the last), for ``async with … as chunks``.

        Where the blob is shorter, they are fewer. Whether they are still those that were stored is for the reader to
        check (``adiuva.storage.reader``).

        Raises:
            adiuva.errors.BlobMissingError: There is no such blob; raised when entered.
        """
        ...

    async def read(self, key: str, size: int) -> bytes:
        """All bytes of a blob that is small enough for memory, of which there have to be ``size``.

        Raises:
            adiuva.errors.BlobMissingError: There is no such blob.
            adiuva.errors.BlobDamagedError: It has another size.
        """
        ...

    async def delete(self, key: str) -> None:
        """Forget the blob; that there is none is fine."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Every visible blob whose key starts with ``prefix``, in no order; perhaps without those of the meantime."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Remove what puts that were killed have left, and that was begun before then; gives how many there were."""
        ...

    async def check(self) -> None:
        """Raise ``BlobStoreUnavailableError`` unless the store takes blobs."""
        ...

    async def close(self) -> None:
        """Give everything back; the store cannot be used after."""
        ...
