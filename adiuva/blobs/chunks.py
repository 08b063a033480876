"""Streams cut anew: what a client sends in small pieces, in parts that are worth a call each."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

SMALL = 64 * 2**10
"""Bytes up to which one copy costs less than a call for each piece."""


class Pieces:
    """A stream, taken in parts of a size that is asked for each time: the pieces that came, hardly copied."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held: deque[bytes | memoryview] = deque()
        self._size = 0
        self._over = False

    @property
    def ended(self) -> bool:
        """Whether all was taken; where the last part was a full one, only the next ``take`` finds out."""
        return self._over and not self._held

    async def more_than(self, size: int) -> bool:
        """Whether more than ``size`` bytes are left; holds so many to know."""
        await self._hold(size + 1)
        return self._size > size

    async def take(self, size: int) -> list[bytes | memoryview]:
        """The next ``size`` bytes as the pieces that came, small ones joined; fewer where the stream has ended."""
        taken: list[bytes | memoryview] = []
        small: list[bytes | memoryview] = []
        joined = 0  # bytes in ``small``
        while size and (piece := await self._next(size)):
            size -= len(piece)
            is_large = len(piece) >= SMALL
            if small and (is_large or joined >= SMALL):
                taken.append(b"".join(small))
                small, joined = [], 0
            if is_large:
                taken.append(piece)
            else:
                small.append(piece)
                joined += len(piece)
        return [*taken, b"".join(small)] if small else taken

    async def _next(self, most: int) -> bytes | memoryview:
        if most:
            await self._hold(1)
        if not most or not self._held:
            return b""
        piece = self._held.popleft()
        if len(piece) > most:
            whole = memoryview(piece)
            self._held.appendleft(whole[most:])
            piece = whole[:most]
        self._size -= len(piece)
        return piece

    async def _hold(self, size: int) -> None:
        while self._size < size and not self._over:
            try:
                piece = await anext(self._chunks)
            except StopAsyncIteration:
                self._over = True
            else:
                if piece:
                    self._held.append(piece)
                    self._size += len(piece)


class Body:
    """Bytes as the body of a request, which can be sent more than once."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._size = sum(map(len, pieces))
        self.pieces = [b"".join(pieces)] if self._size <= SMALL else pieces

    def __len__(self) -> int:
        """Its size in bytes."""
        return self._size

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        """What aiohttp sends."""
        for piece in self.pieces:
            yield piece

    def read(self, _size: int = -1) -> bytes:
        """Tells botocore that this can be read; aiohttp iterates."""
        return b"".join(self.pieces)

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """Each sending starts anew, so there is nothing to do before a retry."""
        return 0

    def tell(self) -> int:
        """Where it is read from."""
        return 0
