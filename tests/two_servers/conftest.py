"""Two servers, each a process, on one database and one store; every call of a user goes to either in turn."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from attrs import define, evolve, field

from adiuva.auth import queries
from adiuva.settings import Settings
from adiuva.testing.limits import NO_RATE_LIMITS
from adiuva.testing.serving import Served
from adiuva.testing.stripe_double import StripeDouble
from adiuva.tiers import Tier

API = "/api/v1"
PASSWORD = "correct horse battery"


@define
class User:
    """A user of both servers; each of the calls says where it goes, or takes the next."""

    session: aiohttp.ClientSession
    urls: tuple[str, ...]
    email: str
    tokens: dict[str, Any] = field(factory=dict)
    turns: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}

    def url(self, path: str, at: int | None = None) -> str:
        return f"{self.urls[(next(self.turns) if at is None else at) % 2]}{API}{path}"

    async def call(
        self, method: str, path: str, body: Any = None, *, at: int | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Status and JSON body, or bytes where it is none."""
        headers = {**self.bearer, **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        async with self.session.request(method, self.url(path, at), headers=headers, **more) as answer:
            if answer.content_type.endswith("json"):
                return answer.status, await answer.json()
            return answer.status, await answer.read()

    async def log_in(self, kind: str = "login", at: int | None = None) -> "User":
        """Another device of the same account."""
        status, tokens = await self.call("POST", f"/auth/{kind}", {"email": self.email, "password": PASSWORD}, at=at)
        assert status in {200, 201}, tokens
        return evolve(self, tokens=tokens)

    async def store(self, data: bytes, record: str = "", *, at: int | None = None, **headers: str) -> tuple[int, Any]:
        """Create or, with ``If-Match`` or an id that is there, replace a record."""
        sent = {"X-Checksum": hashlib.sha256(data).hexdigest(), "Content-Type": "application/octet-stream", **headers}
        method, path = (
            ("PUT", f"/storage/records/{record}") if record else ("POST", f"/storage/records?table=notes&id={uuid4()}")
        )
        return await self.call(method, path, at=at, data=data, headers=sent)


@define(kw_only=True)
class Pair:
    """The two servers, and ways to look behind them."""

    servers: list[Served]
    session: aiohttp.ClientSession
    conn: "asyncpg.Connection[asyncpg.Record]"
    stripe: StripeDouble

    async def user(self, name: str = "ada") -> User:
        """Someone new."""
        urls = tuple(server.url for server in self.servers)
        return await User(self.session, urls, f"{name}@example.com").log_in("register")

    async def tier(self, user: User, tier: Tier) -> None:
        """Give someone a tier, as ``adiuva admin set-tier`` does."""
        await queries.set_tier(self.conn, email=user.email, tier=tier)


@pytest.fixture
async def pair(serve: Callable[..., Served], settings: Settings) -> AsyncIterator[Pair]:
    """Two servers with a double of Stripe; what they lack of limits no test runs into."""
    async with StripeDouble() as stripe, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        environ = {
            "DATABASE_URL": settings.database_url,
            "JWT_SECRET": settings.jwt_secret,
            **NO_RATE_LIMITS,
            "REFRESH_GRACE_SECONDS": "2",
            "UPLOAD_LEASE_SECONDS": "3",
            "BCRYPT_ROUNDS": "10",
            "STRIPE_SECRET_KEY": stripe.api_key,
            "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
            "STRIPE_API_BASE": stripe.base_url,
            "LOG_LEVEL": "INFO",
        }
        servers = [await asyncio.to_thread(serve, **environ) for _ in range(2)]
        conn = await asyncpg.connect(settings.database_url)
        yield Pair(servers=servers, session=session, conn=conn, stripe=stripe)
        await conn.close()


async def both(call: Callable[[int], Awaitable[Any]], number: int) -> list[Any]:
    """So many calls at once, every other one at the other server."""
    return await asyncio.gather(*(call(turn) for turn in range(number)))
