"""The model that the settings describe."""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import aiohttp
import structlog
from attrs import frozen

from adiuva.errors import LlmNotConfiguredError
from adiuva.llm import offline
from adiuva.llm.direct_lane import DirectLane
from adiuva.llm.gateway import Gateway
from adiuva.llm.lane import Lane
from adiuva.llm.litellm_lane import LitellmLane
from adiuva.llm.protocol import Model, ModelCall, ModelTurn, OnText
from adiuva.llm.providers import DEFAULT_MODELS, Endpoints
from adiuva.llm.reports import OnReport
from adiuva.settings import Settings

log = structlog.get_logger(__name__)


class ServedModel(Model, Protocol):
    """A model that may keep connections open."""

    async def close(self) -> None:
        """Close them."""


@frozen
class NoModel:
    """Stands where no model is configured, so that the server runs, and says what is missing."""

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:  # noqa: ARG002 - the protocol's
        """Raise `LlmNotConfiguredError`."""
        raise LlmNotConfiguredError(
            "No language model is configured: set LLM_MODEL, or a provider's key such as OPENAI_API_KEY."
        )

    async def close(self) -> None:
        """There is nothing to close."""


def model_names(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The models that clients may ask for, the default one first; none where none is configured."""
    default = _default_model(settings, environ)
    return tuple(dict.fromkeys((default, *settings.llm_models))) if default else ()


def build_model(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    *,
    on_report: OnReport | None = None,
    trace_configs: Sequence[aiohttp.TraceConfig] = (),
) -> ServedModel:
    """The model, or what stands in for it: `OfflineModel` in development, `NoModel` in production.

    ``on_report`` is told of every call, ``trace_configs`` of what the direct lane sends.
    """
    default = _default_model(settings, environ)
    if not default:
        return NoModel()
    if default == offline.NAME:
        if settings.llm_api_base:
            log.warning("LLM_API_BASE is of no use without LLM_MODEL")
        return offline.OfflineModel(on_report=on_report)
    endpoints = Endpoints(environ=environ, model=default, api_base=settings.llm_api_base)
    return Gateway(
        lane_of=_Lanes(
            settings.llm_lane,
            DirectLane(endpoints=endpoints, trace_configs=trace_configs),
            LitellmLane(endpoints=endpoints),
        ),
        fallback_models=settings.llm_fallback_models,
        timeout=settings.llm_timeout_seconds,
        on_report=on_report,
    )


@frozen
class _Lanes:
    choice: Literal["auto", "litellm", "direct"]
    direct: DirectLane
    litellm: LitellmLane

    def __call__(self, model: str) -> Lane:
        if self.choice == "auto":
            return self.direct if self.direct.endpoints.speaks_openai(model) else self.litellm
        return self.direct if self.choice == "direct" else self.litellm


def _default_model(settings: Settings, environ: Mapping[str, str]) -> str:
    if settings.llm_model or settings.llm_models:
        return settings.llm_model or settings.llm_models[0]
    found = next((model for variable, model in DEFAULT_MODELS.items() if environ.get(variable)), "")
    return found or (offline.NAME if settings.env == "dev" else "")
