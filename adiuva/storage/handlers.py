"""Records over HTTP."""

from aiohttp import web

from adiuva.errors import ValidationFailedError
from adiuva.storage import queries
from adiuva.storage.download import send_blob
from adiuva.storage.models import TABLE_MEANING, Blob
from adiuva.storage.requests import X_CHECKSUM, expected_checksums, path_id, query_id, query_table, read_body
from adiuva.storage.service import RECORDS
from adiuva.web.access import PRINCIPAL
from adiuva.web.keys import DATABASE
from adiuva.web.paging import read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route


async def create_record(request: web.Request) -> web.Response:
    """Store a record; the same one again is a retry."""
    table, record_id = query_table(request), query_id(request)
    if table is None:
        raise ValidationFailedError([("table", f"must be {TABLE_MEANING}")])
    record, is_new = await request.app[RECORDS].create(request[PRINCIPAL], table, record_id, read_body(request))
    return json_response(record, status=201 if is_new else 200)


async def list_records(request: web.Request) -> web.Response:
    """The user's records, of one table or of all, newest first."""
    page, table = read_page(request), query_table(request)
    async with request.app[DATABASE].acquire() as conn:
        records, total = await queries.list_records(conn, request[PRINCIPAL].user_id, table, page)
    return json_response(page.listing(records, total=total))


async def get_record(request: web.Request) -> web.StreamResponse:
    """The bytes of a record, whole or in part."""
    records, user_id, record_id = request.app[RECORDS], request[PRINCIPAL].user_id, path_id(request)
    checksum: dict[str, str] = {}

    async def find() -> Blob:
        blob = await records.blob(user_id, record_id)
        checksum[X_CHECKSUM] = blob.checksum
        return blob

    return await send_blob(request, find, checksum)


async def replace_record(request: web.Request) -> web.Response:
    """Replace a record, if it is still what the client takes it for."""
    query_table(request)
    record = await request.app[RECORDS].replace(
        request[PRINCIPAL], path_id(request), read_body(request), expected_checksums(request)
    )
    return json_response(record)


async def delete_record(request: web.Request) -> web.Response:
    """Delete a record, if it is still what the client takes it for."""
    await request.app[RECORDS].delete(request[PRINCIPAL], path_id(request), expected_checksums(request))
    return web.Response(status=204)


async def get_usage(request: web.Request) -> web.Response:
    """How much of its shares the user has used."""
    return json_response(await request.app[RECORDS].usage(request[PRINCIPAL]))


ROUTES = [
    Route("POST", "/storage/records", create_record),
    Route("GET", "/storage/records", list_records),
    Route("GET", "/storage/records/{id}", get_record),
    Route("PUT", "/storage/records/{id}", replace_record),
    Route("DELETE", "/storage/records/{id}", delete_record),
    Route("GET", "/storage/usage", get_usage),
]
