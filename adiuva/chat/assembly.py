"""Puts the chat together: one actor for each agent, the orchestrator before them, and the sanitizer behind."""

from collections import Counter
from functools import partial

import aiohttp

from adiuva.chat.agent_actor import EARLIER_RESULTS, AgentActor, MoreTools
from adiuva.chat.mcp.tools import McpServers
from adiuva.chat.observers import Observers
from adiuva.chat.orchestrator import PROMPTS, Orchestrator
from adiuva.chat.plans.planner import Plans
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.rights import reach_of
from adiuva.chat.sanitizer import Sanitizer
from adiuva.chat.service import Chat
from adiuva.llm.protocol import Model
from adiuva.runtime import ActorSystem
from adiuva.settings import Settings


async def start_chat(
    system: ActorSystem,
    settings: Settings,
    *,
    registry: AgentRegistry,
    model: Model,
    models: tuple[str, ...],
    http: aiohttp.ClientSession,
    observers: Observers,
    mcp: McpServers | None = None,
) -> Chat:
    """The chat with the agents of ``registry``, whose actors ``system`` starts.

    ``models`` is what clients may ask for, the default one first; ``http`` is what tools call other services with;
    ``mcp`` has tools beside the agents' own.
    """
    plans = Plans(registry)
    agents = {agent.name: agent for agent in registry.list_agents()}
    prompts = {name: agent.instructions for name, agent in agents.items()}
    sanitizer = Sanitizer({**prompts, **PROMPTS, "earlier_results": EARLIER_RESULTS, **plans.templates.texts()})
    reach = {name: reach_of(agent, registry.manifest_of(name)) for name, agent in agents.items()}
    refs = {}
    refused: dict[str, Counter[str]] = {name: Counter() for name in agents}
    for name, agent in agents.items():
        refs[name] = await system.start(
            AgentActor(
                agent,
                manifest=registry.manifest_of(name),
                model=model,
                http=http,
                reach=reach,
                sanitizer=sanitizer,
                more_tools=_more_tools(mcp, name, registry),
                refused=refused[name],
                capacity=settings.mailbox_capacity,
                concurrency=settings.agent_concurrency,
            )
        )
    orchestrator = await system.start(
        Orchestrator(
            agents=agents,
            refs=refs,
            model=model,
            plans=plans,
            capacity=settings.mailbox_capacity,
            concurrency=settings.agent_concurrency,
        )
    )
    return Chat(
        registry=registry,
        orchestrator=orchestrator,
        plans=plans,
        models=models,
        router_model=settings.llm_router_model or models[0],
        deadline_seconds=settings.chat_deadline_seconds,
        sanitizer=sanitizer,
        observers=observers,
        refused_actions=refused,
    )


def _more_tools(mcp: McpServers | None, agent: str, registry: AgentRegistry) -> MoreTools | None:
    if mcp is None or not mcp.connections:
        return None
    own = registry.manifest_of(agent) is None
    return partial(mcp.tools_for, agent, own=own)
