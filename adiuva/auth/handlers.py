"""The calls of accounts and sessions."""

from uuid import UUID

from aiohttp import hdrs, web

from adiuva.auth import queries
from adiuva.auth.models import (
    AuthTokens,
    LoginRequest,
    Me,
    PasswordRequest,
    RefreshRequest,
    RegisterRequest,
    Sessions,
    Ticket,
)
from adiuva.auth.service import AUTH
from adiuva.errors import EmailTakenError, InvalidCredentialsError, InvalidTokenError, NotFoundError, TokenReusedError
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import NOTHING, UUID_TEXT, Answer, Body, Parameter
from adiuva.web.keys import DATABASE
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

_MAX_USER_AGENT = 512


async def register(request: web.Request) -> web.Response:
    """Make an account, and log in."""
    body = await read_json(request, RegisterRequest)
    tokens = await request.app[AUTH].register(body.email, body.password, _user_agent(request))
    return json_response(tokens, status=201)


async def login(request: web.Request) -> web.Response:
    """Log in."""
    body = await read_json(request, LoginRequest)
    return json_response(await request.app[AUTH].login(body.email, body.password, _user_agent(request)))


async def refresh(request: web.Request) -> web.Response:
    """Exchange a refresh token for new tokens."""
    body = await read_json(request, RefreshRequest)
    return json_response(await request.app[AUTH].refresh(body.refresh_token))


async def logout(request: web.Request) -> web.Response:
    """Revoke the login of a refresh token."""
    body = await read_json(request, RefreshRequest)
    await request.app[AUTH].logout(body.refresh_token)
    return web.Response(status=204)


async def change_password(request: web.Request) -> web.Response:
    """Change the password, and revoke all other logins."""
    body = await read_json(request, PasswordRequest)
    await request.app[AUTH].change_password(request[PRINCIPAL], body.current_password, body.new_password)
    return web.Response(status=204)


async def list_sessions(request: web.Request) -> web.Response:
    """The user's logins."""
    principal = request[PRINCIPAL]
    async with request.app[DATABASE].acquire() as conn:
        items = await queries.list_sessions(conn, user_id=principal.user_id, current=principal.login_id)
    return json_response(Sessions(items=items))


async def revoke_session(request: web.Request) -> web.Response:
    """Revoke one of the user's logins."""
    try:
        login_id = UUID(request.match_info["id"])
    except ValueError:
        raise NotFoundError from None
    async with request.app[DATABASE].acquire() as conn:
        if not await queries.revoke_login(conn, login_id=login_id, user_id=request[PRINCIPAL].user_id):
            raise NotFoundError
    return web.Response(status=204)


async def issue_ticket(request: web.Request) -> web.Response:
    """Issue a ticket that opens one WebSocket."""
    return json_response(await request.app[AUTH].issue_ticket(request[PRINCIPAL]))


async def me(request: web.Request) -> web.Response:
    """Tell who is logged in."""
    principal = request[PRINCIPAL]
    return json_response(
        Me(
            id=principal.user_id,
            email=principal.email,
            tier=principal.tier,
            is_admin=principal.is_admin,
            created_at=principal.created_at,
        )
    )


def _user_agent(request: web.Request) -> str | None:
    # A header is decoded leniently: it may hold surrogates, which no database takes.
    text = request.headers.get(hdrs.USER_AGENT, "").encode(errors="replace").decode()
    printable = "".join(character for character in text if character.isprintable())
    return printable[:_MAX_USER_AGENT] or None


_ID = Parameter("id", UUID_TEXT, where="path")
_CREDENTIALS = {"email": "ada@example.org", "password": "correct horse battery"}
_REFRESH = Body(RefreshRequest, {"refresh_token": "kq3J9vW0c1xY7mZr5tBn2uHs8dLf4gPe6aQoRiTyUwE"})
_PASSWORDS = {"current_password": "correct horse battery", "new_password": "staple correct horse"}

ROUTES = (
    Route(
        "POST",
        "/auth/register",
        register,
        access="public",
        limit="register",
        body=Body(RegisterRequest, _CREDENTIALS),
        answers={201: Answer(AuthTokens)},
        errors=(EmailTakenError,),
    ),
    Route(
        "POST",
        "/auth/login",
        login,
        access="public",
        limit="login",
        body=Body(LoginRequest, _CREDENTIALS),
        answers={200: Answer(AuthTokens)},
        errors=(InvalidCredentialsError,),
    ),
    Route(
        "POST",
        "/auth/refresh",
        refresh,
        access="public",
        limit="refresh",
        body=_REFRESH,
        answers={200: Answer(AuthTokens)},
        errors=(InvalidTokenError, TokenReusedError),
    ),
    Route("POST", "/auth/logout", logout, access="public", body=_REFRESH, answers=NOTHING),
    Route(
        "POST",
        "/auth/password",
        change_password,
        body=Body(PasswordRequest, _PASSWORDS),
        answers=NOTHING,
        errors=(InvalidCredentialsError,),
    ),
    Route("GET", "/auth/sessions", list_sessions, answers={200: Answer(Sessions)}),
    Route("DELETE", "/auth/sessions/{id}", revoke_session, parameters=(_ID,), answers=NOTHING),
    Route("POST", "/auth/ticket", issue_ticket, answers={200: Answer(Ticket)}),
    Route("GET", "/auth/me", me, answers={200: Answer(Me)}),
)
