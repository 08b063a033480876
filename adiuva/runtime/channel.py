"""A bounded queue between two sides of a request, with an end."""

import asyncio
from collections import deque
from typing import Any

_Line = deque[asyncio.Future[None]]


class ChannelClosedError(Exception):
    """Nothing is left to get, and nothing will come."""


class Channel:
    """Like ``asyncio.Queue``, but it can be closed, and putting or getting costs no suspension where none is needed."""

    __slots__ = ("_closed", "_getters", "_items", "_limit", "_muted", "_putters")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Any] = deque()
        self._getters: _Line = deque()
        self._putters: _Line = deque()
        self._muted = False
        self._closed = False

    def offer(self, item: Any) -> bool:
        """Put ``item`` without waiting; False when `put` has to be awaited."""
        if self._muted or len(self._items) >= self._limit:
            return False
        self._items.append(item)
        if self._getters:
            _wake_next(self._getters)
        return True

    async def put(self, item: Any) -> None:
        """Put ``item``, waiting for room.

        A muted channel keeps nothing, but a handler that goes on all the same waits
        for a turn of the loop: else one that waits for nothing else could never be cancelled.
        """
        while not self.offer(item):
            if self._muted:
                return await asyncio.sleep(0)
            await _take_turn(self._putters)
        return None

    async def get(self) -> Any:
        """The next item, waiting for one.

        Raises:
            ChannelClosedError: the channel is closed and empty.
        """
        items = self._items
        while not items:
            if self._closed:
                raise ChannelClosedError
            await _take_turn(self._getters)
        item = items.popleft()
        if self._putters:
            _wake_next(self._putters)
        return item

    def mute(self) -> None:
        """Drop what is in it and what will be put: nobody wants it any more. Who gets goes on waiting for the end."""
        self._muted = True
        self._items.clear()
        _wake_all(self._putters)

    def close(self) -> None:
        """Take nothing more; what is in it can still be got."""
        self._muted = self._closed = True
        _wake_all(self._putters)
        _wake_all(self._getters)


def _wake_next(line: _Line) -> None:
    while line:
        waiter = line.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return


def _wake_all(line: _Line) -> None:
    while line:
        _wake_next(line)


async def _take_turn(line: _Line) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    line.append(waiter)
    try:
        await waiter
    except BaseException:
        if waiter in line:
            line.remove(waiter)
        elif waiter.done() and not waiter.cancelled():
            _wake_next(line)  # it was our turn, and we cannot take it
        raise
