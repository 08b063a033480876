import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from attrs import field, frozen

from adiuva.web.access import PRINCIPAL
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json
from adiuva.web.wire import Length
from tests.web.conftest import USER, Client, ProblemServer, Serve

BEARER = {"Authorization": "Bearer user"}


@frozen
class Note:
    title: str = field(validator=Length(1, 10))
    stars: int = 0


async def whoami(request: web.Request) -> web.Response:
    return json_response({"user": request[PRINCIPAL].user_id})


async def hello(_: web.Request) -> web.Response:
    return json_response({"hello": "world"})


async def echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request, Note))


async def code_of(response: aiohttp.ClientResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status, (await response.json(content_type=None))["code"]


@pytest.fixture
async def client(serve: Serve) -> Client:
    return await serve(
        [
            Route("GET", "/me", whoami),
            Route("GET", "/hello", hello, access="public"),
            Route("GET", "/admin", hello, access="admin"),
            Route("POST", "/notes", echo, access="public"),
            Route("POST", "/login", hello, access="public", limit="login"),
        ],
        max_json_bytes=2048,
        rate_limits={"free": 3},
        auth_rate_limits={"login": 2},
    )


def test_a_route_is_private_and_counted_unless_it_says_otherwise() -> None:
    route = Route("GET", "/me", whoami)
    assert (route.access, route.limit) == ("private", "user")
    assert Route("GET", "/hello", hello, access="public").limit is None


def test_a_public_route_cannot_be_counted_by_user() -> None:
    with pytest.raises(ValueError, match="no user to count by"):
        Route("GET", "/hello", hello, access="public", limit="user")


async def test_a_private_route_knows_its_user(client: Client) -> None:
    response = await client.get("/api/me", headers=BEARER)
    assert await response.json() == {"user": str(USER)}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "user")],
        [("Authorization", "Basic dXNlcjp1c2Vy")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer nobody")],
        [("Authorization", "Bearer us er")],
        [("Authorization", "Bearer user"), ("Authorization", "Bearer user")],
        [("Authorization", "Bearer user, Bearer user")],
        [("Authorization", "Bearer " + "x" * 7000)],
        [("Authorization", "Bearer us\u00e9r")],
    ],
)
async def test_without_one_valid_bearer_a_private_route_is_closed(
    client: Client, headers: list[tuple[str, str]]
) -> None:
    response = await client.get("/api/me", headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_the_scheme_of_a_bearer_may_be_written_in_any_case(client: Client) -> None:
    assert (await client.get("/api/me", headers={"Authorization": "bEARER user"})).status == 200


async def test_an_admin_route_is_closed_to_others(client: Client) -> None:
    assert await code_of(await client.get("/api/admin", headers=BEARER)) == (403, "forbidden")
    assert (await client.get("/api/admin", headers={"Authorization": "Bearer admin"})).status == 200


async def test_a_user_over_the_limit_of_the_tier_is_told_when_to_come_back(client: Client) -> None:
    for remaining in (2, 1, 0):
        response = await client.get("/api/me", headers=BEARER)
        assert response.status == 200
        assert response.headers["RateLimit-Limit"] == "3"
        assert response.headers["RateLimit-Remaining"] == str(remaining)
        assert response.headers["RateLimit-Reset"] == "60"
    refused = await client.get("/api/me", headers=BEARER)
    assert await code_of(refused) == (429, "rate_limited")
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_errors_of_a_limited_route_carry_the_limit_too(client: Client) -> None:
    response = await client.get("/api/admin", headers=BEARER)
    assert (response.status, response.headers["RateLimit-Remaining"]) == (403, "2")


async def test_a_thousand_forged_forwarded_addresses_are_one_client_where_no_proxy_is_trusted(client: Client) -> None:
    passed = 0
    for number in range(1000):
        forged = {"X-Forwarded-For": f"10.{number % 7}.{number // 256}.{number % 256}"}
        async with client.post("/api/login", headers=forged) as response:
            passed += response.status == 200
    assert passed == 2


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b'{"title": "a"} x', 400),
        (b"NaN", 400),
        (b'{"title": "\xff"}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"[" * 2000, 400),
        (b'{"title": 1e400}', 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"title"', 422),
        (b"{}", 422),
        (b'{"title": null}', 422),
        (b'{"title": 5}', 422),
        (b'{"title": ["a"]}', 422),
        (b'{"title": ""}', 422),
        (b'{"title": "12345678901"}', 422),
        (b'{"title": "a\\u0000b"}', 422),
        (b'{"title": "a", "stars": "5"}', 422),
        (b'{"title": "a", "stars": true}', 422),
        (b'{"title": "a", "stars": 5.0}', 422),
        (b'{"title": "a", "stars": 123456789012345678901234567890}', 422),
        (b'{"title": "' + b"x" * 2048 + b'"}', 413),
        (b'{"title": "a"}', 200),
        (b'{"title": "a", "unknown": {"x": [1]}}', 200),
        (b'{"title": 5, "title": "the last one counts"[0]}', 400),
        (b'{"title": 5, "title": "a"}', 200),
    ],
)
async def test_a_body_is_taken_or_refused(client: Client, body: bytes, status: int) -> None:
    response = await client.post("/api/notes", data=body, headers={"Content-Type": "application/json"})
    assert response.status == status


async def test_wrong_fields_are_named(client: Client) -> None:
    response = await client.post("/api/notes", json={"stars": "5"})
    assert (await response.json(content_type=None))["errors"] == [
        {"field": "title", "message": "is missing"},
        {"field": "stars", "message": "must be an integer"},
    ]


@pytest.mark.parametrize(
    "content_type, status",
    [
        ("application/json", 200),
        ("Application/JSON; Charset=UTF-8", 200),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("nonsense", 415),
        ("", 415),
    ],
)
async def test_a_body_has_to_say_that_it_is_json(client: Client, content_type: str, status: int) -> None:
    response = await client.post("/api/notes", data=b'{"title": "a"}', headers={"Content-Type": content_type})
    assert response.status == status


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1024

    try:
        response = await client.post("/api/notes", data=endless(), headers={"Content-Type": "application/json"})
    except aiohttp.ClientOSError:
        return  # refused while the client was still writing
    assert await code_of(response) == (413, "payload_too_large")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x", "gzip, identity", ""])
@pytest.mark.parametrize(
    "body",
    [gzip.compress(b'{"title": "a"}'), b"no gzip at all", gzip.compress(b" " * 10_000_000)],
    ids=["gzip", "no gzip", "a bomb"],  # gzip has the time in it, and workers have to collect the same
)
async def test_a_compressed_body_is_refused_whatever_is_in_it(client: Client, encoding: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = await client.post("/api/notes", data=body, headers=headers)
    assert await code_of(response) == (415, "unsupported_media_type")


async def test_a_body_that_says_it_is_not_compressed_is_taken(client: Client) -> None:
    response = await client.post("/api/notes", json={"title": "a"}, headers={"Content-Encoding": "Identity"})
    assert response.status == 200


async def test_no_route_at_all_unpacks_what_is_sent() -> None:
    async def unpacked(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    packed = gzip.compress(b" " * 100)
    app = web.Application()
    app.router.add_post("/", unpacked)
    async with TestClient(ProblemServer(app)) as other:
        response = await other.post("/", data=packed, headers={"Content-Encoding": "gzip"})
        assert await response.read() == packed


async def test_an_unknown_path_is_404_and_a_wrong_method_405(client: Client) -> None:
    assert await code_of(await client.get("/api/nowhere")) == (404, "not_found")
    assert await code_of(await client.get("/api/%zz%ff%00/../x")) == (404, "not_found")
    response = await client.delete("/api/hello")
    assert await code_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET,OPTIONS"
