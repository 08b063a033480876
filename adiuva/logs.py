"""Logging: structlog and the standard library's loggers through one pipeline, as console lines or JSON."""

import logging
import logging.config
import sys
from collections.abc import Callable
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
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Logger(structlog.PrintLogger):
    """Writes lines to standard error, and knows its name."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


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
