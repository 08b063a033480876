"""A port of its own for ``/metrics``: it stays inside where the public one does not, and each process has one."""

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from adiuva.observe.handlers import get_metrics
from adiuva.observe.metrics import METRICS
from adiuva.settings import SettingsError
from adiuva.web.keys import SETTINGS

PORTS: Final = 64  # as many processes of one server find a port

log = structlog.get_logger(__name__)


async def listen(app: web.Application) -> AsyncIterator[None]:
    """Serve the metrics of ``app`` at ``HOST``, at the first free port from ``METRICS_PORT`` on; a cleanup context.

    Raises:
        SettingsError: none of them is free, or they cannot be listened on.
    """
    inside = web.Application()
    inside[METRICS] = app[METRICS]
    inside.router.add_get("/metrics", get_metrics)
    runner = web.AppRunner(inside, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        server = await _bind(runner, app[SETTINGS].host, app[SETTINGS].metrics_port)
        host, port = server.sockets[0].getsockname()[:2]
        log.info("metrics", at=f"http://{host}:{port}/metrics")
        try:
            yield
        finally:
            server.close()
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, first: int) -> asyncio.Server:
    assert runner.server is not None
    last = min(first + PORTS, 2**16) - 1
    for port in range(first, last + 1):
        try:
            return await asyncio.get_running_loop().create_server(runner.server, host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingsError([f"METRICS_PORT={first}: cannot listen on {host}:{port}"]) from error
    raise SettingsError([f"METRICS_PORT={first}: no port from {first} to {last} is free"])
