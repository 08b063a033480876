import asyncio
import random
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request

from adiuva.errors import RateLimitedError
from adiuva.testing.redis import RedisServer
from adiuva.web.limits import WINDOW, Limiter, LocalLimiter, client_address
from adiuva.web.shared_limits import SharedLimiter


class Clock:
    """The time, as a test wants it; also stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    time = __call__


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("limits.aio.storage.redis.redispy.time", clock)
    monkeypatch.setattr("adiuva.web.shared_limits.time", clock)
    return clock


@pytest.fixture(params=["local", "redis"])
async def limiter(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Limiter]:
    """Each kind of limiter: one contract for both."""
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    limiter = SharedLimiter(url, clock) if url else LocalLimiter(clock)
    await limiter.open()
    yield limiter
    await limiter.close()


async def test_of_400_parallel_requests_with_a_limit_of_20_20_pass(limiter: Limiter) -> None:
    hits = await asyncio.gather(*(limiter.hit("user", 20) for _ in range(400)))
    assert sum(hit.allowed for hit in hits) == 20


@pytest.mark.parametrize("seed", range(20))
async def test_no_window_of_60_seconds_holds_more_than_the_limit_at_any_phase(seed: int) -> None:
    clock = Clock()
    await _watch_every_window(LocalLimiter(clock), clock, random.Random(seed), requests=5000)


async def test_no_window_in_redis_holds_more_than_the_limit_either(redis: RedisServer, clock: Clock) -> None:
    limiter = SharedLimiter(redis.url, clock)
    await _watch_every_window(limiter, clock, random.Random(1), requests=2000)
    await limiter.close()


async def _watch_every_window(limiter: Limiter, clock: Clock, draw: random.Random, requests: int) -> None:
    """RL2."""
    passed: list[float] = []
    for _ in range(requests):
        clock.now += draw.choice([0, 0, 0.001, 0.3, 1, 2, 7, 61]) * draw.random()
        if (await limiter.hit("user", 20)).allowed:
            passed.append(clock.now)
    assert all(later - earlier >= WINDOW for earlier, later in zip(passed, passed[20:], strict=False))
    assert len(passed) > 100


async def test_a_hit_says_what_remains_and_when_there_is_room_again(limiter: Limiter, clock: Clock) -> None:
    first = await limiter.hit("user", 2)
    assert (first.allowed, first.limit, first.remaining, first.reset) == (True, 2, 1, 60)
    clock.now += 10.5
    second = await limiter.hit("user", 2)
    assert (second.allowed, second.remaining, second.reset) == (True, 0, 50)
    refused = await limiter.hit("user", 2)
    assert (refused.allowed, refused.remaining, refused.reset) == (False, 0, 50)
    clock.now += refused.reset
    assert (await limiter.hit("user", 2)).allowed


async def test_a_refused_hit_raises_an_error_that_says_when_to_come_back(limiter: Limiter) -> None:
    (await limiter.hit("user", 1)).require()
    with pytest.raises(RateLimitedError, match="limit of 1 requests a minute is reached; try again in 60 s") as refused:
        (await limiter.hit("user", 1)).require()
    assert refused.value.retry_after == 60


async def test_keys_do_not_share_a_limit(limiter: Limiter) -> None:
    assert (await limiter.hit("ada", 1)).allowed
    assert not (await limiter.hit("ada", 1)).allowed
    assert (await limiter.hit("bob", 1)).allowed


async def test_a_lower_limit_counts_what_was_allowed_under_the_higher_one(limiter: Limiter, clock: Clock) -> None:
    for _ in range(5):
        clock.now += 1
        await limiter.hit("user", 20)
    refused = await limiter.hit("user", 3)
    assert (refused.allowed, refused.remaining) == (False, 0)
    clock.now += refused.reset - 0.5
    assert not (await limiter.hit("user", 3)).allowed
    clock.now += 0.6
    assert (await limiter.hit("user", 3)).allowed


async def test_a_higher_limit_leaves_room_for_the_difference_at_once(limiter: Limiter) -> None:
    passed = [(await limiter.hit("user", limit)).allowed for limit in [20] * 30 + [60] * 50]
    assert passed == [True] * 20 + [False] * 10 + [True] * 40 + [False] * 10


async def test_changing_the_limit_to_and_fro_gains_nothing(limiter: Limiter) -> None:
    passed = [(await limiter.hit("user", limit)).allowed for limit in [20, 60] * 100]
    assert sum(passed) == 60


async def test_counting_in_this_process_costs_microseconds() -> None:
    limiter = LocalLimiter()
    began = time.process_time()
    for number in range(50_000):
        await limiter.hit(f"user {number % 1000}", 20)
    assert time.process_time() - began < 1.0  # measured: 0.05


async def test_silent_keys_are_forgotten() -> None:
    clock = Clock()
    limiter = LocalLimiter(clock)
    for number in range(10_000):
        clock.now += 0.1
        await limiter.hit(f"address {number}", 20)
    assert len(limiter._young) + len(limiter._old) <= 2 * WINDOW / 0.1 + 1


PROXY = ip_network("10.0.0.0/8")


@pytest.mark.parametrize(
    "peer, forwarded, trusted, expected",
    [
        ("192.0.2.1", [], [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], [PROXY], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["forged, 198.51.100.7"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7, 10.0.0.2"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:4711, 10.0.0.2:80"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8:1:2:3:4:5:6]:4711"], [PROXY], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:3:4:5:6"], [PROXY], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], [PROXY], "198.51.100.7"),
        ("10.0.0.1", ["fe80::1%eth0"], [PROXY], "fe80::/64"),
        ("10.0.0.1", ["nonsense"], [PROXY], "10.0.0.1"),
        ("10.0.0.1", ["[", "198.51.100.7, ]"], [PROXY], "10.0.0.1"),
        ("10.0.0.1", [""], [PROXY], "10.0.0.1"),
        ("10.0.0.1", [], [PROXY], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], [PROXY], "10.0.0.3"),
        ("::ffff:192.0.2.1", [], [], "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", [], [], "2001:db8:1:2::/64"),
        (None, ["198.51.100.7"], [PROXY], "local"),
    ],
)
def test_the_client_is_found_behind_trusted_proxies_only(
    peer: str | None, forwarded: list[str], trusted: list[object], expected: str
) -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-For", value) for value in forwarded])
    found = client_address(request.clone(remote=peer or ""), trusted)  # type: ignore[arg-type]
    assert found == expected
