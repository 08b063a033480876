"""Stopping work that nobody waits for any more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

CHECK_SECONDS = 0.25  # aiohttp tells a handler of a lost connection only by cancelling all of them, or when it writes
STALLED_SECONDS = 60.0  # so long a client may take nothing of its answer: one on a train may


@contextmanager
def cancelled_on_disconnect(request: web.Request) -> Iterator[None]:
    """Cancel the running handler once the client's connection is gone, within `CHECK_SECONDS`.

    The connection of a client that does not read is broken off: `STALLED_SECONDS` without a byte of the answer leaving.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    timer: asyncio.TimerHandle | None = None
    sent, sent_at = (0, 0), loop.time()

    def check() -> None:
        nonlocal timer, sent, sent_at
        transport = request.transport
        if transport is None or transport.is_closing():
            task.cancel()
            return
        before, sent = sent, (request.writer.output_size, transport.get_write_buffer_size())
        if not sent[1] or sent != before:
            sent_at = loop.time()
        elif loop.time() - sent_at > STALLED_SECONDS:
            transport.abort()
        timer = loop.call_later(CHECK_SECONDS, check)

    timer = loop.call_later(CHECK_SECONDS, check)
    try:
        yield
    finally:
        timer.cancel()
