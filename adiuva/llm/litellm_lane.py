"""The lane to a hundred providers, through LiteLLM: the only module that imports it, and only once it is needed."""

import asyncio
import gc
import logging
import os
import warnings
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import structlog
from attrs import define, field

from adiuva.clock import now
from adiuva.llm import openai_wire
from adiuva.llm.faults import ProviderFault, retry_after
from adiuva.llm.lane import Delta
from adiuva.llm.protocol import ModelCall
from adiuva.llm.providers import Endpoints

log = structlog.get_logger(__name__)

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches its price list over the network at import
    "LITELLM_MODE": "PRODUCTION",  # else it reads a .env file of its own accord
}
_TALKATIVE_LOGGERS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpcore", "httpx", "openai")


@define(kw_only=True, eq=False)
class LitellmLane:
    """Any model that LiteLLM knows; keys come from each provider's own environment variables."""

    name: ClassVar[str] = "litellm"

    endpoints: Endpoints
    _litellm: Any = field(default=None, init=False, repr=False)
    _importing: asyncio.Task[Any] | None = field(default=None, init=False, repr=False)

    async def start(self) -> None:
        """Import LiteLLM, which takes seconds, in a thread; all who wait share one import."""
        if self._litellm is not None:
            return
        if self._importing is None or (self._importing.done() and self._importing.cancelled()):
            self._importing = asyncio.create_task(asyncio.to_thread(_import), name="import litellm")
        # Shielded: a caller that gives up does not take the import from the others.
        self._litellm = await asyncio.shield(self._importing)

    async def complete(self, call: ModelCall) -> Delta:
        """Answer at once."""
        response = await self._ask(call, stream=False)
        return openai_wire.answer_of(response.model_dump(warnings=False))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta, None]:
        """Answer in deltas, as LiteLLM hands them on."""
        response = await self._ask(call, stream=True)
        try:
            while (chunk := await self._next(response)) is not None:
                yield _delta(chunk)
            yield Delta(finished=_finished(response))
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections that LiteLLM keeps."""
        if self._litellm is not None:
            from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

            await close_litellm_async_clients()  # type: ignore[no-untyped-call]

    async def _ask(self, call: ModelCall, *, stream: bool) -> Any:
        body = openai_wire.request_body(call, model=call.model, stream=stream)
        if call.tools:
            body["tools"] = [tool.wire for tool in call.tools]
        options = self.endpoints.litellm_options(call.model)
        try:
            return await self._litellm.acompletion(
                **body,
                **options,
                drop_params=True,  # not every model takes a temperature
                num_retries=0,
                max_retries=0,
                # Else LiteLLM imports its proxy, and that the package mcp, for every call with tools.
                _skip_mcp_handler=True,
            )
        except Exception as error:  # noqa: BLE001 - LiteLLM raises its own, openai's, httpx's and more
            fault = self._fault(error, call.model)
        raise fault

    async def _next(self, response: Any) -> Any:
        try:
            return await anext(response, None)
        except Exception as error:  # noqa: BLE001 - as above
            fault = self._fault(error, "")
        raise fault

    def _fault(self, error: Exception, model: str) -> ProviderFault:
        if isinstance(error, ProviderFault):
            return error
        exceptions = self._litellm.exceptions
        if isinstance(error, exceptions.MidStreamFallbackError):
            original = error.original_exception
            return ProviderFault("broken") if original is None else self._fault(original, model)
        if isinstance(error, exceptions.Timeout):
            return ProviderFault("connection")  # ours is shorter than LiteLLM's: this one is of the connecting
        status = getattr(error, "status_code", None)
        if status is None or isinstance(error, exceptions.APIConnectionError) or _of_transport(error):
            log.debug("litellm fault", error=type(error).__name__)
            return ProviderFault("connection" if model else "broken")
        if isinstance(error, exceptions.BadRequestError) and not _known(self._litellm, model):
            return ProviderFault("unknown")
        headers = getattr(error, "litellm_response_headers", None) or getattr(
            getattr(error, "response", None), "headers", {}
        )
        return ProviderFault(
            "status",
            status=int(status),
            code=str(getattr(error, "code", None) or ""),
            retry_after=retry_after(headers, now()),
            hint=self.endpoints.hint(model),
        )


def _import() -> Any:
    os.environ.update(_ENVIRONMENT)
    import litellm

    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_streaming_logging = True
    litellm.disable_hf_tokenizer_download = True
    litellm.disable_token_counter = True
    # Both write what people and models have said.
    warnings.filterwarnings("ignore", module=r"(litellm|pydantic)\b")
    for name in _TALKATIVE_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A million objects that live for ever: no collection need look at them again.
    gc.freeze()
    return litellm


def _of_transport(error: BaseException | None) -> bool:
    """Whether the connection failed: LiteLLM calls that a 500, like one that the provider sent."""
    import httpx

    while error is not None:
        if isinstance(error, (OSError, httpx.TransportError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _known(litellm: Any, model: str) -> bool:
    try:
        litellm.get_llm_provider(model)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not know the model
        return False
    return True


def _finished(response: Any) -> bool:
    """Whether the provider said that it had finished: LiteLLM says so of a stream that broke off, too."""
    reasons = ("received_finish_reason", "intermittent_finish_reason")
    return any(getattr(response, reason, "unknown") is not None for reason in reasons)


def _delta(chunk: Any) -> Delta:
    """``openai_wire.delta_of`` for LiteLLM's objects, without dumping each of them to a dict."""
    wire: dict[str, Any] = {}
    if usage := getattr(chunk, "usage", None):
        wire["usage"] = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    if chunk.choices:
        choice = chunk.choices[0]
        delta = choice.delta
        calls = [call.model_dump() for call in delta.tool_calls or ()]
        wire["choices"] = [{"delta": {"content": delta.content, "tool_calls": calls}}]
    return openai_wire.delta_of(wire)
