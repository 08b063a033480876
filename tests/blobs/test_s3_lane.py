"""The direct lane: it goes where botocore would go, and signs what is really sent."""

import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from adiuva.blobs.s3 import S3Store
from adiuva.blobs.s3_calls import Bucket, Calls
from adiuva.blobs.s3_lane import UNSIGNED
from adiuva.testing.s3 import S3Server
from tests.blobs.streams import MIB, put, read, sha256_of

KEY = "user/notes/record.1"


class Witness:
    """An S3 that checks each signature by the book, and says yes to everything."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.wrong: list[str] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        await request.content.read()
        self.seen.append((request.method, request.headers["X-Amz-Content-SHA256"]))
        if _signature_of(request, "secret") != request.headers["Authorization"].rpartition("Signature=")[2]:
            self.wrong.append(f"{request.method} {request.raw_path}")
        upload = "<InitiateMultipartUploadResult><UploadId>an+id/=&amp;</UploadId></InitiateMultipartUploadResult>"
        return web.Response(text=upload, headers={"ETag": '"tag"'}, content_type="application/xml")


def _signature_of(request: web.BaseRequest, secret: str) -> str:
    """AWS Signature Version 4, as its documentation has it."""
    fields = request.headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    told = dict(field.split("=", 1) for field in fields)
    path, _, query = request.raw_path.partition("?")
    names = told["SignedHeaders"].split(";")
    canonical = [
        request.method,
        path,
        "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)),
        *(f"{name}:{request.headers[name].strip()}" for name in names),
        "",
        told["SignedHeaders"],
        request.headers["X-Amz-Content-SHA256"],
    ]
    scope = told["Credential"].partition("/")[2]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["X-Amz-Date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


@pytest.fixture
async def witness(s3_server: S3Server) -> AsyncIterator[tuple[Witness, S3Store]]:
    witness = Witness()
    runner = web.ServerRunner(web.Server(witness.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store = S3Store(Bucket(name="bucket", endpoint_url=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    yield witness, store
    await store.close()
    await runner.cleanup()


async def test_every_request_is_signed_as_it_is_sent(witness: tuple[Witness, S3Store]) -> None:
    seen, store = witness
    small = os.urandom(100)
    await put(store, KEY, small)
    await read(store, KEY)
    await store.delete(KEY)
    large = os.urandom(11 * MIB)
    await put(store, KEY, large)
    assert seen.wrong == []
    parts = [("PUT", UNSIGNED)] * 3
    assert [asked for asked in seen.seen if asked[0] != "POST"] == [
        ("PUT", sha256_of(small)),
        ("GET", UNSIGNED),
        ("DELETE", UNSIGNED),
        *parts,
    ]


@pytest.mark.parametrize(
    "region, endpoint, base",
    [
        ("eu-west-1", "", "https://bucket.s3.eu-west-1.amazonaws.com/"),
        ("cn-north-1", "", "https://bucket.s3.cn-north-1.amazonaws.com.cn/"),
        ("", "http://minio:9000", "http://minio:9000/bucket/"),
        ("auto", "https://account.r2.example.com", "https://account.r2.example.com/bucket/"),
    ],
)
async def test_the_bucket_is_where_botocore_says(s3_server: S3Server, region: str, endpoint: str, base: str) -> None:
    calls = Calls(bucket=Bucket(name="bucket", region=region, endpoint_url=endpoint), patience=20)
    opened = await calls._open()
    assert opened.lane
    assert opened.lane.base == base
    assert opened.lane._usual["Host"] == urlsplit(base).netloc
    await calls.close()


async def test_without_credentials_there_is_no_lane_and_a_plain_error(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = S3Store(Bucket(name="bucket", endpoint_url=s3_server.url))
    with pytest.raises(Exception, match="not available right now"):
        await put(store, KEY, b"x")
    await store.close()
