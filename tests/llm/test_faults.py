"""What becomes of a provider's failure."""

from datetime import UTC, datetime

import pytest

from adiuva.errors import LlmNotConfiguredError, LlmTimeoutError, LlmUnavailableError
from adiuva.llm.faults import FaultKind, ProviderFault, retry_after

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Tue, 01 Dec 2026 09:30:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 01 Dec 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_the_pause_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    "kind, error",
    [
        ("broken", LlmUnavailableError),
        ("connection", LlmUnavailableError),
        ("nonsense", LlmUnavailableError),
        ("status", LlmUnavailableError),
        ("timeout", LlmTimeoutError),
        ("key", LlmNotConfiguredError),
        ("unknown", LlmNotConfiguredError),
    ],
)
def test_each_kind_has_its_error(kind: FaultKind, error: type) -> None:
    assert type(ProviderFault(kind).error("openai/x")) is error


def test_a_spent_quota_is_not_worth_a_retry() -> None:
    assert ProviderFault("status", status=429, code="rate_limit_exceeded").passing
    assert not ProviderFault("status", status=429, code="insufficient_quota").passing


def test_only_a_word_of_the_provider_gets_through() -> None:
    told = ProviderFault("status", status=400, code="context_length_exceeded").error("openai/x").message
    assert told == "The provider of the model openai/x answered 400 (context_length_exceeded)."

    silenced = ProviderFault("status", status=400, code="Key sk-1 is wrong").error("openai/x").message
    assert silenced == "The provider of the model openai/x answered 400."
