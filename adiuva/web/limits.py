"""Rate limits: a moving window of one minute, kept in this process or wherever ``RATE_LIMIT_STORAGE_URL`` says."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from aiohttp import web
from attrs import frozen

from adiuva.errors import RateLimitedError
from adiuva.settings import SettingsError

WINDOW = 60  # seconds

_X_FORWARDED_FOR = "X-Forwarded-For"
_IPV6_HOST_BITS = 64


@frozen
class Hit:
    """What became of one request under its limit."""

    allowed: bool
    limit: int
    remaining: int
    reset: int  # seconds until there is room for one request more than now

    def require(self) -> None:
        """Raise `RateLimitedError`, which tells when to come back, unless the request was allowed."""
        if not self.allowed:
            message = f"The limit of {self.limit} requests a minute is reached; try again in {self.reset} s."
            raise RateLimitedError(message, retry_after=self.reset)


class Limiter(Protocol):
    """Counts requests, each by a key, in a window that moves with the time."""

    async def open(self) -> None:
        """Reach for the storage, so that a fault of it shows at start."""
        ...

    async def hit(self, key: str, limit: int) -> Hit:
        """Count one request of ``key`` unless ``limit`` of the last minute have been counted already.

        ``limit`` may differ from one time to the next: what was counted stays counted.
        """
        ...

    async def check(self) -> None:
        """Raise ``UnavailableError`` unless the storage answers."""
        ...

    async def close(self) -> None:
        """Let the storage go."""
        ...


def make_limiter(storage_url: str | None) -> Limiter:
    """The limiter whose counts are at ``storage_url`` (``async+redis://…``), or in this process if there is none.

    Raises:
        SettingsError: the package for the storage is not installed, or it does not understand the URL.
    """
    if not storage_url:
        return LocalLimiter()
    try:
        from adiuva.web.shared_limits import SharedLimiter
    except ModuleNotFoundError as error:
        fault = "RATE_LIMIT_STORAGE_URL needs the package redis, which is not installed: pip install 'adiuva[redis]'"
        raise SettingsError([fault]) from error
    return SharedLimiter(storage_url)


class LocalLimiter:
    """Counts in this process: exact, and without a task or a thread per request.

    Keys that are silent for a window are forgotten: those seen since the last turn of the window are young, those of
    the turn before old, and each turn drops the old ones at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._young: dict[str, deque[float]] = {}
        self._old: dict[str, deque[float]] = {}
        self._turned = clock()

    async def open(self) -> None:
        """Nothing to reach for."""

    async def hit(self, key: str, limit: int) -> Hit:
        """See ``Limiter``."""
        now = self._clock()
        if now - self._turned >= WINDOW:
            self._turn(now)
        times = self._young.get(key)
        if times is None:
            times = self._young[key] = self._old.pop(key, deque())
        # A hit leaves the window only after the whole of its last second, so that no window of 60 s holds one too many.
        while times and times[0] <= now - WINDOW:
            times.popleft()
        allowed = len(times) < limit
        if allowed:
            times.append(now)
        # After a downgrade more may be counted than there is room for.
        reset = math.ceil(times[max(0, len(times) - limit)] + WINDOW - now) if times else WINDOW
        return Hit(allowed, limit, max(0, limit - len(times)), max(1, reset))

    async def check(self) -> None:
        """Nothing to ask."""

    async def close(self) -> None:
        """Nothing to let go."""

    def _turn(self, now: float) -> None:
        self._old = self._young if now - self._turned < 2 * WINDOW else {}
        self._young = {}
        self._turned = now


def client_address(request: web.BaseRequest, trusted_proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """Where ``request`` comes from, to count it by: an IPv4 address, or the /64 that an IPv6 client has to itself.

    ``X-Forwarded-For`` is read from its right end, and only as far as trusted proxies wrote it.
    """
    address = _parsed(request.remote or "")
    if address is None:
        return "local"
    if trusted_proxies:
        hops = ",".join(request.headers.getall(_X_FORWARDED_FOR, ())).split(",")
        while any(address in network for network in trusted_proxies) and hops:
            hop = _parsed(_without_port(hops.pop().strip()))
            if hop is None:
                break
            address = hop
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _IPV6_HOST_BITS), strict=False))
    return str(address)


def _without_port(hop: str) -> str:
    """Some proxies add the client's port: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
