"""What can be wrong with a request that a model answers, beside the request itself."""

from typing import Final

from adiuva.errors import (
    GoingAwayError,
    LlmNotConfiguredError,
    LlmTimeoutError,
    LlmUnavailableError,
    OverloadedError,
    TierRequiredError,
)

CHAT_ERRORS: Final = (
    TierRequiredError,
    LlmUnavailableError,
    LlmTimeoutError,
    LlmNotConfiguredError,
    OverloadedError,
    GoingAwayError,
)
