"""Routes and their guard: ``register`` is a handler's only way onto the router, and closed unless told otherwise."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, TypeVar

from aiohttp import ClientError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from attrs import field, frozen, validators

from adiuva.errors import (
    AdiuvaError,
    BodyTimeoutError,
    BrokenBodyError,
    ForbiddenError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from adiuva.web import wire
from adiuva.web.access import AUTHENTICATOR, PRINCIPAL, Access, bearer_token
from adiuva.web.describe import Answer, Body, ClassParameter, ErrorForm, Parameter
from adiuva.web.keys import LIMITER, SETTINGS
from adiuva.web.limits import Hit, client_address

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Limit = Literal["user", "register", "login", "refresh"]

STALLED_SECONDS = 10.0  # what a body may take to its next bytes
BODY_SECONDS = 30.0  # and in all

HIT: web.RequestKey[Hit] = web.RequestKey("hit", Hit)


@frozen
class Route:
    """One call of the API: ``path`` is below the prefix, with variables as aiohttp writes them."""

    method: str
    path: str
    handler: Handler
    access: Access = field(default="private", validator=validators.in_(("private", "public", "admin")), kw_only=True)
    # What requests are counted by: "user" the user, with the tier's limit; any other the client's address.
    limit: Limit | None = field(kw_only=True)
    # What the OpenAPI document says besides: errors are those of this route alone, not those of its access or its body.
    parameters: tuple[Parameter | ClassParameter, ...] = field(default=(), kw_only=True)
    body: Body | None = field(default=None, kw_only=True)
    answers: Mapping[int, Answer] = field(factory=dict, kw_only=True)
    errors: tuple[type[AdiuvaError], ...] = field(default=(), kw_only=True)
    error_form: ErrorForm | None = field(default=None, kw_only=True)  # where they are no problems

    @property
    def summary(self) -> str:
        """What the call does, in a line: the first one of the handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "").split("\n")[0]

    @limit.default
    def _limit_of_access(self) -> Limit | None:
        return None if self.access == "public" else "user"

    @limit.validator
    def _needs_a_user(self, _: object, value: Limit | None) -> None:
        if value == "user" and self.access == "public":
            message = f"{self.path}: a public route has no user to count by"
            raise ValueError(message)


Routes = dict[tuple[str, str], Route]
ROUTES: web.AppKey[Routes] = web.AppKey("routes", dict)
"""Every route by its method and path."""


OnError = Callable[[web.Request, Exception], web.StreamResponse]
ERROR_FORMS: web.AppKey[dict[str, OnError]] = web.AppKey("error_forms", dict)
"""What answers errors in place of a problem, by the prefix of the paths."""


def register(app: web.Application, prefix: str, routes: Iterable[Route], *, on_error: OnError | None = None) -> None:
    """Put ``routes`` on the router of ``app``, each behind its guard.

    ``on_error`` answers the errors of all paths below the prefix, for clients that read another form than problems.
    The guard finds ``request[PRINCIPAL]`` for all but public routes, and counts the request where it is limited.
    """
    table = app.setdefault(ROUTES, {})
    forms = app.setdefault(ERROR_FORMS, {})
    if on_error is not None:
        forms[prefix] = on_error
    for route in routes:
        table[route.method, prefix + route.path] = route
        app.router.add_route(route.method, prefix + route.path, _guarded(route), expect_handler=_expect)


def _guarded(route: Route) -> Handler:
    handler, access, limit = route.handler, route.access, route.limit

    async def guard(request: web.Request) -> web.StreamResponse:
        if access != "public":
            request[PRINCIPAL] = await request.app[AUTHENTICATOR](bearer_token(request))
        if limit is not None:
            await _count(request, limit)
        if access == "admin" and not request[PRINCIPAL].is_admin:
            raise ForbiddenError
        return await handler(request)

    return guard


async def _count(request: web.Request, limit: Limit) -> None:
    settings = request.app[SETTINGS]
    if limit == "user":
        principal = request[PRINCIPAL]
        key, amount = f"user:{principal.user_id}", settings.rate_limits[principal.tier]
    else:
        key = f"{limit}:{client_address(request, settings.trusted_proxies)}"
        amount = settings.auth_rate_limits[limit]
    hit = request[HIT] = await request.app[LIMITER].hit(key, amount)
    hit.require()


async def _expect(request: web.Request) -> web.StreamResponse | None:
    # aiohttp calls this before any middleware, so an error raised here would not become a problem.
    if request.version >= (1, 1) and request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself has been sent
    return None


async def read_json(
    request: web.Request,
    cls: type[T],
    *,
    max_bytes: int | None = None,
    read: Callable[[type[T], bytes], T] = wire.read,
) -> T:
    """The request's JSON body as a ``cls``; ``max_bytes`` takes the place of ``MAX_JSON_BYTES``.

    Raises:
        UnsupportedMediaTypeError: the body does not say that it is JSON in UTF-8, or is compressed.
        PayloadTooLargeError: it is larger than that.
        BrokenBodyError: it does not arrive, or not in time.
        InvalidRequestError: it is no JSON.
        ValidationFailedError: its fields are not those of ``cls``.
    """
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaTypeError
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body is compressed, which is not taken here.")
    return read(cls, await _read_body(request, max_bytes or request.app[SETTINGS].max_json_bytes))


async def read_bytes(request: web.Request) -> bytes:
    """The request's body as it is, at most ``MAX_JSON_BYTES`` of it; see `read_json` for the errors."""
    return await _read_body(request, request.app[SETTINGS].max_json_bytes)


async def _read_body(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise PayloadTooLargeError
    body = b""
    now = asyncio.get_running_loop().time
    end = now() + BODY_SECONDS
    try:
        async with asyncio.timeout(None) as timeout:
            while True:
                if not request.content.is_eof():  # most bodies are there as a whole by now
                    timeout.reschedule(min(end, now() + STALLED_SECONDS))
                if not (chunk := await request.content.readany()):
                    return body
                body = body + chunk if body else chunk
                if len(body) > limit:
                    raise PayloadTooLargeError
    except TimeoutError:
        raise _given_up(request, BodyTimeoutError()) from None
    except (ClientError, HttpProcessingError, RequestPayloadError, ConnectionError):
        raise _given_up(request, BrokenBodyError()) from None


def _given_up(request: web.Request, error: BrokenBodyError) -> BrokenBodyError:
    request.content.feed_eof()  # else aiohttp would wait for the rest once the answer is out
    return error
