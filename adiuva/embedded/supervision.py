"""Keeping the embedded server running while we do."""

import asyncio
from collections.abc import Callable

import structlog

from adiuva.embedded.errors import EmbeddedPostgresError
from adiuva.embedded.server import EmbeddedPostgres

log = structlog.get_logger(__name__)

_CHECK_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_STEADY_SECONDS = 60.0  # who has run that long starts with short pauses again


async def keep_running(server: EmbeddedPostgres, on_restart: Callable[[str], None]) -> None:
    """Restart ``server`` whenever it has ended, with growing pauses; ``on_restart`` is told its DSN each time."""
    loop = asyncio.get_running_loop()
    pause, started = 0.0, loop.time()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        if not await asyncio.to_thread(server.has_ended):
            continue
        pause = 0.0 if loop.time() - started > _STEADY_SECONDS else pause
        log.error("the embedded PostgreSQL has ended; restarting it", pause=pause)
        await asyncio.sleep(pause)
        pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        try:
            on_restart(await asyncio.to_thread(server.restart))
        except EmbeddedPostgresError as error:
            log.error("the embedded PostgreSQL does not restart", reason=error.message)  # noqa: TRY400 - says it all
        else:
            log.info("the embedded PostgreSQL runs again")
        started = loop.time()
