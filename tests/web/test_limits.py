import asyncio
import random
from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request

from adiuva.settings import SettingsError
from adiuva.web.limits import WINDOW, Limiter, LocalLimiter, client_address, make_limiter


@pytest.fixture(params=["async+memory://", ""])
def limiter(request: pytest.FixtureRequest) -> Limiter:
    """Each kind of limiter: one contract for both."""
    return make_limiter(request.param)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_of_400_parallel_requests_with_a_limit_of_20_20_pass(limiter: Limiter) -> None:
    hits = await asyncio.gather(*(limiter.hit("user", 20) for _ in range(400)))
    assert sum(hit.allowed for hit in hits) == 20


@pytest.mark.parametrize("seed", range(20))
async def test_no_window_of_60_seconds_holds_more_than_the_limit_at_any_phase(seed: int) -> None:
    clock, draw = Clock(), random.Random(seed)
    limiter = LocalLimiter(clock)
    passed: list[float] = []
    for _ in range(5000):
        clock.now += draw.choice([0, 0, 0.001, 0.3, 1, 2, 7, 61]) * draw.random()
        if (await limiter.hit("user", 20)).allowed:
            passed.append(clock.now)
    assert all(later - earlier >= WINDOW for earlier, later in zip(passed, passed[20:], strict=False))
    assert len(passed) > 100


async def test_a_hit_says_what_remains_and_when_there_is_room_again() -> None:
    clock = Clock()
    limiter = LocalLimiter(clock)
    first = await limiter.hit("user", 2)
    assert (first.allowed, first.limit, first.remaining, first.reset) == (True, 2, 1, 60)
    clock.now += 10.5
    second = await limiter.hit("user", 2)
    assert (second.allowed, second.remaining, second.reset) == (True, 0, 50)
    refused = await limiter.hit("user", 2)
    assert (refused.allowed, refused.remaining, refused.reset) == (False, 0, 50)
    clock.now += refused.reset
    assert (await limiter.hit("user", 2)).allowed


@pytest.mark.parametrize("url", ["async+nonsense://x", "async+memcached://x"])
def test_a_storage_that_cannot_be_used_is_said_without_its_address(url: str) -> None:
    with pytest.raises(SettingsError, match="RATE_LIMIT_STORAGE_URL: ") as caught:
        make_limiter(url)
    assert url not in str(caught.value)


async def test_keys_do_not_share_a_limit(limiter: Limiter) -> None:
    assert (await limiter.hit("ada", 1)).allowed
    assert not (await limiter.hit("ada", 1)).allowed
    assert (await limiter.hit("bob", 1)).allowed


async def test_a_lower_limit_counts_what_was_allowed_under_the_higher_one() -> None:
    limiter = LocalLimiter()
    for _ in range(5):
        await limiter.hit("user", 20)
    hit = await limiter.hit("user", 3)
    assert (hit.allowed, hit.remaining) == (False, 0)


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
        ("10.0.0.1", ["nonsense"], [PROXY], "10.0.0.1"),
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
