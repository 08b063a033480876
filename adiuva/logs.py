"""Logging: structlog and the standard library's loggers through one pipeline, as console lines or JSON."""

import asyncio
import logging
import logging.config
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

QUIET = (
    "asyncio",
    "aiohttp.access",
    "yoyo",
    "LiteLLM",
    "httpx",
    "botocore",
)  # what they say below WARNING is noise here


def configure_logging(*, fmt: Literal["console", "json"], level: str) -> None:
    """Send everything that is logged to standard error; ``level`` is a name of the standard library's."""
    _open_standard_files()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _only_the_class_of_errors,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(_dumps)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr is not None and sys.stderr.isatty(), pad_event_to=0)
    )
    # Our own lines are written directly: through the standard library each would cost four times as much.
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=_Logger,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(_Sink())
    logging.raiseExceptions = False  # it would print the arguments of a line that cannot be formatted
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _open_standard_files() -> None:
    """Whichever is closed becomes the null device: another file would get its number, which libuv aborts at."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


class _Sink:
    """Standard error without a buffer. A line that cannot be written (a closed pipe, a full disk) is lost, no more.

    What a buffer held then would be tried again, and at the end make the process exit with a failure.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(AttributeError, OSError, ValueError):  # closed from the start, or no file, as under pytest
            self._file = sys.stderr.fileno()

    def write(self, text: str) -> None:
        with suppress(AttributeError, OSError, ValueError):
            if self._file is None:
                sys.stderr.write(text)
                return
            left = text.encode(errors="backslashreplace")
            while left:
                left = left[os.write(self._file, left) :]

    def flush(self) -> None:
        """There is no buffer."""


class _Logger:
    """Writes lines to standard error, and knows its name."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._sink = _Sink()

    def msg(self, line: str) -> None:
        self._sink.write(f"{line}\n")

    debug = info = warning = error = critical = exception = log = msg


def log_background_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Have ``loop`` log errors that nobody awaits by class and place: asyncio's own lines quote what users wrote."""
    loop.set_exception_handler(_log_background_error)


def _log_background_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    task = context.get("task") or context.get("future")
    name = getattr(task.get_coro(), "__qualname__", None) if isinstance(task, asyncio.Task) else None
    structlog.get_logger(__name__).error("error in the background", task=name, exc_info=context.get("exception"))


def _dumps(event: EventDict, default: Callable[[Any], Any]) -> str:
    return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def _only_the_class_of_errors(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A library's exception may hold what a user wrote (SQL arguments, a model's answer): its text is not logged."""
    info: Any = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["at"] = _where(error)
    return event


def _where(error: BaseException) -> str:
    """The frames that an error passed, innermost last, without the values in them."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return " > ".join(frames[-8:])
