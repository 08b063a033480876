"""Changes over HTTP, and the upgrade to ``WS /storage/stream``."""

import re

from aiohttp import web

from adiuva.errors import ValidationFailedError
from adiuva.storage.changes import queries
from adiuva.storage.changes.models import Changes
from adiuva.storage.changes.socket import open_stream
from adiuva.web.access import PRINCIPAL
from adiuva.web.keys import DATABASE
from adiuva.web.paging import read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route

_is_cursor = re.compile(r"[0-9]{1,18}").fullmatch


async def list_changes(request: web.Request) -> web.Response:
    """What changed after a cursor, each record once; without a cursor, from the beginning."""
    limit, cursor = read_page(request).limit, request.query.get("cursor", "0")
    if not _is_cursor(cursor):
        raise ValidationFailedError([("cursor", "must be a cursor of an earlier answer")])
    async with request.app[DATABASE].acquire() as conn:
        items, last = await queries.list_changes(conn, request[PRINCIPAL].user_id, after=int(cursor), limit=limit)
    return json_response(Changes(items=items, cursor=str(last), has_more=len(items) == limit))


ROUTES = [
    Route("GET", "/storage/changes", list_changes),
    Route("GET", "/storage/stream", open_stream, access="public", limit=None),  # it authenticates the socket itself
]
