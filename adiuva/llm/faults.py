"""What can go wrong between a lane and its provider, before it becomes an error that clients see."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from adiuva.errors import AdiuvaError, LlmNotConfiguredError, LlmTimeoutError, LlmUnavailableError

FaultKind = Literal["broken", "connection", "key", "nonsense", "status", "timeout", "unknown"]
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})  # a 429 that waiting does not cure
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429


class ProviderFault(Exception):  # noqa: N818 - becomes an AdiuvaError only once retries and fallbacks are spent
    """A provider did not answer as it should. Holds nothing that the provider or the user wrote: no key, no prompt."""

    def __init__(
        self, kind: FaultKind, *, status: int = 0, code: str = "", retry_after: float | None = None, hint: str = ""
    ) -> None:
        """``code`` is the provider's word for the fault, ``retry_after`` is in seconds, ``hint`` says what to set."""
        self.kind: FaultKind = "key" if status in {401, 403} else kind
        self.status = status
        self.code = code if _CODE.fullmatch(code) else ""
        self.retry_after = retry_after
        self.hint = hint
        super().__init__(self.kind, status, self.code)

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed a little later."""
        if self.kind == "status":
            return (self.status in _PASSING_STATUSES or self.status >= _SERVER_ERROR) and self.code not in _SPENT
        return self.kind in {"broken", "connection", "nonsense"}

    def error(self, model: str) -> AdiuvaError:
        """What clients get to know of it."""
        match self.kind:
            case "key":
                return LlmNotConfiguredError(
                    f"There is no valid key for the model {model}{self.hint and ': '}{self.hint}."
                )
            case "unknown":
                return LlmNotConfiguredError(f"No provider is known for the model {model}.")
            case "timeout":
                return LlmTimeoutError(f"The model {model} did not answer in time.")
            case "connection":
                return LlmUnavailableError(f"The model {model} cannot be reached.")
            case "broken":
                return LlmUnavailableError(f"The answer of the model {model} broke off.")
            case "nonsense":
                return LlmUnavailableError(f"The model {model} answered what cannot be read.")
        if self.status == _TOO_MANY_REQUESTS:
            return LlmUnavailableError(
                f"The provider of the model {model} takes no more calls now.", retry_after=self.retry_after
            )
        reason = f" ({self.code})" if self.code else ""
        return LlmUnavailableError(f"The provider of the model {model} answered {self.status}{reason}.")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that a provider asks callers to wait, from its answer's headers; None where it does not say."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
