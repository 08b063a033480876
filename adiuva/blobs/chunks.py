"""Streams cut anew: what a client sends in small pieces, in parts that are worth a call each."""

from collections.abc import AsyncIterator


class Pieces:
    """A stream, taken in parts of a size that is asked for each time: the pieces that came, hardly copied."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.ended = False

    async def take(self, size: int) -> list[bytes]:
        """The next ``size`` bytes; fewer once the stream has ``ended``."""
        taken: list[bytes] = []
        while size:
            piece = self._rest
            if not piece:
                try:
                    piece = await anext(self._chunks)
                except StopAsyncIteration:
                    self.ended = True
                    break
            self._rest = piece[size:]
            taken.append(piece[:size])
            size -= len(taken[-1])
        return taken
