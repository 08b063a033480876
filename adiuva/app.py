"""The composition root: what the server is made of, in the order in which it is made, and its routes. Wiring only."""

from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
from aiohttp import web

from adiuva import health
from adiuva.auth import handlers as auth_handlers
from adiuva.auth.service import AUTH, Auth
from adiuva.billing import handlers as billing_handlers
from adiuva.chat import handlers as chat_handlers
from adiuva.chat.assembly import start_chat
from adiuva.chat.batches import handlers as batch_handlers
from adiuva.chat.batches.pacing import Pacing
from adiuva.chat.batches.runner import Runner
from adiuva.chat.batches.service import BATCHES, Batches
from adiuva.chat.batches.store import BatchStore
from adiuva.chat.observers import Observers
from adiuva.chat.plans import handlers as plan_handlers
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.service import CHAT
from adiuva.chat.socket_watch import SOCKETS, SocketWatch
from adiuva.database import Database
from adiuva.doors.mcp import handlers as mcp_handlers
from adiuva.doors.openai import handlers as openai_handlers
from adiuva.llm import build_model, model_names
from adiuva.llm.protocol import Model
from adiuva.runtime import ActorSystem
from adiuva.settings import Settings
from adiuva.web import cors, middleware, outbound
from adiuva.web.access import AUTHENTICATOR
from adiuva.web.keys import DATABASE, LIMITER, SETTINGS
from adiuva.web.limits import make_limiter
from adiuva.web.routes import register

API = "/api/v1"
OPENAI = "/v1"
DRAIN_SECONDS = 10.0

HTTP = web.AppKey("http", aiohttp.ClientSession)
MODEL: web.AppKey[Model] = web.AppKey("model")
REGISTRY = web.AppKey("registry", AgentRegistry)
ACTORS = web.AppKey("actors", ActorSystem)


def create_app(
    settings: Settings, *, model: Model | None = None, registry: AgentRegistry | None = None
) -> web.Application:
    """The server as ``settings`` want it; ``model`` and ``registry`` replace those that settings would give."""
    app = web.Application()
    app[SETTINGS] = settings
    app[REGISTRY] = registry or AgentRegistry.load(set(settings.blocked_plugins), seconds=settings.plugin_load_seconds)
    middleware.install(app)
    if model is not None:
        app[MODEL] = model
    app.cleanup_ctx.extend([_limiter, _database, _auth, _http, _model, _actors, _batches, _sockets])
    app.on_shutdown.append(_say_goodbye)
    for routes in (
        health.ROUTES,
        auth_handlers.ROUTES,
        billing_handlers.ROUTES,
        chat_handlers.ROUTES,
        batch_handlers.ROUTES,
        plan_handlers.ROUTES,
    ):
        register(app, API, routes)
    register(app, OPENAI, openai_handlers.ROUTES)
    register(app, "", mcp_handlers.ROUTES)
    cors.allow_origins(app, settings.cors_origins)
    return app


async def _limiter(app: web.Application) -> AsyncIterator[None]:
    app[LIMITER] = make_limiter(app[SETTINGS].rate_limit_storage_url)
    await app[LIMITER].open()
    yield
    await app[LIMITER].close()


async def _database(app: web.Application) -> AsyncIterator[None]:
    app[DATABASE] = await Database.connect(app[SETTINGS])
    yield
    await app[DATABASE].close()


async def _auth(app: web.Application) -> AsyncIterator[None]:
    app[AUTH] = Auth(app[SETTINGS], app[DATABASE])
    app[AUTHENTICATOR] = app[AUTH].authenticate
    yield
    app[AUTH].close()


async def _http(app: web.Application) -> AsyncIterator[None]:
    async with outbound.open_session(app[SETTINGS].plugin_networks) as session:
        app[HTTP] = session
        yield


async def _model(app: web.Application) -> AsyncIterator[None]:
    if MODEL in app:
        yield
        return
    model = app[MODEL] = build_model(app[SETTINGS])
    yield
    await model.close()


async def _actors(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    system = app[ACTORS] = ActorSystem()
    watchers = ActorSystem()  # of its own: what observers do is no load of the chat
    observers = await Observers.start(
        watchers,
        app[REGISTRY].observers(),
        http=app[HTTP],
        capacity=settings.mailbox_capacity,
        concurrency=settings.agent_concurrency,
    )
    app[CHAT] = await start_chat(
        system,
        settings,
        registry=app[REGISTRY],
        model=app[MODEL],
        models=model_names(settings) or ("",),  # none configured: whatever is asked, the model says so
        http=app[HTTP],
        observers=observers,
    )
    app[health.CHECKS] = _checks(app)
    yield
    until = monotonic() + DRAIN_SECONDS
    await system.stop(DRAIN_SECONDS)
    await watchers.stop(max(1.0, until - monotonic()))


async def _batches(app: web.Application) -> AsyncIterator[None]:
    settings, store = app[SETTINGS], BatchStore()
    pacing = Pacing(
        limiter=app[LIMITER],
        rate_limits=settings.rate_limits,
        mailboxes=app[ACTORS].refs(),
        concurrency=settings.agent_concurrency,
    )
    runner = Runner(chat=app[CHAT], auth=app[AUTH], store=store, pacing=pacing)
    batches = app[BATCHES] = Batches(store=store, runner=runner)
    await batches.start()
    yield
    await batches.stop()


async def _sockets(app: web.Application) -> AsyncIterator[None]:
    app[SOCKETS] = SocketWatch(auth=app[AUTH])
    await app[SOCKETS].start()
    yield


async def _say_goodbye(app: web.Application) -> None:
    await app[SOCKETS].stop()
    await app[BATCHES].stop()


def _checks(app: web.Application) -> dict[str, health.Check]:
    async def database() -> str:
        await app[DATABASE].ping()
        return "ok"

    async def agents() -> str:
        unready = {name: state for name, state in app[ACTORS].ready().items() if state != "ok"}
        return "; ".join(f"{name}: {state}" for name, state in unready.items()) or "ok"

    files = health.folder_check(app[SETTINGS].data_dir)
    return {"database": database, "blobs": files, "vectors": files, "agents": agents}
