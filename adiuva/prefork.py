"""What one of several processes behind a port runs; `adiuva.gunicorn_conf` says how many there are, and where.

gunicorn listens, starts the processes, watches them, and starts those anew that die. Each is what ``adiuva serve`` is.
"""

import asyncio
import sys
from types import FrameType
from typing import Any

from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from adiuva.errors import AdiuvaError
from adiuva.heap import keep_freed_memory
from adiuva.logs import configure_logging, log_background_errors
from adiuva.serve import make_runner
from adiuva.settings import Settings, SettingsError
from adiuva.web.server import Runner


class Worker(GunicornUVLoopWebWorker):
    """aiohttp's, which stops at once when it is told to, and says in one line why it cannot start."""

    def run(self) -> None:
        """Serve until told to stop."""
        try:
            check_processes(self.cfg.workers, Settings.load())
            super().run()
        except AdiuvaError as error:
            self.log.error(error.message)  # noqa: TRY400 - the line says it all
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: stop, without waiting for the next second."""
        super().handle_exit(sig, frame)
        self._notify_waiter_done()


class Lines(Logger):
    """gunicorn's own lines, in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Leave the lines to the root logger, which the configuration has set up."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def check_processes(number: int, settings: Settings) -> None:
    """Raise `SettingsError` where gunicorn is told another ``number`` than the settings: theirs is the one checked."""
    if number != settings.web_concurrency:
        said = f"WEB_CONCURRENCY={settings.web_concurrency}: it says how many processes there are"
        raise SettingsError([f"{said}, not an option of gunicorn's, which asks for {number}"])


async def serve() -> Runner:
    """The server, for a worker to listen with."""
    settings = Settings.load().with_secret()
    configure_logging(fmt=settings.log_lines, level=settings.log_level)
    keep_freed_memory()
    log_background_errors(asyncio.get_running_loop())
    return make_runner(settings)
