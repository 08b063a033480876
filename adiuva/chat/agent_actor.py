"""The actor of one agent: it runs the tool loop for each message."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import orjson
import structlog
from attrs import frozen
from structlog.contextvars import bind_contextvars, reset_contextvars

from adiuva.chat.client_tools import ClientTools
from adiuva.chat.context import client_now, clock_line
from adiuva.chat.messages import (
    ActionProduced,
    AgentJob,
    ChatResult,
    ProducedAction,
    TextProduced,
    ToolOutcome,
)
from adiuva.chat.observers import plugin_settings
from adiuva.chat.rights import Rights
from adiuva.chat.sanitizer import Sanitizer
from adiuva.chat.tool_loop import ToolLoop, specs_of
from adiuva.llm.protocol import Message, Model, ToolCall, ToolSpec
from adiuva.runtime import Actor, ActorContext
from adiuva.sdk import Agent, Context, Permission, PluginManifest, Tool

EARLIER_RESULTS = "What the agents before you in this request answered and did, as JSON:"


@frozen(kw_only=True)
class _View:
    """An agent as one user has it: what its rights leave of its tools."""

    rights: Rights
    tools: Mapping[str, Tool]
    specs: tuple[ToolSpec, ...]


MoreTools = Callable[[], Awaitable[Mapping[str, Tool]]]


class AgentActor(Actor):
    """Serves one agent: emits `TextProduced`, where a stream is wanted, and `ActionProduced`; replies `ChatResult`."""

    def __init__(
        self,
        agent: Agent,
        *,
        manifest: PluginManifest | None,
        model: Model,
        http: aiohttp.ClientSession,
        reach: Mapping[str, frozenset[Permission]],
        sanitizer: Sanitizer,
        more_tools: MoreTools | None = None,
        refused: Counter[str] | None = None,
        capacity: int,
        concurrency: int,
    ) -> None:
        """``manifest``: of the plugin that the agent belongs to, whose settings and rights its tools have.

        ``reach``: what each agent of this server reads. ``sanitizer`` knows the prompts. ``more_tools`` gives tools
        beside the agent's own. ``refused`` counts actions beyond the rights, by the tool that wanted them.
        """
        super().__init__(agent.name, capacity=capacity, concurrency=concurrency)
        self._agent = agent
        self._manifest = manifest
        self._plugin_id = manifest.id if manifest else None
        self._reach = reach
        self._sanitizer = sanitizer
        self._more_tools = more_tools
        self._views: dict[frozenset[Permission] | None, _View] = {}  # by what is granted, which few sets are
        self._refused = Counter() if refused is None else refused
        self._model = model
        self._http = http
        self._log = structlog.get_logger(f"adiuva.agents.{agent.name}")

    async def receive(self, payload: AgentJob, ctx: ActorContext) -> ChatResult:
        """Run the agent over ``payload``; what it logs carries the ids of the request."""
        bound = bind_contextvars(**ctx.log_ids)  # not `bound_contextvars`, which reads all of the context first
        try:
            return await self._run(payload, ctx)
        finally:
            reset_contextvars(**bound)

    async def _run(self, payload: AgentJob, ctx: ActorContext) -> ChatResult:
        view = self._view(payload)
        if self._more_tools is not None and payload.call is None:
            view = _widened(view, await self._more_tools())
        results = view.rights.results(payload.previous_results, self._reach)
        context = self._context(payload, view.rights, results, ctx)

        async def on_text(text: str) -> None:
            await ctx.emit(TextProduced(text=text))

        async def on_action(action: ProducedAction) -> None:
            await ctx.emit(ActionProduced(action=action))

        async with ClientTools(ctx) as client:
            loop = ToolLoop(
                agent=self._agent,
                tools=view.tools,
                specs=view.specs,
                rights=view.rights,
                refused=self._refused,
                context=context,
                model=self._model,
                model_name=payload.model,
                on_text=on_text if payload.stream else None,
                on_action=on_action,
                clean=self._sanitizer.values().clean,
                client=client if payload.client_tools else None,
                done_before=[action for result in payload.previous_results for action in result.get("actions", ())],
                messages=self._messages(payload, context),
            )
            if payload.call is not None:
                return await _called(loop, payload.call)
            response = await loop.run()
        return ChatResult(
            response=response,
            actions=tuple(loop.actions),
            usage=loop.usage,
            shared_memory={**payload.shared_memory, self._plugin_id: context.shared_memory},
        )

    def _messages(self, job: AgentJob, context: Context) -> list[Message]:
        system = f"{self._agent.instructions}\n\n{clock_line(context.now)}"
        if context.previous_results:
            system = f"{system}\n\n{EARLIER_RESULTS}\n{orjson.dumps(context.previous_results).decode()}"
        return [
            Message(role="system", content=system),
            *(Message(role=entry.role, content=entry.content) for entry in job.history),
            Message(role="user", content=job.message),
        ]

    def _view(self, job: AgentJob) -> _View:
        rights = Rights.of(self._manifest, job.grants.get(self._plugin_id or "", frozenset()))
        view = self._views.get(rights.granted)
        if view is None:
            tools = rights.tools(self._agent.tools())
            view = self._views[rights.granted] = _View(rights=rights, tools=tools, specs=specs_of(tools))
        return view

    def _context(
        self, job: AgentJob, rights: Rights, results: tuple[dict[str, Any], ...], ctx: ActorContext
    ) -> Context:
        data = rights.context(job.context)
        return Context(
            user_id=ctx.user,
            tier=ctx.tier,
            data=data,
            history=[{"role": entry.role, "content": entry.content} for entry in job.history],
            previous_results=list(results),
            shared_memory=dict(job.shared_memory.get(self._plugin_id, {})),
            vector_store_context=_list(data.get("vectors")),
            now=client_now(job.context),
            settings=plugin_settings(job.context, self._plugin_id),
            http=self._http,
            log=self._log,
        )


def _widened(view: _View, more: Mapping[str, Tool]) -> _View:
    return (
        _View(rights=view.rights, tools={**more, **view.tools}, specs=(*view.specs, *specs_of(more))) if more else view
    )


async def _called(loop: ToolLoop, call: ToolCall) -> ChatResult:
    outcome = await loop.run_tool(call)
    if not outcome.failed:
        outcome = ToolOutcome(value=orjson.loads(outcome.value), failed=False)
    return ChatResult(response="", actions=tuple(loop.actions), outcome=outcome)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
