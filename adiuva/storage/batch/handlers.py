"""Batches of records over HTTP."""

from typing import Final

from aiohttp import web

from adiuva.errors import BlobStoreUnavailableError, QuotaExceededError
from adiuva.storage.batch.models import MAX_RECORD_BYTES, MAX_RECORDS, BatchResults, RecordBatch
from adiuva.storage.batch.service import BATCH
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import Answer, Body
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

_BASE64 = 4 / 3
MAX_BATCH_BYTES: Final = int(MAX_RECORDS * (MAX_RECORD_BYTES * _BASE64 + 1024))


async def create_records(request: web.Request) -> web.Response:
    """Store up to 100 small records in one transaction."""
    batch = await read_json(request, RecordBatch, max_bytes=MAX_BATCH_BYTES)
    return json_response(BatchResults(results=await request.app[BATCH].store(request[PRINCIPAL], batch)))


_EXAMPLE = {
    "table": "tasks",
    "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "blob": "dGVzdA==",
}

_DONE = {
    "status": 201,
    "record": {
        "id": "019b1d2e-5f4a-7c3b-9d10-6a4c2f8e7b51",
        "table": "tasks",
        "checksum": _EXAMPLE["checksum"],
        "size_bytes": 4,
        "created_at": "2026-01-15T09:30:00Z",
        "updated_at": "2026-01-15T09:30:00Z",
    },
    "error": None,
}

ROUTES = [
    Route(
        "POST",
        "/storage/records/batch",
        create_records,
        body=Body(RecordBatch, {"records": [_EXAMPLE]}),
        answers={200: Answer(BatchResults, example={"results": [_DONE]})},
        errors=(QuotaExceededError, BlobStoreUnavailableError),
    ),
]
