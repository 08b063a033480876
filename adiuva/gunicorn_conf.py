"""gunicorn's configuration: ``gunicorn --config python:adiuva.gunicorn_conf``; what can be set is Adiuva's settings.

Raises SystemExit, with a line that says why, where the settings are not for so many processes.
"""

import logging
import sys
from pathlib import Path

from gunicorn.arbiter import Arbiter

from adiuva import prefork
from adiuva.app import OBSERVERS_SECONDS
from adiuva.errors import AdiuvaError
from adiuva.logs import configure_logging
from adiuva.settings import Settings

try:
    _settings = Settings.load().with_secret()  # the secret is made here, once for all processes
except AdiuvaError as error:
    sys.exit(f"Error: {error.message}")
configure_logging(fmt=_settings.log_lines, level=_settings.log_level)

wsgi_app = "adiuva.prefork:serve"
worker_class = prefork.Worker
logger_class = prefork.Lines
loglevel = _settings.log_level.lower()
bind = f"{_settings.host}:{_settings.port}"
backlog = 1024
workers = _settings.web_concurrency
# All that a worker does before it ends has its time; then it is killed.
graceful_timeout = int(_settings.shutdown_delay_seconds + _settings.shutdown_grace_seconds + OBSERVERS_SECONDS) + 5
timeout = max(30, graceful_timeout)
control_socket_disable = True  # it would be a file in the home folder that nobody asked for
_MEMORY = Path("/dev/shm")  # noqa: S108 - for the workers' signs of life; on a busy disk they would seem dead
worker_tmp_dir = str(_MEMORY) if _MEMORY.is_dir() else None


def nworkers_changed(arbiter: Arbiter, number: int, before: int | None) -> None:
    """Hold gunicorn's options and its SIGTTIN to `WEB_CONCURRENCY`: the settings have been checked for so many."""
    try:
        prefork.check_processes(number, _settings)
    except AdiuvaError as error:
        if before is None:
            sys.exit(f"Error: {error.message}")
        logging.getLogger("gunicorn.error").error(error.message)  # noqa: TRY400 - the line says it all
        arbiter.num_workers = before
