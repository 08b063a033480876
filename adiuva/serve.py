"""Running the server until it is told to stop."""

import asyncio
import errno
import signal
import sys
from collections.abc import AsyncIterator, Callable

import structlog
from aiohttp import web

from adiuva import __version__
from adiuva.app import MODEL, create_app
from adiuva.chat.service import CHAT
from adiuva.errors import AdiuvaError
from adiuva.heap import keep_freed_memory, settle
from adiuva.llm.gateway import Gateway
from adiuva.logs import log_background_errors
from adiuva.settings import Settings, SettingsError
from adiuva.web.server import Runner

log = structlog.get_logger(__name__)

KEEPALIVE_SECONDS = 75.0
WARM_UP_AFTER_SECONDS = 1.0


class CannotListenError(AdiuvaError):
    """The server cannot listen on its address."""

    code = "cannot_listen"


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. Raises `AdiuvaError` where the server cannot start."""
    if settings.web_concurrency > 1:
        several = "several are started by: gunicorn --config python:adiuva.gunicorn_conf"
        raise SettingsError([f"WEB_CONCURRENCY={settings.web_concurrency}: adiuva serve is one process; {several}"])
    keep_freed_memory()
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        import uvloop

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()
    log_background_errors(loop)

    def stop_by(number: int) -> None:
        if not stop.done():
            stop.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_by, number)
    runner = await start(settings)
    try:
        if await stop == signal.SIGINT:  # Ctrl-C: somebody waits for it, and no balancer does
            runner.delay_seconds = 0.0
        log.info("stopping")
    finally:
        await runner.cleanup()
    log.info("stopped")


def make_runner(settings: Settings) -> Runner:
    """The server as ``settings`` want it; it does not listen yet."""
    app = create_app(settings)
    app.cleanup_ctx.append(_settled)
    return Runner(
        app,
        access_log=None,  # the middleware writes the line
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=settings.shutdown_grace_seconds,
        delay_seconds=settings.shutdown_delay_seconds,
    )


async def _settled(app: web.Application) -> AsyncIterator[None]:
    """Everything is there, and stays."""
    settle()
    warming = asyncio.create_task(_warm_up(app))
    yield
    warming.cancel()


async def _warm_up(app: web.Application) -> None:
    """Load what the first call of the model would have to wait for (LiteLLM takes seconds), once clients are served."""
    await asyncio.sleep(WARM_UP_AFTER_SECONDS)
    if isinstance(model := app[MODEL], Gateway):
        await model.warm_up(app[CHAT].models[0])


async def start(settings: Settings) -> Runner:
    """Start to serve; the runner's ``addresses`` say where. Raises `AdiuvaError` where the server cannot start."""
    runner = make_runner(settings)
    await runner.setup()
    try:
        await _listen(runner, settings)
    except BaseException:
        await runner.cleanup()
        raise
    for address in runner.addresses:
        log.info("listening", url=f"http://{address[0]}:{address[1]}", version=__version__, env=settings.env)
    return runner


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
    except OSError as error:
        raise CannotListenError(_why_not(settings, error)) from error


def _why_not(settings: Settings, error: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program: stop it, or set PORT to a free one."
    return f"Cannot listen on {where}: {error.strerror or error}."
