"""Stopping work that nobody waits for any more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

CHECK_SECONDS = 0.25  # aiohttp tells a handler of a lost connection only by cancelling all of them, or when it writes


@contextmanager
def cancelled_on_disconnect(request: web.Request) -> Iterator[None]:
    """Cancel the running handler once the client's connection is gone, within `CHECK_SECONDS`."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    timer: asyncio.TimerHandle | None = None

    def check() -> None:
        nonlocal timer
        if request.transport is None or request.transport.is_closing():
            task.cancel()
        else:
            timer = loop.call_later(CHECK_SECONDS, check)

    timer = loop.call_later(CHECK_SECONDS, check)
    try:
        yield
    finally:
        timer.cancel()
