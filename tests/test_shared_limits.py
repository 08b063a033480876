"""Two servers, each a process, that share their limits over a Redis."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable

import aiohttp
import pytest

from adiuva.settings import Settings
from adiuva.testing.redis import RedisServer
from adiuva.testing.serving import Served

pytestmark = pytest.mark.proof

PARALLEL = 400
LIMIT = 20

Pair = tuple[Served, Served]


@pytest.fixture
def pair(serve: Callable[..., Served], settings: Settings, redis: RedisServer) -> Pair:
    """Two servers on one database and one Redis; a free user has LIMIT requests a minute."""
    environ = {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret,
        "RATE_LIMIT_STORAGE_URL": redis.url,
        "RATE_LIMITS": f"free={LIMIT}",
    }
    return serve(**environ), serve(**environ)


async def statuses(pair: Pair, token: str) -> Counter[int]:
    """What PARALLEL calls get, every other one at the other server."""
    connector = aiohttp.TCPConnector(limit=PARALLEL)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {token}"}) as session:

        async def call(number: int) -> int:
            async with session.get(f"{pair[number % 2].url}/api/v1/auth/me") as answer:
                assert answer.headers["RateLimit-Limit"] == str(LIMIT)
                assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
                assert ("Retry-After" in answer.headers) == (answer.status == 429)
                return answer.status

        return Counter(await asyncio.gather(*(call(number) for number in range(PARALLEL))))


def register(served: Served) -> str:
    _, tokens = served.call("POST", "/auth/register", {"email": "ada@example.com", "password": "correct horse"})
    return str(tokens["access_token"])


async def test_of_400_parallel_calls_at_two_servers_with_a_limit_of_20_exactly_20_pass(pair: Pair) -> None:
    """RL1."""
    assert await statuses(pair, register(pair[0])) == {200: LIMIT, 429: PARALLEL - LIMIT}


async def test_a_redis_that_dies_under_load_fails_no_call(pair: Pair, redis: RedisServer) -> None:
    token = register(pair[0])
    calls = asyncio.create_task(statuses(pair, token))
    while not any("/auth/me" in line for line in pair[0].lines):  # the first answers are out
        await asyncio.sleep(0.001)
    redis.stop()
    found = await calls
    assert found.keys() <= {200, 429}
    assert LIMIT <= found[200] <= 3 * LIMIT


async def test_servers_go_on_without_redis_each_with_its_own_count(pair: Pair, redis: RedisServer) -> None:
    token = register(pair[0])
    redis.stop()
    assert await statuses(pair, token) == {200: 2 * LIMIT, 429: PARALLEL - 2 * LIMIT}
    for served in pair:
        assert served.stop() == 0
        assert sum("rate limit storage does not answer" in line for line in served.lines) == 1


async def test_no_minute_holds_more_than_the_limit_wherever_it_begins(pair: Pair) -> None:
    """RL2, with two servers: a user who tries four times a second at either, for longer than a minute."""
    token = register(pair[0])
    passed: list[float] = []
    end = time.monotonic() + 85
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for turn in itertools.count():
            if (now := time.monotonic()) > end:
                break
            async with session.get(f"{pair[turn % 2].url}/api/v1/auth/me") as answer:
                if answer.status == 200:
                    passed.append(now)
            await asyncio.sleep(0.25)
    assert LIMIT < len(passed) <= 2 * LIMIT
    assert all(later - earlier > 59.5 for earlier, later in zip(passed, passed[LIMIT:], strict=False))
