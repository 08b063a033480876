"""From the agents that are to work on a message to a plan, and from a plan's id back to it."""

from collections.abc import Iterable
from itertools import islice, product
from typing import Final

from adiuva.chat.models import LISTS
from adiuva.chat.plans.builder import ExecutionPlanBuilder
from adiuva.chat.plans.cache import PlanCache
from adiuva.chat.plans.ids import tag, tags_in
from adiuva.chat.plans.models import ExecutionPlan
from adiuva.chat.plans.playbooks import built_in_playbooks
from adiuva.chat.plans.templates import PromptTemplateRegistry, default_id
from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import Agent

_MAX_CANDIDATES: Final = 100  # agents whose templates share a tag are one in 4,096


class Plans:
    """All plans of this server: the playbooks, and those that users had made for them.

    A plan that this node does not hold, because another one made it or because it was long ago, is made again from its
    id. That needs the owner, who is part of the id: to anyone else it is no plan.
    """

    def __init__(self, registry: AgentRegistry, cache: PlanCache | None = None) -> None:
        """``registry`` has the agents that plans are made of."""
        self._registry = registry
        self._cache = cache or PlanCache()
        self.templates = PromptTemplateRegistry(registry.templates(), registry.names())
        self._playbooks = {plan.plan_id: plan for plan in built_in_playbooks(self.templates)}

    def make(self, agents: Iterable[str], owner: str) -> ExecutionPlan:
        """The plan of these agents, one after another; it is held for ``owner``."""
        plan = self._build(tuple(agents), owner)
        self._cache.put(owner, plan)
        return plan

    def find(self, plan_id: str, owner: str) -> ExecutionPlan | None:
        """The playbook, or ``owner``'s plan, of that id; None if it is neither."""
        return self._playbooks.get(plan_id) or self._cache.get(owner, plan_id) or self._made_again(plan_id, owner)

    def listed_for(self, owner: str) -> list[ExecutionPlan]:
        """The playbooks, then ``owner``'s plans that this node holds, the last used first."""
        return [*self._playbooks.values(), *self._cache.owned_by(owner)]

    def _made_again(self, plan_id: str, owner: str) -> ExecutionPlan | None:
        tags = tags_in(plan_id)
        if not tags:
            return None
        names = self._registry.names()
        fitting = [[name for name in names if tag(default_id(name)) == wanted] for wanted in tags]
        for agents in islice(product(*fitting), _MAX_CANDIDATES):
            plan = self._build(agents, owner)
            if plan.plan_id == plan_id:
                self._cache.put(owner, plan)
                return plan
        return None

    def _build(self, names: tuple[str, ...], owner: str) -> ExecutionPlan:
        """First everything that one of the agents needs to know is read, then each of them works."""
        agents = [agent for agent in map(self._registry.get, names) if agent is not None]
        builder = ExecutionPlanBuilder(
            name=", ".join(names),
            description=f"Reads what is needed, then asks {', then '.join(names)}.",
            templates=self.templates,
        )
        needed = [kind for kind in LISTS if any(kind in kinds_of(agent) for agent in agents)]
        before: str | None = None
        for number, kind in enumerate(needed, 1):
            builder.add_data_step(f"step_{number}", f"list_{kind}", data_from_step=before)
            before = f"step_{number}"
        for number, name in enumerate(names, len(needed) + 1):
            builder.add_llm_step(f"step_{number}", default_id(name), data_from_step=before)
            before = f"step_{number}"
        return builder.build(owner=owner)


def kinds_of(agent: Agent) -> set[str]:
    """What ``agent`` works on, as its tools tell: by their permissions, and by the ids that they take."""
    kinds = set()
    for tool in agent.tools().values():
        if tool.permission is not None:
            kinds.add(tool.permission.partition(":")[2])
        parameters = tool.parameters.get("properties", {})
        kinds |= {f"{name.removesuffix('_id')}s" for name in parameters if name.endswith("_id")}
    return kinds
