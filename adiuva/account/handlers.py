"""The end of an account over HTTP."""

from aiohttp import web

from adiuva.account.models import DeleteRequest
from adiuva.account.service import ACCOUNTS
from adiuva.web.access import PRINCIPAL
from adiuva.web.routes import Route, read_json


async def delete_me(request: web.Request) -> web.Response:
    """Delete the user's account, and everything that is the user's."""
    body = await read_json(request, DeleteRequest)
    await request.app[ACCOUNTS].delete(request[PRINCIPAL], body.password)
    return web.Response(status=204)


ROUTES = [
    Route("DELETE", "/auth/me", delete_me),
]
