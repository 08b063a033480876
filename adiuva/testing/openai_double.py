"""An OpenAI-compatible server in the test process, which answers from a script and misbehaves on demand."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import orjson
from aiohttp import web
from attrs import define, field, frozen

from adiuva.llm.protocol import ToolCall, Usage
from adiuva.testing.listening import Listening

USAGE = Usage(prompt_tokens=11, completion_tokens=5)
Ending = Literal["whole", "cut", "drop", "hang"]
After = Literal["end", "drop", "hang"]
_HEAD = {"id": "chatcmpl-double", "created": 1, "model": "double"}
_STREAM_HEADERS = {"Content-Type": "text/event-stream"}


@frozen(kw_only=True)
class Reply:
    """One answer of the double; the functions below make the usual ones.

    ``ending`` says how it ends: ``whole``; ``cut``: a clean end of the stream without a finish; ``drop``: the
    connection is broken off; ``hang``: nothing more comes. What is not streamed
    hangs or breaks off before its first byte.
    """

    pieces: Sequence[str] = ()  # the text, as it is cut into deltas
    tool_calls: Sequence[ToolCall] = ()
    split: int = 7  # characters of a tool call's arguments in one delta
    usage: Usage | None = USAGE
    ending: Ending = "whole"
    after: After = "end"  # what comes of the connection once a stream is whole
    marked: bool = True  # whether a stream that is whole says [DONE]
    gate: asyncio.Event | None = None  # waited for after the first delta
    pause: float = 0.0  # seconds after each delta
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None  # sent in place of any answer
    extra_event: bytes | None = None  # the data of an event in the stream after the deltas


def say(*pieces: str, ending: Ending = "whole", gate: asyncio.Event | None = None) -> Reply:
    """Text, streamed in these pieces."""
    return Reply(pieces=pieces, ending=ending, gate=gate)


def call(name: str, arguments: Mapping[str, Any] | str | None = None, *, id: str = "call_1") -> Reply:  # noqa: A002
    """One call of a tool; ``arguments`` as a string are sent as they are, malformed or not."""
    return calls(tool_call(name, arguments, id=id))


def calls(*tool_calls: ToolCall, text: str = "") -> Reply:
    """Several calls of tools in one turn."""
    return Reply(tool_calls=tool_calls, pieces=(text,) if text else ())


def tool_call(name: str, arguments: Mapping[str, Any] | str | None = None, *, id: str = "call_1") -> ToolCall:  # noqa: A002
    """A tool call, for ``calls``."""
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return ToolCall(id=id, name=name, arguments=text)


def fail(
    status: int, *, code: str = "server_error", message: str = "It failed.", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error of the provider."""
    body = orjson.dumps({"error": {"message": message, "type": code, "code": code}})
    return Reply(status=status, headers=headers or {}, body=body)


@frozen(kw_only=True)
class Request:
    """What the double was sent."""

    body: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@define(kw_only=True)
class OpenAIDouble(Listening):
    """``async with OpenAIDouble() as double``: answers ``POST {base_url}/chat/completions``.

    Answers come from ``script`` in turn; once that is empty, from ``respond`` if there is one, else they are 400.
    """

    notices_leaving = True  # which is how it knows that the caller has closed its connection
    respond: Callable[[dict[str, Any]], Reply] | None = None
    requests: list[Request] = field(factory=list, init=False)
    aborted: int = field(default=0, init=False)  # connections that the caller closed before the answer was whole
    _peers: set[object] = field(factory=set, init=False)
    _script: deque[Reply] = field(factory=deque, init=False)
    _changed: asyncio.Condition = field(factory=asyncio.Condition, init=False)
    _stopping: bool = field(default=False, init=False)

    @property
    def connections(self) -> int:
        """How many connections the requests came on."""
        return len(self._peers)

    def script(self, *replies: Reply) -> None:
        """Add answers to the script."""
        self._script.extend(replies)

    @property
    def base_url(self) -> str:
        """What ``LLM_API_BASE`` is set to."""
        return f"{self.address}/v1"

    async def wait_requests(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def wait_aborted(self, count: int = 1) -> None:
        """Wait until so many connections were closed by the caller before their answer was whole."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.aborted >= count)

    def make_app(self) -> web.Application:
        """The one call."""
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_post("/v1/chat/completions", self._handle)
        return app

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        await super().__aexit__(kind, error, trace)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        assert request.transport is not None
        self._peers.add(request.transport.get_extra_info("peername"))
        async with self._changed:
            self.requests.append(Request(body=body, headers=request.headers.copy()))
            self._changed.notify_all()
        reply = self._next(body)
        try:
            if reply.body is not None:
                return web.Response(
                    status=reply.status, headers=reply.headers, body=reply.body, content_type="application/json"
                )
            return await (self._stream if body.get("stream") else self._plain)(request, reply)
        except (asyncio.CancelledError, ConnectionError):
            if not self._stopping:
                await asyncio.shield(self._count_abort())
            raise

    def _next(self, body: dict[str, Any]) -> Reply:
        if self._script:
            return self._script.popleft()
        return self.respond(body) if self.respond else fail(400, code="script_is_empty")

    async def _count_abort(self) -> None:
        async with self._changed:
            self.aborted += 1
            self._changed.notify_all()

    async def _plain(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.gate is not None:
            await reply.gate.wait()
        if reply.ending != "whole":
            return await _break_off(request, reply.ending)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.pieces) or None}
        if reply.tool_calls:
            message["tool_calls"] = [_wire_call(tool_call) for tool_call in reply.tool_calls]
        answer = {
            **_HEAD,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": _finish(reply)}],
            **_usage(reply),
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _stream(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        await response.prepare(request)
        await response.write(_event([{"index": 0, "delta": {"role": "assistant", "content": ""}}]))
        for number, delta in enumerate(_deltas(reply)):
            if number == 1 and reply.gate is not None:
                await reply.gate.wait()
            await response.write(_event([{"index": 0, "delta": delta, "finish_reason": None}]))
            if reply.pause:
                await asyncio.sleep(reply.pause)
        if reply.extra_event is not None:
            await response.write(b"data: " + reply.extra_event + b"\n\n")
        if reply.ending == "cut":
            await response.write_eof()
            return response
        if reply.ending != "whole":
            return await _break_off(request, reply.ending)
        await response.write(_event([{"index": 0, "delta": {}, "finish_reason": _finish(reply)}]))
        if reply.usage is not None:
            await response.write(_event([], **_usage(reply)))
        if reply.marked:
            await response.write(b"data: [DONE]\n\n")
        return response if reply.after == "end" else await _break_off(request, reply.after)


async def _break_off(request: web.Request, how: Ending | After) -> web.StreamResponse:
    if how == "hang":
        await asyncio.Event().wait()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _deltas(reply: Reply) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"content": piece} for piece in reply.pieces]
    for index, tool_call in enumerate(reply.tool_calls):
        whole = _wire_call(tool_call)
        deltas.append(
            {"tool_calls": [{**whole, "index": index, "function": {"name": tool_call.name, "arguments": ""}}]}
        )
        for start in range(0, len(tool_call.arguments), reply.split):
            piece = tool_call.arguments[start : start + reply.split]
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    return deltas


def _wire_call(tool_call: ToolCall) -> dict[str, Any]:
    function = {"name": tool_call.name, "arguments": tool_call.arguments}
    return {"id": tool_call.id, "type": "function", "function": function}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls else "stop"


def _usage(reply: Reply) -> dict[str, Any]:
    if reply.usage is None:
        return {}
    prompt, completion = reply.usage.prompt_tokens, reply.usage.completion_tokens
    total = prompt + completion
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}}


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
