"""The document: what OpenAPI 3.1 says of the routes. What holds for all routes of a kind stands here, once."""

import re
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from attrs import define, field

from adiuva import errors
from adiuva.web.describe import JSON, Answer, Body, ClassParameter, ErrorForm, Parameter
from adiuva.web.openapi import headers
from adiuva.web.openapi.examples import example_of
from adiuva.web.openapi.schemas import Schema, Schemas, description
from adiuva.web.problems import X_REQUEST_ID, example
from adiuva.web.routes import Route, Routes

VERSION: Final = "3.1.1"
PROBLEM: Final = "Problem"
_PROBLEM_TYPE: Final = "application/problem+json"
_ABOUT: Final = (
    "The server behind the Adiuva desktop app. Unknown members of a request are ignored; missing or mistyped ones are "
    "422, and nothing is coerced. Every error is a problem (RFC 9457) with a stable code."
)

_ALWAYS: Final = (errors.InvalidRequestError, errors.AdiuvaError)
_PRIVATE: Final = (errors.UnauthorizedError, errors.InvalidTokenError)
_JSON_BODY: Final = (
    errors.BodyTimeoutError,
    errors.PayloadTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.ValidationFailedError,
)
_BYTES_BODY: Final = (
    errors.ChecksumMismatchError,
    errors.PayloadTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.ValidationFailedError,
)
_DATABASE: Final = (errors.UnavailableError, errors.OverloadedError)


def errors_of(route: Route) -> tuple[type[errors.AdiuvaError], ...]:
    """Every error that ``route`` may answer: its own, and those of its access, limit, body and parameters."""
    found: list[type[errors.AdiuvaError]] = [*_ALWAYS, *route.errors]
    if route.access != "public":
        found += _PRIVATE
    if route.access == "admin":
        found.append(errors.ForbiddenError)
    if route.limit is not None:
        found.append(errors.RateLimitedError)
    if route.body is not None:
        found += _JSON_BODY if route.body.media_type == JSON else _BYTES_BODY
    if any(isinstance(each, ClassParameter) or each.where == "query" for each in route.parameters):
        found.append(errors.ValidationFailedError)
    if "{" in route.path:
        found.append(errors.NotFoundError)
    if route.access != "public" or route.body is not None:
        found += _DATABASE
    return tuple(dict.fromkeys(found))


def make_document(routes: Routes, version: str) -> dict[str, Any]:
    """The document of ``routes``, by their methods and whole paths."""
    return _Maker().document(routes, version)


@define
class _Maker:
    schemas: Schemas = field(factory=Schemas)
    problems: dict[str, Schema] = field(factory=dict)  # the answers of errors, by their names

    def document(self, routes: Routes, version: str) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for (method, path), route in routes.items():
            paths.setdefault(path, {})[method.lower()] = self.operation(route)
        return {
            "openapi": VERSION,
            "info": {"title": "Adiuva", "version": version, "description": _ABOUT},
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": text} for name, text in sorted(_tags(routes.values()).items())],
            "paths": paths,
            "components": {
                "schemas": {PROBLEM: _PROBLEM, **self.schemas.components},
                "responses": self.problems,
                "headers": headers.HEADERS,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }

    def operation(self, route: Route) -> dict[str, Any]:
        tag = _tag(route)
        said: dict[str, Any] = {
            "operationId": f"{tag}_{getattr(route.handler, '__name__', 'call')}",
            "tags": [tag],
            "summary": route.summary,
            "security": [] if route.access == "public" else [{"bearer": []}],
        }
        if parameters := [*self.path_variables(route), *(self.parameter(each) for each in _others(route))]:
            said["parameters"] = parameters
        if route.body is not None:
            said["requestBody"] = self.request_body(route.body)
        answers = {str(status): self.answer(route, status, answer) for status, answer in route.answers.items()}
        return said | {"responses": answers | self.refusals(route)}

    def path_variables(self, route: Route) -> list[dict[str, Any]]:
        known = {each.name: each for each in route.parameters if isinstance(each, Parameter) and each.where == "path"}
        names = re.findall(r"{(\w+)}", route.path)
        return [self.parameter(known.get(name) or Parameter(name, {"type": "string"}, where="path")) for name in names]

    def parameter(self, parameter: Parameter | ClassParameter) -> dict[str, Any]:
        if isinstance(parameter, ClassParameter):
            schema = self.schemas.of_field(parameter.cls, parameter.name)
            parameter = Parameter(parameter.name, schema)
        return (
            {"name": str(parameter.name), "in": parameter.where, "schema": {**parameter.schema}}
            | ({"required": True} if parameter.required or parameter.where == "path" else {})
            | ({"description": parameter.text} if parameter.text else {})
            | ({"example": parameter.example} if parameter.example is not None else {})
        )

    def request_body(self, body: Body) -> dict[str, Any]:
        content: dict[str, Any] = {"schema": self.schemas.of(body.kind, answer=False)}
        if body.example is not None:
            content["example"] = body.example
        return {"required": body.required, "content": {body.media_type: content}}

    def answer(self, route: Route, status: int, answer: Answer) -> dict[str, Any]:
        names = [X_REQUEST_ID, *(headers.RATE_LIMIT if route.limit else ()), *answer.headers]
        said: dict[str, Any] = {
            "description": answer.text or _text(answer, status),
            "headers": headers.references(*names),
        }
        if answer.kind is None:
            return said
        content: dict[str, Any] = {"schema": self.schemas.of(answer.kind, answer=True)}
        if answer.media_type == JSON:
            made_up = example_of(content["schema"], self.schemas.components)
            content["example"] = made_up if answer.example is None else answer.example
        # OpenAPI 3.1 has no way to say what an event of a stream is.
        events: dict[str, Any] = {"text/event-stream": {}} if answer.is_streamed else {}
        return said | {"content": {answer.media_type: content} | events}

    def refusals(self, route: Route) -> dict[str, Any]:
        form = route.error_form
        by_status: dict[int, list[type[errors.AdiuvaError]]] = {}
        for error in errors_of(route):
            status = example(error)["status"]
            by_status.setdefault(form.statuses.get(status, status) if form else status, []).append(error)
        return {
            str(status): {"$ref": f"#/components/responses/{self.refusal(status, classes, form)}"}
            for status, classes in sorted(by_status.items())
        }

    def refusal(self, status: int, classes: list[type[errors.AdiuvaError]], form: ErrorForm | None) -> str:
        """The name of the answer that is one of these errors."""
        by_code = {cls.code: cls for cls in sorted(classes, key=lambda cls: cls.code)}
        name = ".".join([*([form.name] if form else []), str(status), *by_code])
        media_type, schema = (JSON, dict(form.schema)) if form else (_PROBLEM_TYPE, _problem_schema([*by_code]))
        show = form.example if form else _example
        self.problems[name] = {
            "description": " ".join(dict.fromkeys(example(cls)["title"] for cls in by_code.values())),
            "headers": headers.references(X_REQUEST_ID, *_headers_of(status)),
            "content": {
                media_type: {
                    "schema": schema,
                    "examples": {code: {"value": show(cls)} for code, cls in by_code.items()},
                }
            },
        }
        return name


_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The code as a URN."},
        "title": {"type": "string", "description": "What the code means."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What happened this time."},
        "code": {"type": "string", "description": "A word that clients may rely on."},
        "request_id": {"type": "string", "description": "As in X-Request-ID."},
        "errors": {
            "type": "array",
            "description": "With 422: each field that is missing or wrong.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
            },
        },
        "checkout_url": {"type": "string", "format": "uri", "description": "Where what has to be paid for is paid."},
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}


def _problem_schema(codes: list[str]) -> Schema:
    reference = {"$ref": f"#/components/schemas/{PROBLEM}"}
    return {"allOf": [reference, {"type": "object", "properties": {"code": {"enum": codes}}}]}


def _example(cls: type[errors.AdiuvaError]) -> dict[str, Any]:
    more: dict[str, Any] = {"request_id": "0f3c9a7e5d1b4c2f8e6a0d9b7c5e3f1a"}
    if issubclass(cls, errors.ValidationFailedError):
        more["errors"] = [{"field": "title", "message": "is missing"}]
    if issubclass(cls, errors.CheckoutRequiredError):
        more["checkout_url"] = "https://checkout.stripe.com/c/pay/cs_test_a1"
    return example(cls) | more


def _headers_of(status: int) -> tuple[str, ...]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return ("WWW-Authenticate",)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return ("Retry-After", *headers.RATE_LIMIT)
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return ("Retry-After",)
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return ("Content-Range",)
    return ()


def _others(route: Route) -> list[Parameter | ClassParameter]:
    return [each for each in route.parameters if isinstance(each, ClassParameter) or each.where != "path"]


def _text(answer: Answer, status: int) -> str:
    has_meaning = isinstance(answer.kind, type) and answer.kind.__module__.startswith("adiuva.")
    return description(answer.kind) if has_meaning else f"{HTTPStatus(status).phrase}."


def _part(route: Route) -> str:
    """The part of the program that the handler is of."""
    name = route.handler.__module__
    nested = name.startswith(("adiuva.web.", "adiuva.doors."))
    return name.removesuffix(".handlers") if nested else ".".join(name.split(".")[:2])


def _tag(route: Route) -> str:
    return _part(route).split(".")[-1]


def _tags(routes: Iterable[Route]) -> dict[str, str]:
    return {_tag(route): description(sys.modules[_part(route)]) for route in routes}
