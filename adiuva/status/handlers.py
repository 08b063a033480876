"""What the server tells of itself: a little to everyone, how the agents do to users, where things are to admins."""

from aiohttp import web

from adiuva.status.models import About, ServerStatus
from adiuva.status.service import STATUS
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import Answer
from adiuva.web.responses import json_response
from adiuva.web.routes import Route


async def about(request: web.Request) -> web.Response:
    """What runs here."""
    return json_response(request.app[STATUS].about())


async def status(request: web.Request) -> web.Response:
    """How the agents do: what waits, what runs, and what has ended how."""
    return json_response(request.app[STATUS].for_user(request[PRINCIPAL]))


ROUTES = [
    Route("GET", "/about", about, access="public", answers={200: Answer(About)}),
    Route("GET", "/status", status, answers={200: Answer(ServerStatus)}),
]
