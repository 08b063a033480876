import asyncio
import json
import re

import aiohttp
import pytest
from aiohttp import web
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from adiuva.errors import NotFoundError, OverloadedError
from adiuva.web.cors import EXPOSED_HEADERS
from adiuva.web.responses import json_response
from adiuva.web.routes import Route
from tests.web.conftest import ORIGIN, USER, Client, Serve

SECRET = "s3cret-canary"


async def ok(_: web.Request) -> web.Response:
    return json_response({"bound": get_contextvars().get("request_id")})


async def crash(_: web.Request) -> web.Response:
    message = f"what the user wrote: {SECRET}"
    raise RuntimeError(message)


async def missing(_: web.Request) -> web.Response:
    raise NotFoundError


async def busy(_: web.Request) -> web.Response:
    raise OverloadedError(retry_after=2.2)


async def teapot(_: web.Request) -> web.Response:
    raise web.HTTPPreconditionFailed


async def elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("/api/ok")


async def crash_midway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half of it")
    raise RuntimeError(SECRET)


@pytest.fixture
async def client(serve: Serve) -> Client:
    public = {"ok": ok, "crash": crash, "missing/{id}": missing, "busy": busy, "teapot": teapot, "moved": elsewhere}
    routes = [Route("GET", f"/{path}", handler, access="public") for path, handler in public.items()]
    routes.append(Route("GET", "/midway", crash_midway, access="public"))
    return await serve([*routes, Route("GET", "/private", ok)])


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 128])
async def test_a_good_request_id_is_echoed_and_bound_for_the_log(client: Client, given: str) -> None:
    response = await client.get("/api/ok", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == given
    assert (await response.json())["bound"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a/b", "é", "a\tb"])
async def test_a_bad_request_id_is_replaced(client: Client, given: str) -> None:
    response = await client.get("/api/ok", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] != given
    assert len(response.headers["X-Request-ID"]) == 32


async def test_a_request_id_ends_with_its_request(client: Client) -> None:
    await client.get("/api/ok", headers={"X-Request-ID": "first"})
    response = await client.get("/api/ok")
    assert (await response.json())["bound"] == response.headers["X-Request-ID"] != "first"


async def test_an_error_is_a_problem_that_carries_the_request_id(client: Client) -> None:
    response = await client.get("/api/missing/7", headers={"X-Request-ID": "abc"})
    assert response.headers["X-Request-ID"] == "abc"
    assert response.content_type == "application/problem+json"
    assert await response.json(content_type=None) == {
        "type": "urn:adiuva:problem:not_found",
        "title": "There is no such thing here.",
        "status": 404,
        "detail": "There is no such thing here.",
        "code": "not_found",
        "request_id": "abc",
    }


async def test_an_overloaded_server_says_when_to_come_back(client: Client) -> None:
    response = await client.get("/api/busy")
    assert (response.status, response.headers["Retry-After"]) == (503, "3")


async def test_an_unforeseen_error_is_logged_without_its_text_and_shown_by_id_only(client: Client) -> None:
    with capture_logs() as logs:
        response = await client.get("/api/crash")
    body = await response.json(content_type=None)
    assert (response.status, body["code"]) == (500, "internal_error")
    (entry,) = [entry for entry in logs if entry["event"] == "unforeseen error"]
    assert entry["log_id"] in body["detail"]
    assert entry["error"] == "builtins.RuntimeError"
    assert entry["where"][-1].endswith(" crash")
    assert SECRET not in repr(logs) + repr(body)


async def test_an_error_of_aiohttp_is_a_problem_and_a_redirect_is_not(client: Client) -> None:
    response = await client.get("/api/teapot")
    assert (response.status, (await response.json(content_type=None))["code"]) == (412, "precondition_failed")
    assert (await client.get("/api/moved", allow_redirects=False)).status == 302


async def test_a_crash_after_the_first_bytes_breaks_the_connection(client: Client) -> None:
    with capture_logs() as logs, pytest.raises(aiohttp.ClientError):
        await (await client.get("/api/midway")).read()
    assert [entry["log_id"] for entry in logs if entry["event"] == "unforeseen error"]
    assert SECRET not in repr(logs)


async def test_each_request_is_one_line_that_names_the_route_and_not_the_path(client: Client) -> None:
    with capture_logs() as logs:
        await client.get(f"/api/missing/{SECRET}?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        await client.get("/api/private", headers={"Authorization": "Bearer user"})
        await client.get(f"/api/{SECRET}")
    lines = [entry for entry in logs if entry["event"] == "request"]
    assert [(line["method"], line["route"], line["status"], line["user_id"]) for line in lines] == [
        ("GET", "/api/missing/{id}", 404, None),
        ("GET", "/api/private", 200, str(USER)),
        ("GET", None, 404, None),
    ]
    assert all(0 <= line["ms"] < 5000 for line in lines)
    assert SECRET not in repr(logs)


async def test_a_preflight_needs_no_token_and_lasts(client: Client) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,content-type,x-request-id",
    }
    response = await client.options("/api/private", headers=headers)
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "GET"
    assert set(response.headers["Access-Control-Allow-Headers"].lower().split(",")) == {
        "authorization",
        "content-type",
        "x-request-id",
    }
    assert int(response.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "path, status", [("ok", 200), ("private", 401), ("missing/1", 404), ("crash", 500), ("nowhere", 404)]
)
async def test_answers_and_errors_alike_are_readable_across_origins(client: Client, path: str, status: int) -> None:
    response = await client.get(f"/api/{path}", headers={"Origin": ORIGIN})
    assert response.status == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Vary"] == "Origin"
    assert set(response.headers["Access-Control-Expose-Headers"].split(",")) == set(EXPOSED_HEADERS)


async def test_a_wrong_method_is_readable_across_origins(client: Client) -> None:
    response = await client.post("/api/ok", headers={"Origin": ORIGIN})
    assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (405, ORIGIN)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000.evil.example"])
async def test_other_origins_read_nothing(client: Client, origin: str) -> None:
    for path in ("ok", "nowhere"):
        response = await client.get(f"/api/{path}", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in response.headers
    preflight = await client.options("/api/ok", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    assert (preflight.status, preflight.content_type) == (403, "application/problem+json")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /api/nowhere\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/ok HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[bad/api HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //[/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/%zz%ff?%ff=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/missing/%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/private HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /api/private HTTP/1.1\r\nHost: \xff\r\nOrigin: \xff\r\nX-Request-ID: \xff\r\n\r\n",
        b"BREW /api/ok HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/nowhere HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_no_request_however_malformed_is_a_500(client: Client, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/(0\.9|1\.[01]) 4\d\d ", head)
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == int(head.split()[1])


@pytest.mark.parametrize("origin, allowed", [(ORIGIN, True), ("http://evil.example", False)])
@pytest.mark.parametrize(
    "broken", [b"Bad Header: 1\r\n\r\n", b"Content-Length: -1\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
async def test_a_request_that_cannot_be_read_is_answered_in_http_1_1_and_across_origins(
    client: Client, broken: bytes, origin: str, *, allowed: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"POST /api/ok HTTP/1.1\r\nHost: x\r\norigin: " + origin.encode() + b"\r\n" + broken)
    head = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")[0]
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert (f"Access-Control-Allow-Origin: {origin}".encode() in head) == allowed
    assert b"Connection: close" in head
