"""Streams cut anew: what a client sends in small pieces, in parts that are worth a call each."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

SMALL = 64 * 2**10
"""Bytes up to which one copy costs less than a call for each piece."""


class Pieces:
    """A stream, taken in parts of a size that is asked for each time: the pieces that came, hardly copied."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held: deque[bytes] = deque()
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

    async def take(self, size: int) -> list[bytes]:
        """The next ``size`` bytes; fewer where the stream has ended."""
        await self._hold(size)
        taken: list[bytes] = []
        while size and self._held:
            piece = self._held.popleft()
            if len(piece) > size:
                self._held.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
            self._size -= len(piece)
        return taken

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
    """Pieces as the body of a request, which can be sent more than once."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._size = sum(map(len, pieces))
        self.pieces: Sequence[bytes] = [b"".join(pieces)] if self._size <= SMALL else pieces

    def __len__(self) -> int:
        """Its size in bytes."""
        return self._size

    async def __aiter__(self) -> AsyncIterator[bytes]:
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
