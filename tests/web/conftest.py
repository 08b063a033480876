"""A server of a few small routes behind the real guard, middleware and CORS; accounts are left to tests/auth."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adiuva.errors import InvalidTokenError
from adiuva.settings import Settings
from adiuva.web import cors, middleware
from adiuva.web.access import AUTHENTICATOR, Principal
from adiuva.web.keys import LIMITER, SETTINGS
from adiuva.web.limits import LocalLimiter
from adiuva.web.routes import Route, register
from adiuva.web.server import Runner

ORIGIN = "http://localhost:3000"
USER = UUID(int=1)


class ProblemServer(TestServer):
    """Serves as ``adiuva serve`` does."""

    async def _make_runner(self, **kwargs: Any) -> Runner:
        return Runner(self.app, **kwargs)


Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


def principal(*, is_admin: bool = False) -> Principal:
    moment = datetime(2025, 11, 22, 9, 30, tzinfo=UTC)
    return Principal(
        user_id=USER,
        email="ada@example.com",
        tier="free",
        is_admin=is_admin,
        created_at=moment,
        login_id=UUID(int=2),
        expires_at=moment + timedelta(minutes=30),
    )


async def authenticate(token: str) -> Principal:
    """Tokens of the tests: ``user`` and ``admin``."""
    if token not in {"user", "admin"}:
        raise InvalidTokenError
    return principal(is_admin=token == "admin")


@pytest.fixture
def serve(aiohttp_client: Callable[[TestServer], Awaitable[Client]]) -> Serve:
    async def start(routes: Iterable[Route], **settings: object) -> Client:
        app = web.Application()
        app[SETTINGS] = Settings(cors_origins=(ORIGIN,), **settings)  # type: ignore[arg-type]
        app[LIMITER] = LocalLimiter()
        app[AUTHENTICATOR] = authenticate
        middleware.install(app)
        register(app, "/api", routes)
        cors.allow_origins(app, app[SETTINGS].cors_origins)
        return await aiohttp_client(ProblemServer(app))

    return start
