"""Spans of model calls, by OpenTelemetry's conventions for generative AI, and of the requests to providers in them."""

from types import SimpleNamespace
from typing import Final

import aiohttp
from opentelemetry.trace import SpanKind

from adiuva.llm.protocol import Model, ModelCall, ModelTurn, OnText
from adiuva.llm.providers import split_model
from adiuva.observe.traces.provider import Attributes, Traces, failed

# Where the conventions have another name for a provider than LiteLLM.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


class TracedModel:
    """``model``, whose calls are spans: retries and fallbacks included, what is said not."""

    def __init__(self, model: Model, traces: Traces) -> None:
        self._model = model
        self._traces = traces

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        """See `Model`."""
        with self._traces.span(f"chat {call.model}", kind=SpanKind.CLIENT, attributes=_asked(call, on_text)) as span:
            turn = await self._model.run(call, on_text)
            span.set_attributes(
                {
                    "gen_ai.response.model": turn.model or call.model,
                    "gen_ai.response.finish_reasons": ("tool_calls" if turn.tool_calls else "stop",),
                    "gen_ai.usage.input_tokens": turn.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": turn.usage.completion_tokens,
                }
            )
            return turn


def _asked(call: ModelCall, on_text: OnText | None) -> Attributes:
    provider, _ = split_model(call.model)
    attributes: dict[str, str | float | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) or "unknown",
        "gen_ai.request.model": call.model,
        "gen_ai.request.temperature": call.temperature,
        "gen_ai.request.stream": on_text is not None,
        "gen_ai.output.type": "text",
    }
    if call.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = call.max_tokens
    return attributes


def requests_of(traces: Traces) -> aiohttp.TraceConfig:
    """Spans of a session's requests, to the head of the answer; each request carries its own as ``traceparent``."""

    async def start(_: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestStartParams) -> None:
        attributes: dict[str, str | int] = {"http.request.method": params.method}
        if params.url.host and params.url.port:
            attributes |= {"server.address": params.url.host, "server.port": params.url.port}
        ctx.span = traces.tracer.start_span(params.method, kind=SpanKind.CLIENT, attributes=attributes)
        params.headers["traceparent"] = traces.traceparent(ctx.span)

    async def end(_: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        ctx.span.set_attribute("http.response.status_code", params.response.status)
        ctx.span.end()

    async def fail(_: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams) -> None:
        failed(ctx.span, params.exception)
        ctx.span.end()

    config = aiohttp.TraceConfig()
    config.on_request_start.append(start)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    return config
