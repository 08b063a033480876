"""Batches of records over HTTP."""

from typing import Final

from aiohttp import web

from adiuva.storage.batch.models import MAX_RECORD_BYTES, MAX_RECORDS, RecordBatch
from adiuva.storage.batch.service import BATCH
from adiuva.web.access import PRINCIPAL
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

_BASE64 = 4 / 3
MAX_BATCH_BYTES: Final = int(MAX_RECORDS * (MAX_RECORD_BYTES * _BASE64 + 1024))


async def create_records(request: web.Request) -> web.Response:
    """Store up to 100 small records in one transaction."""
    batch = await read_json(request, RecordBatch, max_bytes=MAX_BATCH_BYTES)
    return json_response({"results": await request.app[BATCH].store(request[PRINCIPAL], batch)})


ROUTES = [
    Route("POST", "/storage/records/batch", create_records),
]
