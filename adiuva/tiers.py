"""The four tiers and what each of them holds: the one table. Their names are the database's ``billing_tier`` too."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from attrs import frozen

Tier = Literal["free", "pro", "power", "team"]
TIER_NAMES: Final[tuple[Tier, ...]] = get_args(Tier)

GIB: Final = 1024**3
UNLIMITED: Final = None

FREE_AGENTS: Final = frozenset({"task_agent", "project_agent", "note_agent"})


@frozen(kw_only=True)
class Features:
    """What one tier holds; None is "without a limit"."""

    agents: int | None  # a number means FREE_AGENTS
    llm_providers: int | None  # 1: the default model only
    batches_active: int | None  # at once
    batch_builder: bool  # a batch's item may use the result of an earlier one
    storage_bytes: int | None
    backup_bytes: int | None
    marketplace: bool
    sso: bool
    requests_per_minute: int  # where the setting RATE_LIMITS says nothing else


_TABLE: dict[str, tuple[Any, Any, Any, Any]] = {
    #                      free   pro        power      team
    "agents":              (3,    UNLIMITED, UNLIMITED, UNLIMITED),
    "llm_providers":       (1,    UNLIMITED, UNLIMITED, UNLIMITED),
    "batches_active":      (2,    10,        UNLIMITED, UNLIMITED),
    "batch_builder":       (False, False,    True,      True),
    "storage_bytes":       (0,    5 * GIB,   25 * GIB,  UNLIMITED),
    "backup_bytes":        (0,    5 * GIB,   25 * GIB,  UNLIMITED),
    "marketplace":         (False, False,    True,      True),
    "sso":                 (False, False,    False,     True),
    "requests_per_minute": (20,   60,        120,       200),
}  # fmt: skip

TIERS: Final[Mapping[str, Features]] = MappingProxyType(
    {tier: Features(**{name: row[column] for name, row in _TABLE.items()}) for column, tier in enumerate(TIER_NAMES)}
)
