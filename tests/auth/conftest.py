"""The auth calls behind the real guard, on a database of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from attrs import frozen

from adiuva.auth.handlers import ROUTES
from adiuva.auth.service import AUTH, Auth
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.limits import without_rate_limits
from adiuva.web import middleware
from adiuva.web.access import AUTHENTICATOR
from adiuva.web.keys import DATABASE, LIMITER, SETTINGS
from adiuva.web.limits import LocalLimiter
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, register

API = "/api/v1"
PASSWORD = "correct horse battery"

Client = TestClient[web.Request, web.Application]
Serve = Callable[[Settings], Awaitable[Client]]


async def health(_: web.Request) -> web.Response:
    return json_response({"status": "ok"})


def make_app(settings: Settings, database: Database) -> web.Application:
    async def auth(app: web.Application) -> AsyncIterator[None]:
        app[AUTH] = Auth(settings, database)
        app[AUTHENTICATOR] = app[AUTH].authenticate
        yield
        app[AUTH].close()

    app = web.Application()
    app[SETTINGS] = settings
    app[DATABASE] = database
    app[LIMITER] = LocalLimiter()
    app.cleanup_ctx.append(auth)
    middleware.install(app)
    register(app, API, [*ROUTES, Route("GET", "/health", health, access="public")])
    return app


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The settings of a test, without limits in its way."""
    return without_rate_limits(settings)


@pytest.fixture
def serve(aiohttp_client: Callable[[web.Application], Awaitable[Client]], database: Database) -> Serve:
    async def start(settings: Settings) -> Client:
        return await aiohttp_client(make_app(settings, database))

    return start


@pytest.fixture
async def client(serve: Serve, settings: Settings) -> Client:
    return await serve(settings)


@frozen
class Login:
    """One login of one user, as a client holds it."""

    client: Client
    email: str
    access_token: str
    refresh_token: str

    @classmethod
    async def register(cls, client: Client, email: str = "ada@example.com") -> "Login":
        return cls._of(client, email, await post(client, "register", email=email, password=PASSWORD))

    @classmethod
    async def of(cls, client: Client, email: str = "ada@example.com", password: str = PASSWORD) -> "Login":
        return cls._of(client, email, await post(client, "login", email=email, password=password))

    @classmethod
    def _of(cls, client: Client, email: str, answer: tuple[int, Any]) -> "Login":
        status, body = answer
        assert status in {200, 201}, body
        return cls(client, email, body["access_token"], body["refresh_token"])

    async def refresh(self) -> "Login":
        answer = await post(self.client, "refresh", refresh_token=self.refresh_token)
        return self._of(self.client, self.email, answer)

    async def call(self, method: str, path: str, body: object = None) -> ClientResponse:
        headers = {"Authorization": f"Bearer {self.access_token}"}
        return await self.client.request(method, API + path, json=body, headers=headers)

    async def is_alive(self) -> bool:
        """Whether the access token is taken."""
        response = await self.call("GET", "/auth/me")
        assert response.status in {200, 401}
        return response.status == 200


async def post(client: Client, call: str, **body: object) -> tuple[int, Any]:
    """The status and JSON body of ``POST /auth/{call}``."""
    response = await client.post(f"{API}/auth/{call}", json=body)
    return response.status, await response.json(content_type=None) if response.status != 204 else None


async def code(client: Client, call: str, **body: object) -> tuple[int, str]:
    """The status of a call that fails, and the problem's code."""
    status, problem = await post(client, call, **body)
    return status, problem["code"]
