"""What a tier allows: the questions that the other domains ask of the table in ``adiuva.tiers``."""

from typing import Literal

from adiuva.errors import PaymentRequiredError, TierRequiredError
from adiuva.tiers import FREE_AGENTS, TIERS

Feature = Literal["batch_builder", "marketplace", "sso"]

_NAMES: dict[Feature, str] = {"batch_builder": "The batch builder", "marketplace": "The marketplace", "sso": "SSO"}


def open_to(tier: str, feature: Feature) -> bool:
    """Whether ``tier`` holds ``feature``."""
    return bool(getattr(TIERS[tier], feature))


def require_feature(tier: str, feature: Feature) -> None:
    """Raise `TierRequiredError` unless ``tier`` holds ``feature``."""
    if not open_to(tier, feature):
        raise TierRequiredError(f"{_NAMES[feature]} is not part of the {tier} tier.")


def agent_open_to(tier: str, agent: str) -> bool:
    """Whether a user of ``tier`` may talk to ``agent``."""
    return TIERS[tier].agents is None or agent in FREE_AGENTS


def require_agent(tier: str, agent: str) -> None:
    """Raise `TierRequiredError` unless ``tier`` holds ``agent``."""
    if not agent_open_to(tier, agent):
        raise TierRequiredError(f"The agent {agent} is not part of the {tier} tier.")


def models_open_to(tier: str) -> bool:
    """Whether a user of ``tier`` may choose a model other than the default one."""
    return TIERS[tier].llm_providers != 1


def require_model_choice(tier: str) -> None:
    """Raise `TierRequiredError` unless ``tier`` may choose a model."""
    if not models_open_to(tier):
        raise TierRequiredError(f"Choosing a model is not part of the {tier} tier.")


def require_storage(tier: str) -> None:
    """Raise `PaymentRequiredError` unless ``tier`` has room for anything."""
    if TIERS[tier].storage_bytes == 0:
        raise PaymentRequiredError(f"Storage is not part of the {tier} tier.")
