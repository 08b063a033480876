"""Who opens a socket: a page of an allowed origin, or a native client, with a ticket or an access token."""

from aiohttp import web

from adiuva.auth.service import AUTH
from adiuva.web.access import AUTHENTICATOR, Principal, bearer_token
from adiuva.web.cors import require_origin

CLOSE_UNAUTHORIZED = 4401
CLOSE_GOING_AWAY = 1001


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
