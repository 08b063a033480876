"""Logins, tickets and sockets that two servers share."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.two_servers.conftest import PASSWORD, Pair, User, both

pytestmark = pytest.mark.proof


async def alive(user: User, at: int) -> bool:
    return (await user.call("GET", "/auth/me", at=at))[0] == 200


async def test_a_spent_refresh_token_replayed_at_the_other_server_ends_the_family_at_both(pair: Pair) -> None:
    """SE1."""
    ada = await pair.user()
    first = {"refresh_token": ada.tokens["refresh_token"]}
    _, second = await ada.call("POST", "/auth/refresh", first, at=0)
    await asyncio.sleep(2.5)  # the grace is over
    status, problem = await ada.call("POST", "/auth/refresh", first, at=1)
    assert (status, problem["code"]) == (401, "token_reused")
    await asyncio.sleep(1)
    assert not await alive(ada, 0)
    assert not await alive(ada, 1)
    assert (await ada.call("POST", "/auth/refresh", {"refresh_token": second["refresh_token"]}, at=0))[0] == 401


async def test_20_parallel_refreshes_of_one_token_at_two_servers_are_one_rotation(pair: Pair) -> None:
    """SE2."""
    ada = await pair.user()
    token = ada.tokens["refresh_token"]
    for _ in range(50):

        async def refresh(turn: int, token: str = token) -> tuple[int, Any]:
            return await ada.call("POST", "/auth/refresh", {"refresh_token": token}, at=turn)

        answers = await both(refresh, 20)
        assert all(answer == answers[0] for answer in answers)
        assert answers[0][0] == 200
        token = answers[0][1]["refresh_token"]
    assert await pair.conn.fetchval("SELECT count(*) FROM refresh_tokens") == 51


async def test_a_change_of_password_at_one_server_ends_sessions_and_sockets_at_the_other(pair: Pair) -> None:
    """SE5."""
    ada = await pair.user()
    phone, tablet = await ada.log_in(at=1), await ada.log_in(at=1)
    assert (await tablet.call("POST", "/auth/logout", {"refresh_token": tablet.tokens["refresh_token"]}, at=0))[
        0
    ] == 204
    assert await alive(phone, 1)  # other devices survive a single logout
    async with pair.session.ws_connect(phone.url("/chat/stream", 1), headers=phone.bearer) as socket:
        body = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"}
        began = time.monotonic()
        assert (await ada.call("POST", "/auth/password", body, at=0))[0] in {200, 204}
        await asyncio.sleep(1)
        assert not await alive(phone, 1)
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401
        assert time.monotonic() - began < 5


async def test_of_20_parallel_uses_of_a_ticket_at_two_servers_one_is_accepted(pair: Pair) -> None:
    """WS2."""
    ada = await pair.user()
    for _ in range(10):
        _, made = await ada.call("POST", "/auth/ticket")

        async def connect(turn: int, ticket: str = made["ticket"]) -> bool:
            with suppress(aiohttp.WSServerHandshakeError):
                async with pair.session.ws_connect(f"{ada.url('/chat/stream', turn)}?ticket={ticket}"):
                    return True
            return False

        assert sum(await both(connect, 20)) == 1
