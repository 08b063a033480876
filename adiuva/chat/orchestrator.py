"""The orchestrator: chooses who answers a message, asks them in turn, and joins what several have answered."""

import re
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
import structlog

from adiuva.chat.errors import ChosenBusyError, NoAgentError
from adiuva.chat.messages import AgentJob, ChatJob, ChatResult, ProducedAction, TextProduced
from adiuva.chat.plans.planner import Plans
from adiuva.errors import (
    AdiuvaError,
    DeadlineExceededError,
    LlmNotConfiguredError,
    LlmTimeoutError,
    LlmUnavailableError,
    OverloadedError,
)
from adiuva.llm.protocol import Message, Model, ModelCall, OnText, Usage
from adiuva.runtime import Actor, ActorContext, ActorRef
from adiuva.sdk import Agent

log = structlog.get_logger(__name__)

Results = tuple[dict[str, Any], ...]

NAME = "orchestrator"
DEFAULT_AGENT = "task_agent"
MAX_AGENTS = 5
HISTORY_SEEN = 6  # how many earlier messages the router sees: enough for "and delete it again"
ROUTER_TOKENS = 256  # the choice takes 20; some models think first

ROUTER_PROMPT = """\
You route messages of a project-management app: classify the intent of the user's last message and choose who answers.
Choose one agent; choose several, in the order in which they should work, only where the message asks for things of
different agents. The agents:
{agents}
Answer with JSON alone: {{"agents": ["name"]}}"""

SYNTHESIS_PROMPT = """\
Several agents have worked on the user's message, one after another. Write the one answer that the user reads: join
what they answered, leave nothing out, say nothing twice, and say plainly what failed. Do not mention agents. Their
results, as JSON:
{results}"""

# The model did not answer: it may be another one that is at fault, or only this call.
_MODEL_FAULTS = (LlmUnavailableError, LlmTimeoutError, LlmNotConfiguredError)

PROMPTS = {"router": ROUTER_PROMPT, "synthesis": SYNTHESIS_PROMPT}


class Orchestrator(Actor):
    """Answers a `ChatJob` with a `ChatResult`; the agents' events go on the same stream."""

    def __init__(
        self,
        *,
        agents: Mapping[str, Agent],
        refs: Mapping[str, ActorRef],
        model: Model,
        plans: Plans,
        capacity: int,
        concurrency: int,
    ) -> None:
        """``refs`` are the agents' actors by name."""
        super().__init__(NAME, capacity=capacity, concurrency=concurrency)
        self._agents = agents
        self._refs = refs
        self._model = model
        self._plans = plans

    async def receive(self, payload: ChatJob, ctx: ActorContext) -> ChatResult:
        """Answer ``payload``."""
        names, usage = payload.agents, Usage()
        if not names:
            names, usage = await self._classify(payload)
        if payload.plan:
            return ChatResult(response="", plan=self._plans.make(names, ctx.user), usage=usage)
        try:
            if len(names) == 1:
                result = await self._ask(names[0], payload, ctx, stream=payload.stream)
                return attrs.evolve(result, usage=usage + result.usage, shared_memory={})
            return await self._pipeline(names, payload, ctx, usage)
        except OverloadedError as error:
            raise ChosenBusyError(names, usage, error) from None

    async def _ask(
        self,
        name: str,
        job: ChatJob,
        ctx: ActorContext,
        *,
        stream: bool,
        results: Results = (),
        memory: dict[str | None, dict[str, Any]] | None = None,
    ) -> ChatResult:
        message = AgentJob(
            message=job.message,
            context=job.context,
            history=job.history,
            previous_results=(*job.previous_results, *results),
            shared_memory=memory or {},
            model=job.model,
            grants=job.grants,
            stream=stream,
            client_tools=job.client_tools,
            call=job.call,
        )
        answer: ChatResult = await ctx.ask(self._refs[name], message)
        return answer

    # classification

    async def _classify(self, job: ChatJob) -> tuple[tuple[str, ...], Usage]:
        """Who is to answer, and what choosing cost. Unsure, or the router at fault: the default agent."""
        if not job.open_agents:
            raise NoAgentError
        default = DEFAULT_AGENT if DEFAULT_AGENT in job.open_agents else job.open_agents[0]
        if len(job.open_agents) == 1:
            return (default,), Usage()
        try:
            turn = await self._model.run(self._router_call(job))
        except _MODEL_FAULTS as error:
            log.warning("router failed", error=type(error).__name__)
            return (default,), Usage()
        return parse_choice(turn.text, job.open_agents) or (default,), turn.usage

    def _router_call(self, job: ChatJob) -> ModelCall:
        agents = "\n".join(f"- {name}: {self._agents[name].description}" for name in job.open_agents)
        return ModelCall(
            model=job.router_model,
            max_tokens=ROUTER_TOKENS,
            messages=(
                Message(role="system", content=ROUTER_PROMPT.format(agents=agents)),
                *(Message(role=entry.role, content=entry.content) for entry in job.history[-HISTORY_SEEN:]),
                Message(role="user", content=job.message),
            ),
        )

    # several agents

    async def _pipeline(self, names: tuple[str, ...], job: ChatJob, ctx: ActorContext, usage: Usage) -> ChatResult:
        results: list[dict[str, Any]] = []
        actions: list[ProducedAction] = []
        memory: dict[str | None, dict[str, Any]] = {}
        failed: dict[str, AdiuvaError] = {}
        for name in names:
            try:
                answer = await self._ask(name, job, ctx, stream=False, results=tuple(results), memory=memory)
            except Exception as error:  # noqa: BLE001 - a third party's agent; the others' results stand
                failed[name] = _foreseen(error)
                log.warning("agent of a pipeline failed", agent=name, error=type(error).__name__)
                continue
            usage += answer.usage
            memory = answer.shared_memory
            actions.extend(answer.actions)
            done = [{"action": action.action, "params": action.params} for action in answer.actions]
            results.append({"agent": name, "response": answer.response, "actions": done})
        if not results:
            raise next(iter(failed.values()))
        text, spent = await self._join(job, ctx, results, failed)
        return ChatResult(response=text, actions=tuple(actions), usage=usage + spent)

    async def _join(
        self, job: ChatJob, ctx: ActorContext, results: list[dict[str, Any]], failed: dict[str, AdiuvaError]
    ) -> tuple[str, Usage]:
        """One answer out of several; what failed is said whatever the model makes of it."""
        texts: list[str] = []

        async def say(text: str) -> None:
            texts.append(text)
            if job.stream:
                await ctx.emit(TextProduced(text=text))

        usage = Usage()
        if len(results) == 1:
            await say(results[0]["response"])
        else:
            usage = await self._synthesise(job, results, say)
        for name, error in failed.items():
            await say(f"\n\nOne part did not work out ({name}): {error.message}")
        return "".join(texts), usage

    async def _synthesise(self, job: ChatJob, results: list[dict[str, Any]], say: OnText) -> Usage:
        prompt = SYNTHESIS_PROMPT.format(results=orjson.dumps(results).decode())
        messages = (Message(role="system", content=prompt), Message(role="user", content=job.message))
        spoken = False

        async def on_text(text: str) -> None:
            nonlocal spoken
            spoken = True
            await say(text)

        try:
            turn = await self._model.run(ModelCall(model=job.model, messages=messages), on_text if job.stream else None)
        except _MODEL_FAULTS as error:
            if spoken:
                raise
            log.warning("synthesis failed", error=type(error).__name__)
            await say("\n\n".join(result["response"] for result in results if result["response"]))
            return Usage()
        if not job.stream:
            await say(turn.text)
        return turn.usage


def _foreseen(error: Exception) -> AdiuvaError:
    """The error as a client may read it; a passed deadline is everyone's, and raised."""
    if isinstance(error, DeadlineExceededError) and not isinstance(error, LlmTimeoutError):
        raise error
    return error if isinstance(error, AdiuvaError) else AdiuvaError()


def parse_choice(text: str, open_agents: tuple[str, ...]) -> tuple[str, ...]:
    """The agents that a router's answer names, each once, at most `MAX_AGENTS`; empty where it cannot be read.

    Models wrap JSON in prose and fences, so the first object in the text counts.
    """
    found = re.search(r"\{.*?\}", text, re.DOTALL)
    if found is None:
        return ()
    try:
        choice = orjson.loads(found[0]).get("agents")
    except ValueError:
        return ()
    if not isinstance(choice, list):
        return ()
    names = dict.fromkeys(name for name in choice if isinstance(name, str) and name in open_agents)
    return tuple(names)[:MAX_AGENTS]
