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
    """An overload after it was chosen who answers: that needs no second choice."""

    def __init__(self, agents: tuple[str, ...], usage: Usage, error: OverloadedError) -> None:
        """``agents`` were to answer, and choosing them cost ``usage``; ``error`` says why none of them did."""
        self.agents = agents
        self.usage = usage
        super().__init__(error.message, retry_after=error.retry_after)
