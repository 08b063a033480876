"""Errors as clients see them: problem details (RFC 9457) over HTTP, error frames over a WebSocket."""

import inspect
import math
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from adiuva import errors
from adiuva.clock import new_id
from adiuva.web import wire

log = structlog.get_logger(__name__)

# The nearest class in the error's ancestry decides.
STATUS: dict[type[errors.AdiuvaError], int] = {
    errors.AdiuvaError: 500,
    errors.InvalidRequestError: 400,
    errors.BodyTimeoutError: 408,
    errors.UnauthorizedError: 401,
    errors.PaymentRequiredError: 402,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.MethodNotAllowedError: 405,
    errors.ConflictError: 409,
    errors.PreconditionFailedError: 412,
    errors.PayloadTooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.RangeNotSatisfiableError: 416,
    errors.ValidationFailedError: 422,
    errors.RateLimitedError: 429,
    errors.BlobDamagedError: 502,
    errors.LlmUnavailableError: 502,
    errors.UnavailableError: 503,
    errors.DeadlineExceededError: 504,
}

# What aiohttp raises itself; any other status keeps its name as its code.
_RAISED_BY_AIOHTTP: dict[int, type[errors.AdiuvaError]] = {
    400: errors.InvalidRequestError,
    401: errors.UnauthorizedError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    405: errors.MethodNotAllowedError,
    413: errors.PayloadTooLargeError,
    415: errors.UnsupportedMediaTypeError,
    503: errors.UnavailableError,
}

X_REQUEST_ID = "X-Request-ID"

_RETRY_AFTER = 1.0  # seconds, where the error does not say


def status_of(error: errors.AdiuvaError) -> int:
    """The HTTP status that ``error`` is answered with."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def problem(error: BaseException, request_id: str) -> web.Response:
    """The answer to a request that failed with ``error``; what nobody foresaw is logged and not shown."""
    if isinstance(error, web.HTTPException):
        return _aiohttp_problem(error, request_id)
    known = foreseen(error)
    status = status_of(known)
    response = _response({**body(known), "request_id": request_id})
    if isinstance(known, errors.BrokenBodyError):
        response.force_close()  # nobody knows where the next request would begin
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if isinstance(known, errors.RangeNotSatisfiableError):
        response.headers[hdrs.CONTENT_RANGE] = f"bytes */{known.size}"
    retry_after = known.retry_after
    if retry_after is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = _RETRY_AFTER
    if retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(retry_after)))
    return response


def reshaped(
    error: BaseException, request_id: str, render: Callable[[errors.AdiuvaError], dict[str, Any]]
) -> web.Response:
    """The answer to ``error`` with the status and headers of a problem, and what ``render`` makes of it as its JSON."""
    known = foreseen(error)
    response = problem(error if isinstance(error, web.HTTPException) else known, request_id)
    response.body = wire.dump(render(known))
    response.headers[hdrs.CONTENT_TYPE] = "application/json"
    return response


def body(error: BaseException) -> dict[str, Any]:
    """What a problem says of ``error``, without the id of a request; what nobody foresaw is logged and not shown."""
    known = foreseen(error)
    return {**_body(status_of(known), known.code, _title(type(known)), known.message), **_faults(known)}


def example(cls: type[errors.AdiuvaError]) -> dict[str, Any]:
    """A problem of that class, as documents show it."""
    status = next(STATUS[base] for base in cls.__mro__ if base in STATUS)
    return _body(status, cls.code, _title(cls), _title(cls))


def frame(error: BaseException) -> dict[str, str]:
    """The WebSocket frame that says ``error``; what nobody foresaw is logged and not shown."""
    known = foreseen(error)
    message = known.message
    if isinstance(known, errors.ValidationFailedError) and known.errors:
        message = "; ".join(f"{field}: {fault}" for field, fault in known.errors)
    return {"type": "error", "code": known.code, "message": message}


def foreseen(error: BaseException) -> errors.AdiuvaError:
    """``error`` itself if it is of the family, the one that aiohttp's stands for, else an ``internal_error``.

    That one has the id under which it was logged.

    The log has the error's class and where it came from, but not its text, which may hold what a user wrote.
    """
    if isinstance(error, errors.AdiuvaError):
        return error
    if isinstance(error, web.HTTPException):
        return _RAISED_BY_AIOHTTP.get(error.status_code, errors.InvalidRequestError)()
    log_id = new_id().hex
    log.error("unforeseen error", log_id=log_id, **_description(error))
    return errors.AdiuvaError(f"Something went wrong; the server's log has it under {log_id}.")


def _description(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__ or error.__context__
    return {
        "error": f"{type(error).__module__}.{type(error).__qualname__}",
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        **({"cause": _description(cause)} if cause else {}),
    }


def _aiohttp_problem(error: web.HTTPException, request_id: str) -> web.Response:
    status = error.status_code
    cls = _RAISED_BY_AIOHTTP.get(status)
    title = _title(cls) if cls else error.reason
    code = cls.code if cls else HTTPStatus(status).name.lower()
    response = _response({**_body(status, code, title, title), "request_id": request_id})
    for name in (hdrs.ALLOW, hdrs.RETRY_AFTER):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def _faults(error: errors.AdiuvaError) -> dict[str, Any]:
    if isinstance(error, errors.CheckoutRequiredError) and error.checkout_url:
        return {"checkout_url": error.checkout_url}
    if not isinstance(error, errors.ValidationFailedError):
        return {}
    return {"errors": [{"field": field, "message": message} for field, message in error.errors]}


def _body(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    return {"type": f"urn:adiuva:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}


def _response(content: dict[str, Any]) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: "application/problem+json"}
    return web.Response(body=wire.dump(content), status=content["status"], headers=headers)


def _title(cls: type[errors.AdiuvaError]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n")[0]
