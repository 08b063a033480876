"""What becomes of shared limits where Redis is not there, goes away, hangs, or comes back."""

import sys
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from structlog.testing import capture_logs

from adiuva.settings import SettingsError
from adiuva.testing.redis import RedisServer
from adiuva.web.limits import make_limiter
from adiuva.web.shared_limits import PAUSE_SECONDS, SharedLimiter


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limiter(redis: RedisServer, clock: Clock) -> AsyncIterator[SharedLimiter]:
    limiter = SharedLimiter(redis.url, clock)
    yield limiter
    await limiter.close()


async def passed(limiter: SharedLimiter, requests: int = 40) -> int:
    return sum([(await limiter.hit("user", 20)).allowed for _ in range(requests)])


async def test_without_redis_the_limit_holds_in_each_process_and_one_warning_says_so(
    limiter: SharedLimiter, redis: RedisServer
) -> None:
    assert await passed(limiter, 5) == 5
    redis.stop()
    with capture_logs() as lines:
        assert await passed(limiter) == 20
    assert [(line["log_level"], line["error"]) for line in lines] == [("warning", "ConnectionError")]


async def test_once_redis_is_back_limits_are_shared_again(
    limiter: SharedLimiter, redis: RedisServer, clock: Clock
) -> None:
    await passed(limiter, 1)
    redis.stop()
    await passed(limiter)
    redis.start()
    other = SharedLimiter(redis.url)
    with capture_logs() as lines:
        assert not (await limiter.hit("user", 20)).allowed  # it does not ask Redis at every request
        assert lines == []
        clock.ahead += PAUSE_SECONDS
        assert await passed(limiter, 15) == 15
    assert [line["event"] for line in lines] == ["rate limit storage answers again"]
    assert await passed(other) == 5
    await other.close()


async def test_a_redis_that_hangs_holds_up_one_request_not_each(
    limiter: SharedLimiter, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adiuva.web.shared_limits.TIMEOUT_SECONDS", 0.2)
    await passed(limiter, 1)
    redis.freeze()
    began = monotonic()
    with capture_logs() as lines:
        assert await passed(limiter) == 20
    assert 0.2 <= monotonic() - began < 2
    assert [line["error"] for line in lines] == ["TimeoutError"]


async def test_a_server_starts_without_its_redis_and_warns(redis: RedisServer) -> None:
    redis.stop()
    limiter = make_limiter(redis.url)
    with capture_logs() as lines:
        await limiter.open()
    assert [line["log_level"] for line in lines] == ["warning"]
    await limiter.close()


def test_a_package_that_is_not_installed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "adiuva.web.shared_limits")
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(SettingsError, match=r"RATE_LIMIT_STORAGE_URL needs the package redis.*adiuva\[redis\]"):
        make_limiter("async+redis://localhost")


def test_a_url_that_redis_does_not_understand_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="RATE_LIMIT_STORAGE_URL: ") as refused:
        make_limiter("async+redis://:canary@localhost?socket_timeout=soon")
    assert "canary" not in str(refused.value)


async def test_valkey_is_spoken_to_as_redis_is(redis: RedisServer) -> None:
    limiter = SharedLimiter(redis.url.replace("redis", "valkey"))
    with capture_logs() as lines:
        assert await passed(limiter) == 20
    assert lines == []
    await limiter.close()
