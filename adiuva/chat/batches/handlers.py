"""Batches over HTTP: ``/batches``."""

from uuid import UUID

from aiohttp import web

from adiuva.chat.batches.batch import Batch
from adiuva.chat.batches.errors import BatchesNotServedError, BatchLimitError
from adiuva.chat.batches.models import BatchRequest, BatchView, ItemResult
from adiuva.chat.batches.service import BATCHES
from adiuva.errors import GoingAwayError, NotFoundError, OverloadedError, TierRequiredError
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import NOTHING, UUID_TEXT, Answer, Body, Listing, Parameter
from adiuva.web.keys import SETTINGS
from adiuva.web.paging import page_parameters, read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

MAX_BATCH_BYTES = 4 * 1024 * 1024


async def post_batch(request: web.Request) -> web.Response:
    """Take a batch of chat requests, to be run in the background."""
    if request.app[SETTINGS].web_concurrency > 1:
        raise BatchesNotServedError
    body = await read_json(request, BatchRequest, max_bytes=MAX_BATCH_BYTES)
    batch = await request.app[BATCHES].post(body, request[PRINCIPAL])
    return json_response(batch.view(), status=202)


async def list_batches(request: web.Request) -> web.Response:
    """The user's batches, the newest first."""
    page = read_page(request)
    batches = request.app[BATCHES].of(request[PRINCIPAL])
    return json_response(page.listing([batch.view() for batch in page.cut(batches)], total=len(batches)))


async def get_batch(request: web.Request) -> web.Response:
    """How far a batch is."""
    return json_response(_batch(request).view())


async def list_results(request: web.Request) -> web.Response:
    """The results that are ready, in the order in which they came: a page once full never changes."""
    page, results = read_page(request), _batch(request).results
    return json_response(page.listing(page.cut(results), total=len(results)))


async def delete_batch(request: web.Request) -> web.Response:
    """Cancel a batch, model calls included, and forget it."""
    await request.app[BATCHES].cancel(request[PRINCIPAL], _batch_id(request))
    return web.Response(status=204)


def _batch(request: web.Request) -> Batch:
    return request.app[BATCHES].get(request[PRINCIPAL], _batch_id(request))


def _batch_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise NotFoundError from None


_ID = Parameter("id", UUID_TEXT, where="path")
_KEY = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY3ODk="
_BATCH = {"public_key": _KEY, "items": [{"id": "first", "message": "Which tasks are late?"}]}

ROUTES = [
    Route(
        "POST",
        "/batches",
        post_batch,
        body=Body(BatchRequest, _BATCH),
        answers={202: Answer(BatchView)},
        errors=(BatchLimitError, TierRequiredError, OverloadedError, GoingAwayError, BatchesNotServedError),
    ),
    Route("GET", "/batches", list_batches, parameters=page_parameters(), answers={200: Answer(Listing(BatchView))}),
    Route("GET", "/batches/{id}", get_batch, parameters=(_ID,), answers={200: Answer(BatchView)}),
    Route(
        "GET",
        "/batches/{id}/results",
        list_results,
        parameters=(_ID, *page_parameters()),
        answers={200: Answer(Listing(ItemResult))},
    ),
    Route("DELETE", "/batches/{id}", delete_batch, parameters=(_ID,), answers=NOTHING),
]
