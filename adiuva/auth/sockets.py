"""Who opens a socket: a page of an allowed origin, or a native client, with a ticket or an access token."""

from aiohttp import hdrs, web

from adiuva.auth.service import AUTH
from adiuva.errors import InvalidTokenError, OriginNotAllowedError, OverloadedError, UnauthorizedError, UnavailableError
from adiuva.web.access import AUTHENTICATOR, Principal, bearer_token
from adiuva.web.cors import require_origin
from adiuva.web.describe import Answer, Parameter

CLOSE_UNAUTHORIZED = 4401
CLOSE_GOING_AWAY = 1001

# How the OpenAPI document describes the upgrade.
SOCKET_PARAMETERS = (
    Parameter("ticket", {"type": "string"}, text="Of POST /auth/ticket: it opens one socket, once."),
    Parameter("token", {"type": "string"}, text="An access token, where neither ticket nor Authorization can be sent."),
    Parameter(hdrs.ORIGIN, {"type": "string"}, where="header", text="Of a page: an allowed one, else 403."),
)
SOCKET_ANSWERS = {101: Answer(text="The socket is open; its frames are in docs/websocket.md.")}
SOCKET_ERRORS = (OriginNotAllowedError, UnauthorizedError, InvalidTokenError, UnavailableError, OverloadedError)


async def socket_principal(request: web.Request) -> Principal:
    """Who asks for the upgrade.

    Raises:
        OriginNotAllowedError: a page of another origin does.
        UnauthorizedError: there is no valid ticket or token.
    """
    require_origin(request)
    if ticket := request.query.get("ticket"):
        return await request.app[AUTH].redeem_ticket(ticket)
    if token := request.query.get("token"):
        return await request.app[AUTHENTICATOR](token)
    return await request.app[AUTHENTICATOR](bearer_token(request))
