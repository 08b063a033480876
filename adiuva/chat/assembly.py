"""Puts the chat together: one actor for each agent, the orchestrator before them, and the sanitizer behind."""

import aiohttp

from adiuva.chat.agent_actor import AgentActor
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
) -> Chat:
    """The chat with the agents of ``registry``, whose actors ``system`` starts.

    ``models`` is what clients may ask for, the default one first; ``http`` is what tools call other services with.
    """
    plans = Plans(registry)
    agents = {agent.name: agent for agent in registry.list_agents()}
    reach = {name: reach_of(agent, registry.manifest_of(name)) for name, agent in agents.items()}
    refs = {}
    for name, agent in agents.items():
        refs[name] = await system.start(
            AgentActor(
                agent,
                manifest=registry.manifest_of(name),
                model=model,
                http=http,
                reach=reach,
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
    prompts = {**{name: agent.instructions for name, agent in agents.items()}, **PROMPTS, **plans.templates.texts()}
    return Chat(
        registry=registry,
        orchestrator=orchestrator,
        plans=plans,
        models=models,
        router_model=settings.llm_router_model or models[0],
        deadline_seconds=settings.chat_deadline_seconds,
        sanitizer=Sanitizer(prompts),
        observers=observers,
    )
