"""Password hashes: bcrypt, in threads of its own, since one hash keeps a core busy for a fifth of a second."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from adiuva.errors import OverloadedError

T = TypeVar("T")

MAX_BYTES = 72  # bcrypt reads no further

_MAX_WAITING = 200
# Any salt and digest will do: what counts is that a comparison with it takes the same work, and fails.
_NOBODY = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"


class PasswordHasher:
    """Makes and checks hashes without holding up the event loop.

    Raises ``OverloadedError`` when more than 200 wait for their turn: by then the last would wait for most of a minute.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._nobody = f"$2b${rounds:02d}${_NOBODY}"
        self._waiting = 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # One core is left to the event loop.
        self._threads = ThreadPoolExecutor(max(1, cores - 1), thread_name_prefix="bcrypt")

    async def hash(self, password: str) -> str:
        """A new hash of ``password``, which has at most ``MAX_BYTES`` bytes."""
        return await self._in_thread(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)).decode())

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether ``password`` is the one of ``password_hash``; None, for an unknown user, is as much work."""
        stored = (password_hash or self._nobody).encode()
        equal = await self._in_thread(lambda: bcrypt.checkpw(password.encode(), stored))
        return equal and password_hash is not None

    def close(self) -> None:
        """Give up what waits, and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise OverloadedError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
