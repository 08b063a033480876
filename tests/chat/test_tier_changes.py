"""A change of the tier holds at the next request, in the middle of a window, over REST and on a socket that is open."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse

from adiuva.auth import queries
from adiuva.database import Database
from adiuva.testing.models import ScriptedModel
from adiuva.testing.redis import RedisServer
from tests.chat.conftest import API, Start, User, register

SetTier = Callable[[str], Awaitable[None]]


@pytest.fixture(params=["local", "redis"])
async def ada(request: pytest.FixtureRequest, start: Start, model: ScriptedModel) -> User:
    """A free user; limits are 3 and 5 a minute for free and pro, in this process or in Redis."""
    model.add(["Hello."] * 20)
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    rates = {"free": 3, "pro": 5, "power": 120, "team": 200}
    return await register(await start(rate_limits=rates, rate_limit_storage_url=url))


@pytest.fixture
def set_tier(ada: User, database: Database) -> SetTier:
    async def change(tier: str) -> None:
        async with database.acquire() as conn:
            assert await queries.set_tier(conn, ada.email, tier)

    return change


async def rest(user: User) -> tuple[int, str, str]:
    """Status, limit and what remains, of one request."""
    async with user.client.get(f"{API}/auth/me", headers=user.headers) as answer:
        return answer.status, answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]


async def ask(socket: ClientWebSocketResponse, agent: str = "task_agent") -> dict[str, Any]:
    """The last frame of one request."""
    await socket.send_json({"message": "Hi", "agents": [agent]})
    async with asyncio.timeout(10):
        while True:
            frame: dict[str, Any] = orjson.loads(await socket.receive_str())
            if frame["type"] in {"done", "error"}:
                return frame


async def outcome(socket: ClientWebSocketResponse, agent: str = "task_agent") -> str:
    frame = await ask(socket, agent)
    return str(frame.get("code", frame["type"]))


async def test_an_upgrade_makes_room_at_once_and_a_downgrade_takes_it_back(ada: User, set_tier: SetTier) -> None:
    assert [await rest(ada) for _ in range(4)] == [(200, "3", "2"), (200, "3", "1"), (200, "3", "0"), (429, "3", "0")]
    await set_tier("pro")
    assert await rest(ada) == (200, "5", "1")
    await set_tier("free")
    assert await rest(ada) == (429, "3", "0")
    await set_tier("pro")
    assert [await rest(ada) for _ in range(2)] == [(200, "5", "0"), (429, "5", "0")]


async def test_both_hold_on_an_open_socket(ada: User, set_tier: SetTier) -> None:
    socket = await ada.socket()
    assert [await outcome(socket) for _ in range(4)] == ["done"] * 3 + ["rate_limited"]
    await set_tier("pro")
    assert await outcome(socket) == "done"
    await set_tier("free")
    assert await outcome(socket) == "rate_limited"
    await set_tier("pro")
    assert [await outcome(socket) for _ in range(2)] == ["done", "rate_limited"]


async def test_rest_and_sockets_count_together(ada: User) -> None:
    first, second = await ada.socket(), await ada.socket()
    assert await outcome(first) == "done"
    assert await outcome(second) == "done"
    assert await rest(ada) == (200, "3", "0")
    assert await outcome(first) == await outcome(second) == "rate_limited"
    assert await rest(ada) == (429, "3", "0")


async def test_a_refused_frame_tells_when_to_try_again(ada: User) -> None:
    socket = await ada.socket()
    for _ in range(3):
        await ask(socket)
    refused = await ask(socket)
    told = re.fullmatch(r"The limit of 3 requests a minute is reached; try again in (\d+) s\.", refused["message"])
    assert told is not None
    assert 50 <= int(told[1]) <= 60
    assert socket.closed is False


async def test_what_a_tier_holds_follows_it_too(ada: User, set_tier: SetTier) -> None:
    socket = await ada.socket()
    assert await outcome(socket, "checkpoint_agent") == "tier_required"
    await set_tier("team")
    assert await outcome(socket, "checkpoint_agent") == "done"
    body = {"message": "Hi", "agents": ["checkpoint_agent"]}
    assert (await ada.post("/chat", body))[0] == 200
    await set_tier("free")
    async with ada.client.get(f"{API}/agents", headers=ada.headers) as answer:
        assert answer.status == 429  # three requests of this minute: all that the free tier has
    await set_tier("power")
    assert {agent["name"] for agent in (await ada.get("/agents"))[1]["items"] if agent["available"]} == {
        "task_agent",
        "checkpoint_agent",
    }


async def test_two_servers_see_the_change_as_one_does(start: Start, redis: RedisServer, database: Database) -> None:
    rates = {"free": 1, "pro": 3, "power": 120, "team": 200}
    servers = [await start(rate_limits=rates, rate_limit_storage_url=redis.url) for _ in range(2)]
    user = await register(servers[0])
    elsewhere = User(servers[1], user.email, user.tokens)
    assert await rest(user) == (200, "1", "0")
    assert await rest(elsewhere) == (429, "1", "0")
    async with database.acquire() as conn:
        await queries.set_tier(conn, user.email, "pro")
    assert await rest(elsewhere) == (200, "3", "1")
    assert await rest(user) == (200, "3", "0")
    assert await rest(elsewhere) == (429, "3", "0")
