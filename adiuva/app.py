"""The composition root: what the server is made of, in the order in which it is made, and its routes. Wiring only."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from adiuva import __version__, clock, health
from adiuva.account import handlers as account_handlers
from adiuva.account.places import VectorsPlace
from adiuva.account.service import ACCOUNTS, Accounts
from adiuva.audit import handlers as audit_handlers
from adiuva.auth import handlers as auth_handlers
from adiuva.auth.service import AUTH, Auth
from adiuva.auth.socket_watch import SOCKETS, SocketWatch
from adiuva.auth.users import handlers as user_handlers
from adiuva.backup import handlers as backup_handlers
from adiuva.backup.service import BACKUPS, Backups
from adiuva.billing import handlers as billing_handlers
from adiuva.billing.purchases.service import PURCHASES
from adiuva.billing.service import BILLING, Billing
from adiuva.blobs.build import build_blob_store
from adiuva.chat import handlers as chat_handlers
from adiuva.chat.assembly import start_chat
from adiuva.chat.batches import handlers as batch_handlers
from adiuva.chat.batches.pacing import Pacing
from adiuva.chat.batches.runner import Runner
from adiuva.chat.batches.service import BATCHES, Batches
from adiuva.chat.batches.store import BatchStore
from adiuva.chat.mcp.tools import McpServers
from adiuva.chat.observers import Observers
from adiuva.chat.plans import handlers as plan_handlers
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.service import CHAT
from adiuva.database import Database
from adiuva.doors.mcp import handlers as mcp_handlers
from adiuva.doors.openai import errors as openai_errors
from adiuva.doors.openai import handlers as openai_handlers
from adiuva.llm import build_model, model_names
from adiuva.llm.protocol import Model
from adiuva.marketplace import handlers as marketplace_handlers
from adiuva.marketplace.packages.service import PACKAGES, Packages
from adiuva.marketplace.review.service import REVIEWS, Reviews
from adiuva.marketplace.service import MARKETPLACE, Marketplace, remove_refunded
from adiuva.observe import assembly as observe_assembly
from adiuva.observe import handlers as observe_handlers
from adiuva.observe.assembly import TRACES
from adiuva.observe.metrics import METRICS
from adiuva.observe.readings import Sources
from adiuva.runtime import ActorSystem
from adiuva.settings import Settings
from adiuva.status import handlers as status_handlers
from adiuva.status.service import STATUS, Status
from adiuva.storage import handlers as storage_handlers
from adiuva.storage.batch import handlers as record_batch_handlers
from adiuva.storage.batch.service import BATCH, Batch
from adiuva.storage.changes import handlers as change_handlers
from adiuva.storage.changes.feed import FEED, Feed
from adiuva.storage.housekeeping.housekeeper import HOUSEKEEPER, Housekeeper
from adiuva.storage.keys import BLOBS, UPLOADS
from adiuva.storage.reader import READER, Reader
from adiuva.storage.service import RECORDS, Records
from adiuva.storage.uploads.service import Uploads
from adiuva.vectors import handlers as vector_handlers
from adiuva.vectors.build import build_vector_store
from adiuva.vectors.service import VECTORS, Vectors
from adiuva.web import cors, middleware, outbound
from adiuva.web.access import AUTHENTICATOR
from adiuva.web.keys import DATABASE, LIMITER, SETTINGS
from adiuva.web.limits import make_limiter
from adiuva.web.openapi import handlers as openapi_handlers
from adiuva.web.page import handlers as page_handlers
from adiuva.web.routes import ROUTES, register

API = "/api/v1"
OPENAI = "/v1"
MCP = "/mcp"
SOCKETS_SECONDS = 0.5  # for a socket's last frame, after the grace
OBSERVERS_SECONDS = 10.0  # what observers have, once nothing is left that they could be told of

HTTP = web.AppKey("http", aiohttp.ClientSession)
MODEL: web.AppKey[Model] = web.AppKey("model")
REGISTRY = web.AppKey("registry", AgentRegistry)
ACTORS = web.AppKey("actors", ActorSystem)
WATCHERS = web.AppKey("watchers", ActorSystem)


def create_app(
    settings: Settings, *, model: Model | None = None, registry: AgentRegistry | None = None
) -> web.Application:
    """The server as ``settings`` want it; ``model`` and ``registry`` replace those that settings would give."""
    app = web.Application()
    app[SETTINGS] = settings
    app[REGISTRY] = registry or AgentRegistry.load(set(settings.blocked_plugins), seconds=settings.plugin_load_seconds)
    observe_assembly.prepare(app)  # before the middleware, so that it is around it
    middleware.install(app)
    if model is not None:
        app[MODEL] = model
    app.cleanup_ctx.extend([_limiter, _database, _auth, _billing, _http, _blobs, _storage, _marketplace, _vectors])
    app.cleanup_ctx.extend([_accounts, _model, _actors, _batches, _sockets, _observe])
    app.on_shutdown.append(_say_goodbye)
    for routes in (
        health.ROUTES,
        auth_handlers.ROUTES,
        user_handlers.ROUTES,
        audit_handlers.ROUTES,
        account_handlers.ROUTES,
        billing_handlers.ROUTES,
        chat_handlers.ROUTES,
        batch_handlers.ROUTES,
        plan_handlers.ROUTES,
        marketplace_handlers.ROUTES,
        storage_handlers.ROUTES,
        record_batch_handlers.ROUTES,
        change_handlers.ROUTES,
        backup_handlers.ROUTES,
        vector_handlers.ROUTES,
        status_handlers.ROUTES,
        openapi_handlers.ROUTES,
    ):
        register(app, API, routes)
    register(app, OPENAI, openai_handlers.ROUTES, on_error=openai_errors.answer_error)
    register(app, MCP, mcp_handlers.ROUTES, on_error=mcp_handlers.answer_error)
    register(app, "", page_handlers.ROUTES)
    app[openapi_handlers.REFERENCE] = openapi_handlers.Reference(app[ROUTES], __version__)
    if settings.env == "dev":
        register(app, "", openapi_handlers.PAGE_ROUTES)
    if not settings.metrics_port:
        register(app, "", observe_handlers.ROUTES)
    cors.allow_origins(app, settings.cors_origins)
    return app


async def _limiter(app: web.Application) -> AsyncIterator[None]:
    app[LIMITER] = make_limiter(app[SETTINGS].rate_limit_storage_url)
    await app[LIMITER].open()
    yield
    await app[LIMITER].close()


async def _database(app: web.Application) -> AsyncIterator[None]:
    app[DATABASE] = await Database.connect(app[SETTINGS], on_query=app[TRACES].on_query)
    yield
    await app[DATABASE].close()


async def _auth(app: web.Application) -> AsyncIterator[None]:
    app[AUTH] = Auth(app[SETTINGS], app[DATABASE])
    app[AUTHENTICATOR] = app[AUTH].authenticate
    yield
    app[AUTH].close()


async def _billing(app: web.Application) -> AsyncIterator[None]:
    billing = app[BILLING] = Billing(
        settings=app[SETTINGS], database=app[DATABASE], prefix=API, on_refunded=remove_refunded
    )
    app[PURCHASES] = billing.purchases
    await billing.start()
    yield
    await billing.stop()


async def _marketplace(app: web.Application) -> AsyncIterator[None]:
    app[MARKETPLACE] = Marketplace(database=app[DATABASE], purchases=app[PURCHASES])
    app[REVIEWS] = Reviews(database=app[DATABASE])
    app[PACKAGES] = Packages(database=app[DATABASE], uploads=app[UPLOADS])
    yield


async def _http(app: web.Application) -> AsyncIterator[None]:
    async with outbound.open_session(app[SETTINGS].plugin_networks) as session:
        app[HTTP] = session
        yield


async def _vectors(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    store = build_vector_store(settings)
    app[VECTORS] = Vectors(store, settings.vector_dimensions)
    yield
    await store.close()


async def _blobs(app: web.Application) -> AsyncIterator[None]:
    app[BLOBS] = build_blob_store(app[SETTINGS])
    app[READER] = Reader(app[BLOBS])
    yield
    await app[BLOBS].close()


async def _storage(app: web.Application) -> AsyncIterator[None]:
    uploads = app[UPLOADS] = Uploads(
        database=app[DATABASE], blobs=app[BLOBS], lease_seconds=app[SETTINGS].upload_lease_seconds
    )
    app[RECORDS] = Records(database=app[DATABASE], uploads=uploads)
    app[BATCH] = Batch(database=app[DATABASE], uploads=uploads)
    app[BACKUPS] = Backups(database=app[DATABASE], uploads=uploads)
    housekeeper = app[HOUSEKEEPER] = Housekeeper(
        database=app[DATABASE], blobs=app[BLOBS], lease_seconds=app[SETTINGS].upload_lease_seconds
    )
    await uploads.start()
    await housekeeper.start()
    feed = app[FEED] = Feed(app[DATABASE].dsn)
    await feed.start()
    yield
    await feed.stop()
    await housekeeper.stop()
    await uploads.stop()


async def _accounts(app: web.Application) -> AsyncIterator[None]:
    accounts = app[ACCOUNTS] = Accounts(
        auth=app[AUTH],
        database=app[DATABASE],
        housekeeper=app[HOUSEKEEPER],
        places=[VectorsPlace(app[VECTORS].store)],
    )
    await accounts.start()
    yield
    await accounts.stop()


async def _model(app: web.Application) -> AsyncIterator[None]:
    if MODEL in app:
        yield
        return
    model = app[MODEL] = build_model(
        app[SETTINGS], on_report=app[METRICS].model_call, trace_configs=app[TRACES].model_requests
    )
    yield
    await model.close()


async def _actors(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    system = app[ACTORS] = ActorSystem(tracing=app[TRACES].messages)
    # Of its own: what observers do is no load of the chat.
    watchers = app[WATCHERS] = ActorSystem(tracing=app[TRACES].messages)
    observers = await Observers.start(
        watchers,
        app[REGISTRY].observers(),
        http=app[HTTP],
        capacity=settings.mailbox_capacity,
        concurrency=settings.agent_concurrency,
    )
    mcp = McpServers.of(settings.mcp_servers)
    app[CHAT] = await start_chat(
        system,
        settings,
        registry=app[REGISTRY],
        model=app[TRACES].model(app[MODEL]),
        models=model_names(settings) or ("",),  # none configured: whatever is asked, the model says so
        http=app[HTTP],
        observers=observers,
        mcp=mcp,
    )
    app[health.CHECKS] = _checks(app)
    app[STATUS] = Status(settings=settings, actors=system, chat=app[CHAT], started_at=clock.now())
    yield
    await system.stop(0)  # whatever ran has had its grace
    await mcp.close()
    await watchers.stop(OBSERVERS_SECONDS)


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


async def _observe(app: web.Application) -> AsyncIterator[None]:
    chat = app[CHAT]
    sources = Sources(
        systems=[app[ACTORS], app[WATCHERS]],
        database=app[DATABASE],
        uploads=app[UPLOADS],
        sockets=app[SOCKETS],
        redactions=chat.sanitizer.redactions,
        refused_actions=chat.refused_actions,
    )
    async for _ in observe_assembly.watch(app, sources):
        yield


async def _say_goodbye(app: web.Application) -> None:
    grace = app[SETTINGS].shutdown_grace_seconds
    await app[BATCHES].stop()
    # Who waits for an agent when the grace is over is told that the server goes away, and tells the client.
    await asyncio.gather(app[SOCKETS].stop(grace + SOCKETS_SECONDS), app[ACTORS].stop(grace))


def _checks(app: web.Application) -> dict[str, health.Check]:
    async def database() -> str:
        await app[DATABASE].ping()
        return "ok"

    async def blobs() -> str:
        await app[BLOBS].check()
        return "ok"

    async def agents() -> str:
        unready = {name: state for name, state in app[ACTORS].ready().items() if state != "ok"}
        return "; ".join(f"{name}: {state}" for name, state in unready.items()) or "ok"

    async def vectors() -> str:
        await app[VECTORS].store.check()
        return "ok"

    return {"database": database, "blobs": blobs, "vectors": vectors, "agents": agents}
