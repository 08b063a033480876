"""The actor of one agent: it runs the tool loop for each message."""

from typing import Any

import aiohttp
import orjson
import structlog

from adiuva.chat.client_tools import ClientTools
from adiuva.chat.context import client_now, clock_line
from adiuva.chat.messages import ActionProduced, AgentJob, ChatResult, ProducedAction, TextProduced
from adiuva.chat.rights import Rights
from adiuva.chat.tool_loop import ToolLoop, specs_of
from adiuva.llm.protocol import Message, Model
from adiuva.runtime import Actor, ActorContext
from adiuva.sdk import Agent, Context, PluginManifest

EARLIER_RESULTS = "What the agents before you in this request answered and did, as JSON:"


class AgentActor(Actor):
    """Serves one agent: emits `TextProduced`, where a stream is wanted, and `ActionProduced`; replies `ChatResult`."""

    def __init__(
        self,
        agent: Agent,
        *,
        manifest: PluginManifest | None,
        model: Model,
        http: aiohttp.ClientSession,
        capacity: int,
        concurrency: int,
    ) -> None:
        """``manifest``: of the plugin that the agent belongs to, whose settings and rights its tools have."""
        super().__init__(agent.name, capacity=capacity, concurrency=concurrency)
        self._agent = agent
        self._rights = Rights.of(manifest)
        self._tools = self._rights.tools(agent.tools())
        self._specs = specs_of(self._tools)
        self._plugin_id = manifest.id if manifest else None
        self._model = model
        self._http = http
        self._log = structlog.get_logger(f"adiuva.agents.{agent.name}")

    async def receive(self, payload: AgentJob, ctx: ActorContext) -> ChatResult:
        """Run the agent over ``payload``; what it logs carries the ids of the request."""
        with structlog.contextvars.bound_contextvars(**ctx.trace):
            return await self._run(payload, ctx)

    async def _run(self, payload: AgentJob, ctx: ActorContext) -> ChatResult:
        context = self._context(payload, ctx)

        async def on_text(text: str) -> None:
            await ctx.emit(TextProduced(text=text))

        async def on_action(action: ProducedAction) -> None:
            await ctx.emit(ActionProduced(action=action))

        async with ClientTools(ctx) as client:
            loop = ToolLoop(
                agent=self._agent,
                tools=self._tools,
                specs=self._specs,
                rights=self._rights,
                context=context,
                model=self._model,
                model_name=payload.model,
                on_text=on_text if payload.stream else None,
                on_action=on_action,
                client=client if payload.client_tools else None,
                done_before=[action for result in payload.previous_results for action in result.get("actions", ())],
                messages=self._messages(payload, context),
            )
            response = await loop.run()
        return ChatResult(
            response=response,
            actions=tuple(loop.actions),
            usage=loop.usage,
            shared_memory=context.shared_memory,
        )

    def _messages(self, job: AgentJob, context: Context) -> list[Message]:
        system = f"{self._agent.instructions}\n\n{clock_line(context.now)}"
        if job.previous_results:
            system = f"{system}\n\n{EARLIER_RESULTS}\n{orjson.dumps(job.previous_results).decode()}"
        return [
            Message(role="system", content=system),
            *(Message(role=entry.role, content=entry.content) for entry in job.history),
            Message(role="user", content=job.message),
        ]

    def _context(self, job: AgentJob, ctx: ActorContext) -> Context:
        return Context(
            user_id=ctx.user,
            tier=ctx.tier,
            data=job.context,
            history=[{"role": entry.role, "content": entry.content} for entry in job.history],
            previous_results=list(job.previous_results),
            shared_memory=dict(job.shared_memory),
            vector_store_context=_list(job.context.get("vectors")),
            now=client_now(job.context),
            settings=self._settings(job.context),
            http=self._http,
            log=self._log,
        )

    def _settings(self, context: dict[str, Any]) -> dict[str, Any]:
        plugins = context.get("plugins")
        mine = plugins.get(self._plugin_id) if isinstance(plugins, dict) and self._plugin_id else None
        return mine if isinstance(mine, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
