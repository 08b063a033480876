"""Blobs in S3, or in a server that speaks its protocol."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import aiohttp
import structlog

from adiuva.blobs.checksums import Sha256
from adiuva.blobs.chunks import Body, Pieces
from adiuva.blobs.keys import checked
from adiuva.blobs.protocol import BlobInfo
from adiuva.blobs.s3_calls import Bucket, Calls, status_of
from adiuva.errors import BlobDamagedError, BlobMissingError, BlobStoreUnavailableError

log = structlog.get_logger(__name__)

SINGLE: Final = 8 * 2**20
"""Up to so many bytes go in one request, which S3 checks against their checksum."""
PART: Final = 5 * 2**20
"""The least that S3 takes as a part. An upload holds one in memory, so that it can be sent again."""
PAGE = 1000  # objects; what one request lists
_MAX_PARTS: Final = 10_000
_ENCRYPTED: Final = {"ServerSideEncryption": "AES256"}
_ENCRYPTED_HEADER: Final = {"x-amz-server-side-encryption": "AES256"}
_NOT_IMPLEMENTED: Final = 501
_PATIENCE_SECONDS: Final = 20.0
_ABORT_SECONDS: Final = 5.0


class S3Store:
    """A ``BlobStore`` in a bucket of its own. What has no checksum yet is an upload in parts that is not completed.

    With ``patience`` and the abort after it, a store that hangs is an error well within 30 s.
    """

    def __init__(self, bucket: Bucket, *, largest: int = 2**30, patience: float = _PATIENCE_SECONDS) -> None:
        """``largest`` is the most bytes that a blob of unknown length may have."""
        self._calls = Calls(bucket=bucket, patience=patience)
        self._largest = largest
        self._running: set[str] = set()  # uploads that are no leftovers
        self._encrypts = True

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size: int | None, sha256: str) -> int:
        """See ``BlobStore``."""
        checked(key)
        pieces = Pieces(chunks)
        if await pieces.more_than(0 if size and size > SINGLE else SINGLE):
            return await self._put_in_parts(key, pieces, self._largest if size is None else size, sha256)
        block, hashed = await pieces.take(SINGLE), Sha256()
        await hashed.take(block)
        hashed.expect(sha256)
        body = Body(block)
        async with self._calls.guarded("put"):
            headers = _ENCRYPTED_HEADER if self._encrypts else {}
            sent = await self._calls.direct("PUT", key, headers=headers, body=body, sha256=sha256)
            if sent:
                await sent.read()
            else:
                checksum = base64.b64encode(hashed.digest()).decode()
                await self._encrypted("put_object", Key=key, Body=body, ChecksumSHA256=checksum)
        return len(body)

    @asynccontextmanager
    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ``BlobStore``."""
        checked(key)
        async with self._calls.guarded("get"):
            answer = await self._answer(key, start, end)
        try:
            yield self._blocks(answer)
        finally:
            if answer:
                answer.close()

    async def read(self, key: str, size: int) -> bytes:
        """See ``BlobStore``."""
        async with self._calls.guarded("get"):
            answer = await self._answer(checked(key), 0, None)
            if answer is None:
                raise BlobDamagedError
            try:
                data = await answer.read() if answer.content_length in {None, size} else b""
            finally:
                answer.close()
        if len(data) != size:
            raise BlobDamagedError
        return data

    async def delete(self, key: str) -> None:
        """See ``BlobStore``."""
        async with self._calls.guarded("delete"):
            done = await self._calls.direct("DELETE", checked(key))
            if done:
                await done.read()
            else:
                await self._calls.call("delete_object", Key=key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """See ``BlobStore``."""
        more: dict[str, str] = {}
        while True:
            async with self._calls.guarded("list"):
                page = await self._calls.call("list_objects_v2", Prefix=prefix, MaxKeys=PAGE, **more)
            for found in page.get("Contents", ()):
                yield BlobInfo(key=found["Key"], size=found["Size"], modified=found["LastModified"])
            if not page["IsTruncated"]:
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def sweep(self, before: datetime) -> int:
        """See ``BlobStore``."""
        swept, more = 0, dict[str, str]()
        while True:
            async with self._calls.guarded("sweep"):
                page = await self._calls.call("list_multipart_uploads", **more)
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < before and upload["UploadId"] not in self._running:
                    await self._abort(upload["Key"], upload["UploadId"])
                    swept += 1
            if not page["IsTruncated"]:
                return swept
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def check(self) -> None:
        """See ``BlobStore``."""
        async with self._calls.guarded("check"):
            await self._calls.call("head_bucket")

    async def close(self) -> None:
        """See ``BlobStore``."""
        await self._calls.close()

    async def _encrypted(self, operation: str, **params: Any) -> Any:
        """What ``operation`` answers, with SSE-S3; without, from now on, at a store that has no key for it.

        MinIO has none before its operator sets up a KMS. What clients store is encrypted before it comes here.
        """
        from botocore.exceptions import ClientError

        if self._encrypts:
            try:
                return await self._calls.call(operation, **params, **_ENCRYPTED)
            except ClientError as error:
                if status_of(error) != _NOT_IMPLEMENTED or not self._calls.bucket.endpoint_url:
                    raise
            if self._encrypts:
                log.warning("the blob store does not encrypt, and gets blobs as clients have encrypted them")
            self._encrypts = False
        return await self._calls.call(operation, **params)

    async def _answer(self, key: str, start: int, end: int | None) -> aiohttp.ClientResponse | None:
        """The answer whose body is asked for, still to be read; nothing where the blob has no bytes there."""
        wanted = {}
        if start or end is not None:
            last = "" if end is None else max(start, end - 1)
            wanted["Range"] = f"bytes={start}-{last}"
        answer = await self._calls.direct("GET", key, headers=wanted)
        if answer is None:
            answer = await self._get_object(key, wanted)
        if answer and wanted and answer.status != 206:
            answer.close()
            raise BlobStoreUnavailableError("The store that keeps blobs knows no ranges.")
        if answer and end is not None and end <= start:
            answer.close()
            return None
        return answer

    async def _get_object(self, key: str, wanted: dict[str, str]) -> aiohttp.ClientResponse | None:
        from botocore.exceptions import ClientError

        try:
            found = await self._calls.call("get_object", Key=key, **wanted)
        except ClientError as error:
            if error.response["Error"].get("Code") in {"NoSuchKey", "404"}:
                raise BlobMissingError from error
            if status_of(error) == 416:
                return None
            raise
        answer: aiohttp.ClientResponse = found["Body"].raw_stream
        return answer

    async def _blocks(self, answer: aiohttp.ClientResponse | None) -> AsyncIterator[bytes]:
        if answer is None:
            return
        with self._calls.translated("get"):
            async for block, _ in answer.content.iter_chunks():  # as they came, while `iter_any` joins them
                if block:
                    yield block

    async def _put_in_parts(self, key: str, pieces: Pieces, expected: int, sha256: str) -> int:
        part = max(PART, -(-expected // _MAX_PARTS))
        async with self._calls.guarded("begin parts"):
            upload = (await self._encrypted("create_multipart_upload", Key=key))["UploadId"]
        self._running.add(upload)
        try:
            hashed, tags, size = Sha256(), list[str](), 0
            while block := await pieces.take(part):
                body = Body(block)
                size += len(body)
                hashing = asyncio.create_task(hashed.take(block))
                try:
                    tags.append(await self._put_part(key, upload, len(tags) + 1, body))
                finally:
                    await hashing
                del block, body, hashing  # before the next part comes, which else would be a second one in memory
            hashed.expect(sha256)
            parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
            async with self._calls.guarded("complete parts"):
                await self._calls.call(
                    "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                )
        except BaseException:
            await asyncio.shield(asyncio.create_task(self._abort_quietly(key, upload)))
            raise
        finally:
            self._running.discard(upload)
        return size

    async def _put_part(self, key: str, upload: str, number: int, body: Body) -> str:
        async with self._calls.guarded("put part"):
            sent = await self._calls.direct("PUT", key, query={"partNumber": number, "uploadId": upload}, body=body)
            if sent:
                await sent.read()
                return sent.headers["ETag"]
            part = await self._calls.call(
                "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body, ContentLength=len(body)
            )
        tag: str = part["ETag"]
        return tag

    async def _abort(self, key: str, upload: str) -> None:
        from botocore.exceptions import ClientError

        async with self._calls.guarded("abort parts"), asyncio.timeout(_ABORT_SECONDS):
            try:
                await self._calls.call("abort_multipart_upload", Key=key, UploadId=upload)
            except ClientError as error:
                if status_of(error) != 404:
                    raise

    async def _abort_quietly(self, key: str, upload: str) -> None:
        """What this cannot remove is for ``sweep``."""
        with suppress(BlobStoreUnavailableError):
            await self._abort(key, upload)
