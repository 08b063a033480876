"""Rate limits that are in no test's way: as settings, and as the environment of a server of its own process."""

from typing import Any, Final

import attrs

from adiuva.settings import Settings
from adiuva.tiers import TIER_NAMES

_MANY: Final = 10_000_000  # a minute

NO_RATE_LIMITS: Final = {
    "RATE_LIMITS": ",".join(f"{tier}={_MANY}" for tier in TIER_NAMES),
    "AUTH_RATE_LIMITS": ",".join(f"{route}={_MANY}" for route in Settings().auth_rate_limits),
}
"""As variables of the environment."""


def without_rate_limits(settings: Settings, **changes: Any) -> Settings:
    """These settings without limits of requests, and with ``changes``."""
    return attrs.evolve(
        settings,
        rate_limits=dict.fromkeys(settings.rate_limits, _MANY),
        auth_rate_limits=dict.fromkeys(settings.auth_rate_limits, _MANY),
        **changes,
    )
