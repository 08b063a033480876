"""The way to the server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from aiohttp import web

from adiuva.app import create_app
from adiuva.client import CannotConnectError, Client, ServerError
from adiuva.settings import Settings

Serve = Callable[[web.Application], Awaitable[Any]]


async def test_a_token_that_has_expired_is_renewed_once_for_all_calls_at_a_time(client: Client) -> None:
    before = client._tokens
    client._tokens = {**before, "access_token": "expired"}
    answers = await asyncio.gather(*(client.me() for _ in range(10)))
    assert {answer["email"] for answer in answers} == {"ada@example.com"}
    assert client._tokens["refresh_token"] != before["refresh_token"]


async def test_a_login_that_is_over_says_so(client: Client) -> None:
    client._tokens = {"access_token": "expired", "refresh_token": "unknown"}
    with pytest.raises(ServerError) as caught:
        await client.me()
    assert caught.value.server_code == "invalid_token"
    with pytest.raises(ServerError):
        await client.me()


async def refusing(times: int, retry_after: str) -> tuple[web.Application, list[str]]:
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(request.path)
        if len(calls) > times:
            return web.json_response({"email": "ada@example.com"})
        problem = {"code": "rate_limited", "detail": "Too many requests."}
        return web.json_response(problem, status=429, headers={"Retry-After": retry_after})

    app = web.Application()
    app.router.add_get("/api/v1/auth/me", handle)
    return app, calls


async def test_a_patient_client_waits_as_long_as_it_is_told(aiohttp_server: Serve) -> None:
    app, calls = await refusing(2, "0")
    async with Client(str((await aiohttp_server(app)).make_url("/")), patience=5) as client:
        assert await client.me()
    assert len(calls) == 3


async def test_an_answer_that_breaks_off_is_no_server_rather_than_half_an_answer(aiohttp_server: Serve) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    app = web.Application()
    app.router.add_get("/api/v1/auth/me", handle)
    async with Client(str((await aiohttp_server(app)).make_url("/"))) as client:
        with pytest.raises(CannotConnectError):
            await client.me()


@pytest.mark.parametrize("options", [{}, {"patience": 10}])
async def test_one_without_so_much_patience_says_so_at_once(aiohttp_server: Serve, options: dict[str, int]) -> None:
    app, calls = await refusing(1, "60")
    async with Client(str((await aiohttp_server(app)).make_url("/")), **options) as client:
        with pytest.raises(ServerError) as caught:
            await client.me()
    assert caught.value.server_code == "rate_limited"
    assert caught.value.retry_after == 60
    assert len(calls) == 1


async def test_a_user_of_the_free_tier_chats_but_has_no_vault(aiohttp_server: Serve, settings: Settings) -> None:
    server = await aiohttp_server(create_app(attrs.evolve(settings, default_tier="free")))
    async with Client(str(server.make_url("/"))) as client:
        await client.register("ada@example.com", "correct horse battery")
        frames = [frame async for frame in client.chat("Add a task 'Call the bank'")]
        assert frames[-1]["type"] == "done"
        with pytest.raises(ServerError) as caught:
            await client.unlock("a passphrase of mine")
        assert caught.value.server_code == "quota_exceeded"
