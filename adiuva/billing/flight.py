"""Equal calls at the same time are one call."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SingleFlight:
    """Runs what is asked for once at a time for each key, within this process; all who ask meanwhile share it."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` gives. It goes on where one who waits goes away."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.ensure_future(_awaited(work))
            task.add_done_callback(lambda done: self._land(key, done))
        result: T = await asyncio.shield(task)
        return result

    async def stop(self) -> None:
        """Wait for what runs: money may be on its way."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=10)

    def _land(self, key: Hashable, done: "asyncio.Task[Any]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # seen: nobody may be waiting any more


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
