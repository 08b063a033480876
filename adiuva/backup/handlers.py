"""Backups over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
from aiohttp import web

from adiuva.backup import queries
from adiuva.backup.models import Backup, Label
from adiuva.backup.service import BACKUPS
from adiuva.errors import BlobStoreUnavailableError, NotFoundError, QuotaExceededError, ValidationFailedError
from adiuva.sdk.convert import MismatchError
from adiuva.sdk.scalars import check_datetime
from adiuva.storage.download import BLOB_ERRORS, BLOB_PARAMETERS, blob_answers, send_blob
from adiuva.storage.models import Blob
from adiuva.storage.requests import PATH_ID, checksum_parameter, path_id, read_body
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import BYTES, NOTHING, Answer, Listing, Parameter
from adiuva.web.keys import DATABASE
from adiuva.web.paging import page_parameters, read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route

X_VERSION = "X-Backup-Version"
X_TIMESTAMP = "X-Backup-Timestamp"
X_CHECKSUM = "X-Backup-Checksum"
_MAX_VERSION = 64


async def store_backup(request: web.Request) -> web.Response:
    """Take a backup in."""
    label = _label(request)
    backup = await request.app[BACKUPS].store(request[PRINCIPAL], label, read_body(request, X_CHECKSUM))
    return json_response(backup, status=201)


async def get_newest(request: web.Request) -> web.StreamResponse:
    """The bytes of the backup that was taken last, whole or in part."""
    return await _send(request, None)


async def get_backup(request: web.Request) -> web.StreamResponse:
    """The bytes of a backup, whole or in part."""
    return await _send(request, path_id(request))


async def list_backups(request: web.Request) -> web.Response:
    """The user's backups, the last taken first."""
    page = read_page(request)
    async with request.app[DATABASE].acquire() as conn:
        backups, total = await queries.list_backups(conn, request[PRINCIPAL].user_id, page)
    return json_response(page.listing(backups, total=total))


async def delete_backup(request: web.Request) -> web.Response:
    """Delete a backup."""
    await request.app[BACKUPS].delete(request[PRINCIPAL].user_id, path_id(request))
    return web.Response(status=204)


async def _send(request: web.Request, backup_id: UUID | None) -> web.StreamResponse:
    backups, user_id = request.app[BACKUPS], request[PRINCIPAL].user_id
    headers: dict[str, str] = {}

    async def find() -> Blob:
        stored = await backups.find(user_id, backup_id)
        backup = stored.backup
        headers[X_VERSION] = backup.version
        headers[X_TIMESTAMP] = orjson.loads(orjson.dumps(backup.timestamp, option=orjson.OPT_UTC_Z))
        headers[X_CHECKSUM] = backup.checksum
        # A client asks whether there is anything newer than what it has: that is a matter of when it was taken.
        return Blob(
            key=stored.key,
            checksum=backup.checksum,
            size=backup.size_bytes,
            modified=backup.timestamp,
            blocks=stored.blocks,
        )

    return await send_blob(request, find, headers)


def _label(request: web.Request) -> Label:
    version, faults = request.headers.get(X_VERSION, ""), []
    # A header is decoded leniently: it may hold surrogates, which no database takes.
    if not 1 <= len(version) <= _MAX_VERSION or not version.isprintable():
        faults.append((X_VERSION, f"must be 1 to {_MAX_VERSION} printable characters"))
    try:
        timestamp = _utc(request.headers.get(X_TIMESTAMP))
    except MismatchError as error:
        raise ValidationFailedError([*faults, (X_TIMESTAMP, error.message)]) from None
    if faults:
        raise ValidationFailedError(faults)
    return Label(version=version, timestamp=timestamp)


def _utc(text: str | None) -> datetime:
    moment = check_datetime(text)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise MismatchError("must be within the years 1 to 9999") from None


_LABEL = (
    Parameter(
        X_VERSION,
        {"type": "string", "minLength": 1, "maxLength": _MAX_VERSION},
        where="header",
        required=True,
        text="Printable characters.",
        example="1",
    ),
    Parameter(
        X_TIMESTAMP,
        {"type": "string"},
        where="header",
        required=True,
        text="When it was taken, in ISO 8601; without an offset, in UTC.",
        example="2026-01-15T09:30:00Z",
    ),
    checksum_parameter(X_CHECKSUM),
)
_ANSWERS = blob_answers(X_VERSION, X_TIMESTAMP, X_CHECKSUM)

ROUTES = [
    Route(
        "PUT",
        "/backup",
        store_backup,
        parameters=_LABEL,
        body=BYTES,
        answers={201: Answer(Backup)},
        errors=(QuotaExceededError, BlobStoreUnavailableError),
    ),
    Route(
        "GET",
        "/backup",
        get_newest,
        parameters=BLOB_PARAMETERS,
        answers=_ANSWERS,
        errors=(NotFoundError, *BLOB_ERRORS),
    ),
    Route("GET", "/backup/history", list_backups, parameters=page_parameters(), answers={200: Answer(Listing(Backup))}),
    Route(
        "GET",
        "/backup/{id}",
        get_backup,
        parameters=(PATH_ID, *BLOB_PARAMETERS),
        answers=_ANSWERS,
        errors=BLOB_ERRORS,
    ),
    Route("DELETE", "/backup/{id}", delete_backup, parameters=(PATH_ID,), answers=NOTHING),
]
