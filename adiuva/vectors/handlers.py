"""The calls of vectors."""

from aiohttp import web

from adiuva.billing.tiers import require_storage
from adiuva.vectors.models import (
    Deleted,
    DeleteRequest,
    Results,
    SearchRequest,
    Upserted,
    UpsertRequest,
    read,
)
from adiuva.vectors.service import VECTORS
from adiuva.web.access import PRINCIPAL
from adiuva.web.keys import SETTINGS
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

# A hundred vectors of a large model's dimensions, with their blobs.
_MAX_UPSERT_BYTES = 8 * 2**20


async def upsert(request: web.Request) -> web.Response:
    """Keep vectors with their blobs, all or none."""
    principal = request[PRINCIPAL]
    require_storage(principal.tier)
    most = max(_MAX_UPSERT_BYTES, request.app[SETTINGS].max_json_bytes)
    body = await read_json(request, UpsertRequest, max_bytes=most, read=read)
    count = await request.app[VECTORS].upsert(principal.user_id, body.vectors)
    return json_response(Upserted(upserted=count))


async def search(request: web.Request) -> web.Response:
    """Find the user's entries that are nearest to a vector, or to that of a blob."""
    principal = request[PRINCIPAL]
    require_storage(principal.tier)
    body = await read_json(request, SearchRequest, read=read)
    return json_response(Results(results=await request.app[VECTORS].search(principal.user_id, body)))


async def delete(request: web.Request) -> web.Response:
    """Forget entries by their ids."""
    principal = request[PRINCIPAL]
    require_storage(principal.tier)
    body = await read_json(request, DeleteRequest, read=read)
    return json_response(Deleted(deleted=await request.app[VECTORS].delete(principal.user_id, body.ids)))


ROUTES = (
    Route("POST", "/storage/vectors/upsert", upsert),
    Route("POST", "/storage/vectors/search", search),
    Route("DELETE", "/storage/vectors", delete),
)
