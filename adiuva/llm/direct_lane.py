"""The lane straight to endpoints that speak OpenAI's wire: one shared session, and as little as possible per token."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import aiohttp
import orjson
from attrs import define, field

from adiuva import proxies
from adiuva.clock import now
from adiuva.llm import openai_wire
from adiuva.llm.faults import ProviderFault, retry_after
from adiuva.llm.lane import Delta, ToolFragment
from adiuva.llm.protocol import ModelCall, Usage
from adiuva.llm.providers import PROVIDERS, Endpoint, Endpoints
from adiuva.llm.spare import SparingConnector
from adiuva.llm.sse import SseParser, SseTooLargeError

_CONNECT_SECONDS = 10.0
_LINGER_SECONDS = 1.0  # that an answer which is whole waits for its connection, to use it again
_LARGEST_ERROR = 64 * 1024
_TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError)
_REASONING = re.compile(r"(?:openai/)?(?:o\d|gpt-(?:[5-9]|\d\d))")  # these take no temperature but their own
_DONE = b"[DONE]"
_OPENAI_HOST = "https://api.openai.com/"


@define(kw_only=True, eq=False)
class DirectLane:
    """Any provider of the table in ``providers``, and whatever ``LLM_API_BASE`` points to."""

    name: ClassVar[str] = "direct"

    endpoints: Endpoints
    trace_configs: Sequence[aiohttp.TraceConfig] = ()  # what aiohttp calls around each request
    _session: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)

    async def start(self) -> None:
        """Open the session."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The agents' concurrency limits the calls; a second limit here would only make them wait unseen.
                connector=SparingConnector(limit=0, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=proxies.in_use(),
                trace_configs=list(self.trace_configs),
                headers={"Accept-Encoding": "identity"},  # small chunks gain nothing from being unpacked
            )

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def complete(self, call: ModelCall) -> Delta:
        """Answer at once."""
        response = await self._post(call, stream=False)
        try:
            body = await response.read()
        except _TRANSPORT:
            fault = ProviderFault("broken")
        else:
            return openai_wire.answer_of(_json(body))
        finally:
            response.close()  # has given its connection back, if all of it was read
        raise fault

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta, None]:
        """Answer in deltas; those that came in one piece, as when the reader is slower than the model, are merged."""
        parser = SseParser()
        response = await self._post(call, stream=True)
        try:
            if response.content_type == "application/json":  # some servers do not stream
                yield openai_wire.answer_of(_json(await response.read()))
                return
            async for chunk in response.content.iter_any():
                events = parser.feed(chunk)
                if events and (delta := _merged(events)) is not None:
                    yield delta
                    if events[-1] == _DONE:
                        await _linger(response)
                        return
            if (delta := _merged(parser.end())) is not None:
                yield delta
        except _TRANSPORT:
            fault = ProviderFault("broken")
        except SseTooLargeError:
            fault = ProviderFault("nonsense")
        else:
            return
        finally:
            response.close()  # of an answer that has not ended, this tells the provider to stop
        raise fault

    async def _post(self, call: ModelCall, *, stream: bool) -> aiohttp.ClientResponse:
        """The provider's answer, whose body is still to be read; whoever asked for it closes it."""
        endpoint = self.endpoints.find(call.model)
        assert self._session is not None
        try:
            response = await self._session.post(
                endpoint.url,
                data=_request(call, endpoint, stream=stream),
                headers=endpoint.headers,
                allow_redirects=False,
            )
        except _TRANSPORT:
            fault = ProviderFault("connection")
        else:
            if response.status == 200:
                return response
            try:
                fault = await self._refusal(response, call.model)
            except _TRANSPORT:
                fault = ProviderFault("broken")
            finally:
                response.close()
        raise fault

    async def _refusal(self, response: aiohttp.ClientResponse, model: str) -> ProviderFault:
        body = await response.content.read(_LARGEST_ERROR)
        try:
            error = orjson.loads(body)
        except orjson.JSONDecodeError:
            error = None
        fault = openai_wire.error_of(error, status=response.status, retry_after=retry_after(response.headers, now()))
        fault.hint = self.endpoints.hint(model)
        return fault


async def _linger(response: aiohttp.ClientResponse) -> None:
    """Wait for the end of the body; an end that is bad or does not come takes nothing from the answer."""
    with suppress(*_TRANSPORT):
        async with asyncio.timeout(_LINGER_SECONDS):
            await response.content.readany()


def _request(call: ModelCall, endpoint: Endpoint, *, stream: bool) -> bytes:
    body = openai_wire.request_body(call, model=endpoint.model, stream=stream)
    if call.tools:
        body["tools"] = [tool.json for tool in call.tools]
    _adapt(body, endpoint)
    return orjson.dumps(body)


def _adapt(body: dict[str, Any], endpoint: Endpoint) -> None:
    """Leave out what a provider or a model does not take."""
    if not PROVIDERS[endpoint.provider].counts_on_request:
        body.pop("stream_options", None)
    if endpoint.provider != "openai" and not endpoint.model.startswith("openai/"):
        return
    if _REASONING.match(endpoint.model):
        body.pop("temperature", None)
    if "max_tokens" in body and endpoint.url.startswith(_OPENAI_HOST):
        body["max_completion_tokens"] = body.pop("max_tokens")


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    raise ProviderFault("nonsense")


def _merged(events: list[bytes]) -> Delta | None:
    """The deltas of these events as one; None where there is nothing in them."""
    if len(events) == 1 and events[0] != _DONE:
        return openai_wire.delta_of(_json(events[0]))
    texts: list[str] = []
    tools: list[ToolFragment] = []
    usage: Usage | None = None
    finished = False
    for event in events:
        if event == _DONE:
            finished = True
            continue
        delta = openai_wire.delta_of(_json(event))
        texts.append(delta.text)
        tools.extend(delta.tools)
        usage = delta.usage or usage
        finished = finished or delta.finished
    return Delta(text="".join(texts), tools=tuple(tools), usage=usage, finished=finished) if events else None
