"""Errors as OpenAI's clients read them."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from adiuva.errors import AdiuvaError, NotFoundError, ValidationFailedError
from adiuva.web.describe import ErrorForm
from adiuva.web.middleware import REQUEST_ID
from adiuva.web.problems import reshaped, status_of

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ModelNotFoundError(NotFoundError):
    """There is no such model here; see GET /v1/models."""

    code = "model_not_found"


def answer_error(request: web.Request, error: Exception) -> web.Response:
    """The answer to a request that failed with ``error``: the headers are those of a problem, the body is OpenAI's."""
    response = reshaped(error, request[REQUEST_ID], error_body)
    if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        response.set_status(HTTPStatus.BAD_REQUEST)  # 422 is not among OpenAI's
    return response


def error_body(error: AdiuvaError) -> dict[str, Any]:
    """``error`` as the object that OpenAI's clients read."""
    status = status_of(error)
    kind = _TYPES.get(HTTPStatus(status), "invalid_request_error" if status < 500 else "server_error")
    message, param = error.message, None
    if isinstance(error, ValidationFailedError) and error.errors:
        message = "; ".join(f"{field}: {fault}" for field, fault in error.errors)
        param = error.errors[0][0]
    if isinstance(error, ModelNotFoundError):
        param = "model"
    return {"error": {"message": message, "type": kind, "param": param, "code": error.code}}


def _example(cls: type[AdiuvaError]) -> dict[str, Any]:
    return error_body(cls([("messages", "is missing")]) if issubclass(cls, ValidationFailedError) else cls())


_MEMBERS = {
    "message": {"type": "string"},
    "type": {"type": "string"},
    "param": {"type": ["string", "null"]},
    "code": {"type": "string", "description": "As in a problem."},
}
ERROR_FORM = ErrorForm(
    name="openai",
    schema={
        "type": "object",
        "properties": {"error": {"type": "object", "properties": _MEMBERS, "required": [*_MEMBERS]}},
        "required": ["error"],
    },
    example=_example,
    statuses={HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST},
)
