"""What a server tells of itself, and to whom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve

from adiuva import __version__
from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry, LoadedPlugin, PluginFailure
from adiuva.llm.protocol import Model
from adiuva.sdk import PluginManifest
from adiuva.settings import Settings
from adiuva.status.service import STATUS, Status
from adiuva.testing.models import ScriptedModel
from tests.chat.conftest import CheckpointAgent, GatedModel, TaskAgent
from tests.marketplace.conftest import Person, Place

Start = Callable[..., Awaitable[Place]]

REGISTRY = AgentRegistry(
    plugins=(
        LoadedPlugin(name="task", version="1.0", agents=(TaskAgent(),), manifest=None),
        LoadedPlugin(
            name="garden",
            version="2.0",
            agents=(CheckpointAgent(),),
            manifest=PluginManifest(id="garden-planner", permissions=()),
        ),
    ),
    failures=(PluginFailure(name="broken", version="0.1", error="ImportError: a secret"),),
    blocked=("unwanted",),
)


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    clients = []

    async def run(model: Model | None = None, **changes: Any) -> Place:
        app = create_app(evolve(settings, **changes), model=model or ScriptedModel(), registry=REGISTRY)
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return Place(client)

    yield run
    for client in clients:
        await client.close()


def actors(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {actor["name"]: actor for actor in status["actors"]}


async def test_everyone_is_told_kinds_and_nothing_more(start: Start) -> None:
    place = await start()
    async with place.client.get("/api/v1/about") as answer:
        assert (answer.status, await answer.json()) == (
            200,
            {
                "version": __version__,
                "env": "dev",
                "docs": True,
                "resources": {
                    "database": "postgresql",
                    "blobs": "files",
                    "vectors": "embedded",
                    "model": "offline",
                    "payments": "stub",
                    "limits": "process",
                },
            },
        )
    async with place.client.get("/api/v1/status") as answer:
        assert answer.status == 401


SECRET = "hunter2hunter2"
ELSEWHERE = {
    "env": "prod",
    "database_url": f"postgresql://adiuva:{SECRET}@db.example.org:5433/adiuva?sslpassword={SECRET}",
    "s3_bucket": "blobs",
    "s3_endpoint_url": f"https://key:{SECRET}@s3.example.org",
    "qdrant_url": f"https://{SECRET}@qdrant.example.org:6334/{SECRET}",
    "qdrant_api_key": SECRET,
    "llm_model": "openai/gpt-4o",
    "llm_api_base": f"http://models.example.org/{SECRET}/v1?key={SECRET}",
    "stripe_secret_key": SECRET,
    "stripe_api_base": f"https://{SECRET}@stripe.example.org",
    "rate_limit_storage_url": f"async+redis://:{SECRET}@redis.example.org:6380/1",
}


async def test_admins_are_told_where_things_are_without_credentials(start: Start) -> None:
    place = await start()
    admin = await place.person(admin=True)
    kept = place.client.app[STATUS]
    elsewhere = Status(
        settings=evolve(kept.settings, **ELSEWHERE),
        actors=kept.actors,
        chat=evolve(kept.chat, models=("openai/gpt-4o",)),
        started_at=kept.started_at,
    )
    told = elsewhere.for_user(await principal_of(place, admin))
    assert told.admin is not None
    assert told.admin.places == {
        "database": "db.example.org:5433",
        "blobs": "s3.example.org, bucket blobs",
        "vectors": "qdrant.example.org:6334",
        "model": "models.example.org",
        "payments": "stripe.example.org",
        "limits": "redis.example.org:6380",
    }
    about = elsewhere.about()
    assert (about.env, about.docs) == ("prod", False)
    assert about.resources == type(about.resources)(
        database="postgresql", blobs="s3", vectors="qdrant", model="configured", payments="stripe", limits="redis"
    )
    assert SECRET not in f"{told} {about}"


async def test_an_embedded_server_without_a_model_says_so(start: Start) -> None:
    place = await start()
    kept = place.client.app[STATUS]
    bare = Status(
        settings=evolve(kept.settings, database_url=""),
        actors=kept.actors,
        chat=evolve(kept.chat, models=("",)),
        started_at=kept.started_at,
    )
    assert (bare.about().resources.database, bare.about().resources.model) == ("embedded", "none")
    told = bare.for_user(await principal_of(place, await place.person(admin=True)))
    assert told.admin is not None
    assert told.admin.places["database"] == str(kept.settings.data_dir)


async def test_admins_see_every_package_and_those_that_were_left_out(start: Start) -> None:
    place = await start()
    told = await (await place.person(admin=True)).done("GET", "/status")
    assert told["admin"]["packages"] == [
        {"name": "task", "version": "1.0", "agents": ["task_agent"]},
        {"name": "garden", "version": "2.0", "agents": ["checkpoint_agent"]},
    ]
    assert told["admin"]["left_out"] == [{"name": "broken", "version": "0.1"}]
    assert told["admin"]["blocked"] == ["unwanted"]
    assert set(actors(told)) == {"task_agent", "checkpoint_agent", "orchestrator"}


async def test_users_see_the_agents_that_they_have(start: Start) -> None:
    place = await start()
    told = await (await place.person()).done("GET", "/status")
    assert told["admin"] is None
    assert set(actors(told)) == {"task_agent", "orchestrator"}
    assert told["started_at"].endswith("Z")


async def test_what_runs_and_waits_is_counted(start: Start) -> None:
    model = GatedModel()
    place = await start(model, agent_concurrency=1, mailbox_capacity=5)
    person = await place.person()
    asked = [
        asyncio.create_task(person.post("/chat", {"message": "Tell me", "agents": ["task_agent"]})) for _ in range(3)
    ]
    while True:
        found = await person.done("GET", "/status")
        if found["actors"] and actors(found)["orchestrator"]["received"] == 3:
            break
    assert (found["mailbox_capacity"], found["agent_concurrency"]) == (5, 1)
    orchestrator, agent = actors(found)["orchestrator"], actors(found)["task_agent"]
    assert (orchestrator["running"], orchestrator["queued"]) == (1, 2)
    assert (agent["running"], agent["queued"], agent["state"]) == (1, 0, "running")
    model.gate.set()
    assert [status for status, _ in await asyncio.gather(*asked)] == [200, 200, 200]
    after = actors(await person.done("GET", "/status"))["task_agent"]
    assert (after["handled"], after["running"], after["queued"]) == (3, 0, 0)


async def principal_of(place: Place, person: Person) -> Any:
    from adiuva.web.access import AUTHENTICATOR

    return await place.client.app[AUTHENTICATOR](person.tokens["access_token"])
