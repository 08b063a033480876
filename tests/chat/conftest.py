"""A server with a scripted model and two small agents, and a user of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal

import attrs
import orjson
import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer
from attrs import define, evolve, field

from adiuva.app import create_app
from adiuva.chat.frames import SERVER_FRAMES
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.socket import ChatSocket
from adiuva.llm.protocol import Model, ModelCall, ModelTurn, OnText
from adiuva.sdk import Action, Agent, Context, ToolError, tool
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel

API = "/api/v1"
PASSWORD = "correct horse battery"


class TaskAgent(Agent):
    name = "task_agent"
    description = "Creates, lists and deletes tasks."
    instructions = "You keep the user's tasks."

    def __init__(self) -> None:
        self.entered, self.release = asyncio.Event(), asyncio.Event()
        self.finished = 0

    @tool
    def list_tasks(self, ctx: Context) -> list[dict[str, Any]]:
        """List the tasks."""
        return ctx.entries("tasks")

    @tool(permission="write:tasks")
    def create_task(self, ctx: Context, title: str, priority: Literal["high", "low"] = "low") -> Action:
        """Create a task."""
        return Action("create_task", {"title": title, "priority": priority})

    @tool(permission="write:tasks")
    def delete_task(self, ctx: Context, task_id: str) -> Action:
        """Delete a task."""
        return Action("delete_task", {"task_id": task_id})

    @tool
    def refuse(self, ctx: Context) -> str:
        """Refuse."""
        raise ToolError("Not today.")

    @tool
    def explode(self, ctx: Context) -> str:
        """Explode."""
        raise RuntimeError("the user's secret")

    @tool
    async def wait(self, ctx: Context) -> str:
        """Wait until the test lets it go."""
        self.entered.set()
        await self.release.wait()
        self.finished += 1
        return "waited"

    @tool
    def clock(self, ctx: Context) -> str:
        """The time and zone."""
        return f"{ctx.now.isoformat()} {ctx.now.tzinfo}"


class CheckpointAgent(Agent):
    name = "checkpoint_agent"
    description = "Plans checkpoints of projects."
    instructions = "You keep the user's checkpoints."


@define
class GatedModel:
    """Streams one word, then says nothing more until the test opens the gate."""

    spoke: asyncio.Event = field(factory=asyncio.Event)
    gate: asyncio.Event = field(factory=asyncio.Event)
    ended: asyncio.Event = field(factory=asyncio.Event)

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        try:
            if on_text:
                await on_text("first")
            self.spoke.set()
            await self.gate.wait()
        finally:
            self.ended.set()
        return ModelTurn(text="first")


@define
class User:
    """Someone logged in at a test server."""

    client: TestClient[Any, Any]
    email: str
    tokens: dict[str, Any] = field(factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def post(self, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        async with self.client.post(API + path, json=body, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.client.get(API + path, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def socket(self) -> ClientWebSocketResponse:
        return await self.client.ws_connect(f"{API}/chat/stream", headers=self.headers)


def described() -> dict[str, list[set[str]]]:
    """The fields of the server's frames, by type, as docs/websocket.md has them."""
    fields: dict[str, list[set[str]]] = {}
    for cls in SERVER_FRAMES:
        by_name = attrs.fields_dict(cls)
        fields.setdefault(str(by_name["type"].default), []).append(set(by_name))
    return fields


@pytest.fixture(autouse=True)
def sent_as_described(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a socket sends in these tests is as it is described, also what is written by hand to be fast."""
    send, fields, others = ChatSocket._send_bytes, described(), list[object]()

    async def checked(socket: ChatSocket, frame: bytes) -> None:
        sent = orjson.loads(frame)
        if set(sent) not in fields.get(sent["type"], []):
            others.append(sent)
        await send(socket, frame)

    monkeypatch.setattr(ChatSocket, "_send_bytes", checked)
    yield
    assert others == []


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def agent() -> TaskAgent:
    return TaskAgent()


Start = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
async def start(settings: Settings, model: ScriptedModel, agent: TaskAgent) -> AsyncIterator[Start]:
    """Starts a server; keyword arguments change its settings."""
    clients = []

    async def run(own_model: Model | None = None, **changes: Any) -> TestClient[Any, Any]:
        registry = AgentRegistry.of(agent, CheckpointAgent())
        app = create_app(evolve(settings, **changes), model=own_model or model, registry=registry)
        client = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return client

    yield run
    for client in clients:
        await client.close()


async def register(client: TestClient[Any, Any], email: str = "ada@example.com") -> User:
    """A new user of the server."""
    async with client.post(f"{API}/auth/register", json={"email": email, "password": PASSWORD}) as answer:
        assert answer.status == 201
        return User(client, email, await answer.json())


@pytest.fixture
async def user(start: Start) -> User:
    """A user of a server on which everyone has the tier pro."""
    return await register(await start(default_tier="pro"))
