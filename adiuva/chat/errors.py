"""What can be wrong with a request that a model answers, beside the request itself."""

from typing import Final

from adiuva.errors import (
    GoingAwayError,
    LlmNotConfiguredError,
    LlmTimeoutError,
    LlmUnavailableError,
    OverloadedError,
    TierRequiredError,
    UnavailableError,
)
from adiuva.llm.protocol import Usage

CHAT_ERRORS: Final = (
    TierRequiredError,
    LlmUnavailableError,
    LlmTimeoutError,
    LlmNotConfiguredError,
    OverloadedError,
    GoingAwayError,
)


class NoAgentError(UnavailableError):
    """No agent is installed on this server."""


class ChosenBusyError(OverloadedError):
    """There is more to do than this server takes on at once; try again shortly."""

    def __init__(self, agents: tuple[str, ...], usage: Usage, *, retry_after: float | None) -> None:
        """``agents`` were to answer, none of them did, and choosing them cost ``usage``: they need no second choice."""
        self.agents = agents
        self.usage = usage
        super().__init__(retry_after=retry_after)
