"""The audit log over HTTP."""

from aiohttp import web

from adiuva.audit import queries
from adiuva.web.keys import DATABASE
from adiuva.web.paging import read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route


async def list_audit(request: web.Request) -> web.Response:
    """What admins did, the newest first."""
    page = read_page(request)
    async with request.app[DATABASE].acquire() as conn:
        entries, total = await queries.list_entries(conn, page)
    return json_response(page.listing(entries, total=total))


ROUTES = [
    Route("GET", "/admin/audit", list_audit, access="admin"),
]
