"""Blobs over HTTP: whole or in ranges (RFC 9110, 13 and 14), and never as whole and good when they are not."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web
from attrs import frozen

from adiuva.blobs.blocks import BLOCK
from adiuva.errors import (
    BlobDamagedError,
    BlobMissingError,
    BlobStoreUnavailableError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
)
from adiuva.storage.keys import UPLOADS
from adiuva.storage.models import Blob
from adiuva.storage.reader import READER
from adiuva.web.describe import OCTETS, Answer, Parameter
from adiuva.web.disconnect import cancelled_on_disconnect

log = structlog.get_logger(__name__)

# How the OpenAPI document describes what `send_blob` heeds, answers and raises.
BLOB_PARAMETERS: Final = tuple(
    Parameter(name, {"type": "string"}, where="header", text=text)
    for name, text in (
        (hdrs.RANGE, "One range of bytes, such as bytes=0-1023."),
        (hdrs.IF_RANGE, "The ETag, or Last-Modified, that the range is of."),
        (hdrs.IF_MATCH, "ETags, or *: anything else is 412."),
        (hdrs.IF_NONE_MATCH, "ETags, or *: what the client has is 304."),
        (hdrs.IF_MODIFIED_SINCE, "An HTTP date: what is not newer is 304."),
        (hdrs.IF_UNMODIFIED_SINCE, "An HTTP date: what is newer is 412."),
    )
)
BLOB_ERRORS: Final = (
    PreconditionFailedError,
    RangeNotSatisfiableError,
    BlobDamagedError,
    BlobMissingError,
    BlobStoreUnavailableError,
)
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})").fullmatch


@frozen
class Part:
    """The bytes from ``start`` up to ``end``, of ``size``."""

    start: int
    end: int
    size: int


def blob_answers(*own: str) -> dict[int, Answer]:
    """How the OpenAPI document describes the answers of `send_blob`; ``own`` are the headers that it is given."""
    names = (hdrs.ETAG, hdrs.LAST_MODIFIED, hdrs.ACCEPT_RANGES, *own)
    part = (*names, hdrs.CONTENT_RANGE)
    return {
        200: Answer({}, media_type=OCTETS, headers=names, text="All of its bytes."),
        206: Answer({}, media_type=OCTETS, headers=part, text="The part that was asked for."),
        304: Answer(headers=names, text="The client has it already."),
    }


async def send_blob(
    request: web.Request, find: Callable[[], Awaitable[Blob]], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with the bytes of the blob that ``find`` gives, or as much of them as is asked for."""
    blob = await find()
    while True:
        try:
            return await _answer(request, blob, headers)
        except BlobMissingError:
            missing, blob = blob, await find()
            if blob.key == missing.key:
                log.error("a stored blob is missing", key=blob.key)  # noqa: TRY400 - where it was noticed tells nothing
                raise


async def _answer(request: web.Request, blob: Blob, headers: Mapping[str, str]) -> web.StreamResponse:
    modified = blob.modified.replace(microsecond=0)
    own = {**headers, hdrs.ETAG: f'"{blob.checksum}"', hdrs.ACCEPT_RANGES: "bytes"}
    own[hdrs.LAST_MODIFIED] = format_datetime(modified, usegmt=True)
    if _is_known(request, blob, modified):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=own)
    part = _part(request, blob, modified)
    status = HTTPStatus.OK
    if part is None:
        part = Part(0, blob.size, blob.size)
    else:
        status = HTTPStatus.PARTIAL_CONTENT
        own[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.end - 1}/{part.size}"
    own[hdrs.CONTENT_TYPE] = "application/octet-stream"
    try:
        return await _send(request, blob, part, status, own)
    except BlobDamagedError:
        log.error("a stored blob is damaged", key=blob.key)  # noqa: TRY400 - where it was noticed tells nothing
        raise


async def _send(
    request: web.Request, blob: Blob, part: Part, status: HTTPStatus, headers: Mapping[str, str]
) -> web.StreamResponse:
    reader = request.app[READER]
    if _is_small(blob):
        data = (await reader.whole(blob))[part.start : part.end]
        request.app[UPLOADS].traffic.bytes_out += len(data)
        return web.Response(body=data, status=status, headers=headers)
    blocks = reader.stream(blob) if blob.blocks is None else reader.parts(blob, blob.blocks, part.start, part.end)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = part.end - part.start
    with cancelled_on_disconnect(request):
        await _send_blocks(request, response, blocks)
    return response


async def _send_blocks(
    request: web.Request, response: web.StreamResponse, blocks: AsyncGenerator[Sequence[bytes | memoryview], None]
) -> None:
    traffic = request.app[UPLOADS].traffic
    async with aclosing(blocks):
        async for block in blocks:
            if not response.prepared:  # not before: until then a damaged blob gets an answer of its own
                await response.prepare(request)
            for piece in block:
                await response.write(piece)
                traffic.bytes_out += len(piece)


def _is_small(blob: Blob) -> bool:
    return blob.blocks is None and blob.size <= BLOCK


def _is_known(request: web.Request, blob: Blob, modified: datetime) -> bool:
    """Whether the client has it already.

    Raises:
        PreconditionFailedError: it is not what the client wants it to be.
    """
    if (wanted := request.if_match) is not None:
        if not any(tag.value in {"*", blob.checksum} and not tag.is_weak for tag in wanted):
            raise PreconditionFailedError
    elif (since := request.if_unmodified_since) is not None and modified > since:
        raise PreconditionFailedError
    if (known := request.if_none_match) is not None:
        return any(tag.value in {"*", blob.checksum} for tag in known)
    since = request.if_modified_since
    return since is not None and modified <= since


def _part(request: web.Request, blob: Blob, modified: datetime) -> Part | None:
    """The part that is asked for; what is no single range of bytes is passed over, as RFC 9110 has it."""
    if blob.blocks is None and not _is_small(blob):  # of a part of it nobody could say whether it is right
        return None
    match = _RANGE(request.headers.get(hdrs.RANGE, ""))
    if match is None or match.groups() == ("", "") or not _range_holds(request, blob, modified):
        return None
    first, last, size = match[1], match[2], blob.size
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiableError(size)
    return Part(start, end, size)


def _range_holds(request: web.Request, blob: Blob, modified: datetime) -> bool:
    """Whether the range is of what is there now, as far as ``If-Range`` asks for that."""
    condition = request.headers.get(hdrs.IF_RANGE)
    if condition is None:
        return True
    since = request.if_range
    return condition == f'"{blob.checksum}"' or (since is not None and since == modified)
