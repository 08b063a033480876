"""The four tiers and what each of them holds: the one table that everything else asks."""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from adiuva.errors import TierRequiredError

FREE_AGENTS = frozenset({"task_agent", "project_agent", "note_agent"})
GIB = 1024**3


@frozen(kw_only=True)
class Features:
    """What a tier holds. ``None`` is "without a limit"."""

    agents: int | None  # how many of the agents; a tier with a number has FREE_AGENTS
    llm_providers: int | None  # 1: the default model only
    batches_active: int | None  # at once
    batch_builder: bool
    storage_bytes: int | None  # records and backups each
    marketplace: bool
    sso: bool


TIERS: Mapping[str, Features] = MappingProxyType(
    {
        "free": Features(
            agents=3, llm_providers=1, batches_active=2, batch_builder=False,
            storage_bytes=0, marketplace=False, sso=False,
        ),
        "pro": Features(
            agents=None, llm_providers=None, batches_active=10, batch_builder=False,
            storage_bytes=5 * GIB, marketplace=False, sso=False,
        ),
        "power": Features(
            agents=None, llm_providers=None, batches_active=None, batch_builder=True,
            storage_bytes=25 * GIB, marketplace=True, sso=False,
        ),
        "team": Features(
            agents=None, llm_providers=None, batches_active=None, batch_builder=True,
            storage_bytes=None, marketplace=True, sso=True,
        ),
    }
)  # fmt: skip


def agent_open_to(tier: str, agent: str) -> bool:
    """Whether a user of ``tier`` may talk to ``agent``."""
    return TIERS[tier].agents is None or agent in FREE_AGENTS


def models_open_to(tier: str) -> bool:
    """Whether a user of ``tier`` may choose a model other than the default one."""
    return TIERS[tier].llm_providers is None


def require_agent(tier: str, agent: str) -> None:
    """Raise `TierRequiredError` unless ``tier`` holds ``agent``."""
    if not agent_open_to(tier, agent):
        msg = f"The agent {agent} is not part of the {tier} tier."
        raise TierRequiredError(msg)


def require_model_choice(tier: str) -> None:
    """Raise `TierRequiredError` unless ``tier`` may choose a model."""
    if not models_open_to(tier):
        msg = f"Choosing a model is not part of the {tier} tier."
        raise TierRequiredError(msg)
