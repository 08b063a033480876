"""What requests about bytes say in their headers and queries."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from uuid import UUID

from aiohttp import ClientError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from adiuva.errors import (
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from adiuva.storage.models import CHECKSUM, CHECKSUM_MEANING, TABLE, TABLE_MEANING, is_checksum, is_table
from adiuva.storage.uploads.models import Body
from adiuva.web.describe import UUID_TEXT, Parameter
from adiuva.web.keys import SETTINGS
from adiuva.web.server import has_surplus

X_CHECKSUM = "X-Checksum"
IDLE_SECONDS = 60.0  # a client that sends nothing for so long is not waited for
PATH_ID: Final = Parameter("id", UUID_TEXT, where="path")
QUERY_ID: Final = Parameter("id", UUID_TEXT, text="The id that it is to have; without it, it gets one.")
IF_MATCH: Final = Parameter(
    hdrs.IF_MATCH, {"type": "string"}, where="header", text="ETags, or *: anything else is left as it is, with 412."
)
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


def table_parameter(*, required: bool) -> Parameter:
    """How the OpenAPI document describes what `query_table` reads."""
    schema = {"type": "string", "pattern": f"^{TABLE}$"}
    return Parameter("table", schema, text=f"{TABLE_MEANING}.".capitalize(), required=required, example="tasks")


def checksum_parameter(name: str = X_CHECKSUM) -> Parameter:
    """How the OpenAPI document describes the checksum that `read_body` wants."""
    schema: dict[str, Any] = {"type": "string", "pattern": f"^{CHECKSUM}$"}
    return Parameter(name, schema, where="header", required=True, text="SHA-256 of the bytes, in lower-case hex.")


def path_id(request: web.Request) -> UUID:
    """The id in the path; what is none names nothing."""
    text = request.match_info["id"]
    if not _is_uuid(text):
        raise NotFoundError
    return UUID(text)


def query_id(request: web.Request) -> UUID | None:
    """The id that the query gives, if any."""
    text = request.query.get("id")
    if text is None:
        return None
    if not _is_uuid(text):
        raise ValidationFailedError([("id", "must be a UUID")])
    return UUID(text)


def query_table(request: web.Request) -> str | None:
    """The table that the query names, if any."""
    table = request.query.get("table")
    if table is not None and not is_table(table):
        raise ValidationFailedError([("table", f"must be {TABLE_MEANING}")])
    return table


def expected_checksums(request: web.Request) -> tuple[str, ...] | None:
    """What ``If-Match`` allows; None: anything, as long as there is something."""
    tags = request.if_match
    if tags is None or any(tag.value == "*" and not tag.is_weak for tag in tags):
        return None
    return tuple(tag.value for tag in tags if not tag.is_weak)


def read_body(request: web.Request, checksum_header: str = X_CHECKSUM, *, limit: int | None = None) -> Body:
    """The body that comes with ``request``; ``limit`` takes the place of ``MAX_BLOB_BYTES`` where it is lower.

    Raises:
        UnsupportedMediaTypeError: it is not said to be bytes.
        ValidationFailedError: there is no checksum of it.
        PayloadTooLargeError: it is said to be larger than that; reading it says so if it is.
    """
    # What is encoded would be decoded on its way in, and be other bytes than those that the checksum tells of.
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if request.content_type != "application/octet-stream" or encoding != "identity":
        raise UnsupportedMediaTypeError
    checksum = request.headers.get(checksum_header, "")
    if not is_checksum(checksum):
        raise ValidationFailedError([(checksum_header, f"must be {CHECKSUM_MEANING}")])
    most = min(limit or request.app[SETTINGS].max_blob_bytes, request.app[SETTINGS].max_blob_bytes)
    if (request.content_length or 0) > most:
        raise PayloadTooLargeError

    def expect_end() -> None:
        if has_surplus(request):
            raise PayloadTooLargeError("More has come than Content-Length told of.")

    chunks = _chunks(request, most, expect_end)
    return Body(checksum=checksum, length=request.content_length, chunks=chunks, expect_end=expect_end)


async def _chunks(request: web.Request, limit: int, expect_end: Callable[[], None]) -> AsyncIterator[bytes]:
    received, content = 0, request.content
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                if request.content_length is None:  # in chunks of the client's, which may be tiny: many at once
                    chunk = await content.readany()
                else:  # as they came, while `readany` joins them
                    chunk, _ = await content.readchunk()
            if not chunk:
                expect_end()
                return
            received += len(chunk)
            if received > limit:
                raise PayloadTooLargeError
            yield chunk
    except TimeoutError:
        raise InvalidRequestError(f"Nothing came for {IDLE_SECONDS:g} s.") from None
    except (ClientError, HttpProcessingError, ConnectionError):
        message = "The body ended early, or is not encoded as the headers say."
        raise InvalidRequestError(message) from None
