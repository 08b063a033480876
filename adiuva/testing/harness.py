"""Runs messages through an agent as the server does, and shows all that a test may want to see of it.

Everything but the model and the socket is the server's own: the orchestrator, the tool loop, rights, tiers, the
sanitizer. No database, no port, no network.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol, Self
from uuid import UUID

import aiohttp
import orjson
from attrs import define, field, frozen

from adiuva import clock
from adiuva.chat.assembly import start_chat
from adiuva.chat.exchange import Exchange
from adiuva.chat.models import ChatRequest
from adiuva.chat.observers import Observers
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.service import Chat
from adiuva.errors import AdiuvaError
from adiuva.llm.protocol import Model, ModelCall, ModelTurn, OnText, Usage
from adiuva.local_data import LocalData
from adiuva.runtime import ActorSystem
from adiuva.sdk import Action, Agent, PluginManifest
from adiuva.settings import Settings
from adiuva.testing.models import Answer, ScriptedModel
from adiuva.tiers import TIER_NAMES, Tier
from adiuva.web import wire
from adiuva.web.access import Principal

MODEL = "scripted/model"
_USER = UUID(int=1)


@frozen(kw_only=True)
class ToolResult:
    """One call of a tool, as the model wished for it, and what the model was told."""

    name: str
    arguments: str
    """As the model wrote them; JSON if all is well."""
    result: Any
    """JSON data. A fault is ``{"error": text}``; an action is ``{"ok": True, "action": name, "params": …}``."""

    @property
    def error(self) -> str | None:
        """What the model was told is wrong; None where nothing is."""
        return self.result.get("error") if isinstance(self.result, dict) else None


@frozen(kw_only=True)
class Run:
    """What one message came to."""

    text: str
    """The answer as the user sees it, with anything of a prompt taken out."""
    chunks: tuple[str, ...]
    """The pieces in which it was streamed."""
    actions: tuple[Action, ...]
    """What the app was told to apply, in order."""
    not_applied: tuple[Action, ...]
    """Those of them that the harness's client does not know, or whose object is not in its data."""
    calls: tuple[ModelCall, ...]
    """What the model was asked: messages, tools and all."""
    tool_results: tuple[ToolResult, ...]
    """What tools gave, in order, as far as the model was told of it."""
    usage: Usage

    @property
    def prompts(self) -> tuple[str, ...]:
        """The system prompt of each model call."""
        return tuple(call.messages[0].content for call in self.calls)


@define
class _Recorder:
    """Passes calls on to a model, and remembers them."""

    model: Model
    calls: list[ModelCall] = field(factory=list, init=False)

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        self.calls.append(call)
        return await self.model.run(call, on_text)


@define(kw_only=True)
class AgentHarness:
    """A conversation with some agents, of one user whose client holds ``data``. Make it with `of`.

    The client sends its data with each message, applies the actions that come back, and remembers the conversation:
    a second `run` goes on where the first one ended.
    """

    registry: AgentRegistry
    model: Model
    data: LocalData
    context: dict[str, Any]
    tier: Tier
    client_tools: bool
    seconds: float
    http: aiohttp.ClientSession | None
    history: list[dict[str, str]] = field(factory=list, init=False)

    @classmethod
    def of(
        cls,
        *agents: Agent,
        model: Model | None = None,
        manifest: PluginManifest | None = None,
        data: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        tier: Tier = TIER_NAMES[-1],
        client_tools: bool = False,
        seconds: float = 30.0,
        http: aiohttp.ClientSession | None = None,
    ) -> Self:
        """A harness for these agents.

        Args:
            agents: One, or several where a pipeline or the choice of the router is the subject.
            model: Answers in place of a language model; without one, a `ScriptedModel` with an empty script.
            manifest: Of the plugin that the agents belong to, whose rights then hold; its user has accepted them.
            data: What the client holds: ``{"tasks": [...], "projects": [...], …}``.
            context: What else goes with every message: ``now``, ``timezone``, ``vectors``, ``plugins``, …
            tier: The user's.
            client_tools: Whether ``list_…`` and ``get_…`` tools run at the client, on ``data``.
            seconds: What one message may take.
            http: What tools call other services with; without one, a new session for each message.
        """
        lists = {name: [dict(entry) for entry in entries] for name, entries in (data or {}).items()}
        return cls(
            registry=AgentRegistry.of(*agents, manifest=manifest),
            model=model or ScriptedModel(),
            data=LocalData(LocalData().lists | lists),
            context=context or {},
            tier=tier,
            client_tools=client_tools,
            seconds=seconds,
            http=http,
        )

    async def run(self, message: str, *, script: Iterable[Answer] = (), agents: Sequence[str] | None = None) -> Run:
        """Send ``message``, and give what came of it.

        Args:
            message: What the user says.
            script: Answers of the model that lengthen its script; only for a `ScriptedModel`.
            agents: Who is to answer, by name. Without it, as in the app: the only agent, or the router's choice.

        Raises:
            AdiuvaError: what a client would have been told in place of an answer.
            AssertionError: the model was called more often than its script says.
        """
        if script:
            assert isinstance(self.model, ScriptedModel), "only a ScriptedModel has a script"
            self.model.add(script)
        body = {"message": message, "context": self._sent(), "history": self.history[-50:]}
        body |= {"agents": list(agents)} if agents else {}
        request = wire.structure(ChatRequest, body | {"client_tools": self.client_tools})
        recorder, frames = _Recorder(self.model), list[dict[str, Any]]()
        async with self._chat(recorder) as chat:
            done = await self._exchange(chat, request, frames)
        self.history += [{"role": "user", "content": message}, {"role": "assistant", "content": done["response"]}]
        return Run(
            text=done["response"],
            chunks=tuple(frame["text"] for frame in frames if frame["type"] == "chunk"),
            actions=tuple(_action(action) for action in done["actions"]),
            not_applied=tuple(_action(action) for action in done["actions"] if not self.data.apply(action)),
            calls=tuple(recorder.calls),
            tool_results=tuple(result for call in recorder.calls for result in _results(call)),
            usage=Usage(**done["usage"]),
        )

    def _sent(self) -> dict[str, Any]:
        lists = {} if self.client_tools else orjson.loads(orjson.dumps(self.data.lists))
        return lists | self.context

    async def _exchange(self, chat: Chat, request: ChatRequest, frames: list[dict[str, Any]]) -> dict[str, Any]:
        async def send(raw: bytes) -> None:
            frame = orjson.loads(raw)
            frames.append(frame)
            if frame["type"] == "tool_call":
                exchange.deliver({"type": "tool_result", "id": frame["id"], **self._answer(frame)})

        exchange = Exchange(chat, send)
        principal = self._principal()
        try:
            done = await exchange.run(chat.job(request, principal, stream=True), principal)
        except AdiuvaError as error:
            raise chat.clean_error(error) from None
        ended: dict[str, Any] = orjson.loads(wire.dump(done))
        return ended

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self.data.answer(call["action"], call["params"])}
        except AdiuvaError as error:
            return {"error": error.message}

    def _principal(self) -> Principal:
        manifests = [plugin.manifest for plugin in self.registry.plugins if plugin.manifest]
        return Principal(
            user_id=_USER,
            email="author@example.com",
            tier=self.tier,
            is_admin=False,
            created_at=clock.now(),
            login_id=_USER,
            expires_at=clock.now() + timedelta(hours=1),
            plugins={manifest.id: manifest.permissions for manifest in manifests},
        )

    @asynccontextmanager
    async def _chat(self, model: Model) -> AsyncIterator[Chat]:
        system, settings = ActorSystem(), Settings(chat_deadline_seconds=self.seconds)
        http = self.http or aiohttp.ClientSession()
        try:
            yield await start_chat(
                system,
                settings,
                registry=self.registry,
                model=model,
                models=(MODEL,),
                http=http,
                observers=Observers(),
            )
        finally:
            await system.stop(0)
            if http is not self.http:
                await http.close()


class MakeHarness(Protocol):
    """The type of the fixture ``agent_harness``: `AgentHarness.of`, with ``scripted_model`` for a model."""

    def __call__(
        self,
        *agents: Agent,
        model: Model = ...,
        manifest: PluginManifest | None = None,
        data: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        tier: Tier = TIER_NAMES[-1],
        client_tools: bool = False,
        seconds: float = 30.0,
        http: aiohttp.ClientSession | None = None,
    ) -> AgentHarness:
        """Make one."""
        ...


def _action(wire_action: dict[str, Any]) -> Action:
    return Action(
        wire_action["action"], wire_action["params"], requires_confirmation=wire_action["requires_confirmation"]
    )


def _results(call: ModelCall) -> Iterable[ToolResult]:
    """What the tools of the turn before ``call`` gave: the messages at its end, in the order of the wishes."""
    count = next((count for count, message in enumerate(reversed(call.messages)) if message.role != "tool"), 0)
    if not count:
        return
    wishes = call.messages[-count - 1].tool_calls
    for wish, answer in zip(wishes, call.messages[-count:], strict=True):
        yield ToolResult(name=wish.name, arguments=wish.arguments, result=orjson.loads(answer.content))
