"""An OpenAI-compatible model that answers at once: ``python benchmarks/fake_model.py PORT``.

Asked with tools, it calls ``create_task`` once, then says 20 tokens; ``stream N`` gets N tokens, each in an event of
its own, and ``stream N after D every G`` gets them D and then each G milliseconds later. A token tells the nanoseconds
of the monotonic clock at which it was written, and the first one those at which it was asked for.
"""

import asyncio
import re
import sys
import time
from typing import Any

import orjson
import uvloop
from aiohttp import web

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "fake"}
USAGE = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "create_task", "arguments": '{"title": "Buy milk"}'},
}


def event(delta: dict[str, Any], finish: str | None = None, **more: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + orjson.dumps({**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}) + b"\n\n"


def wanted(body: dict[str, Any]) -> tuple[int | None, float, float]:
    """How many tokens are wanted (None: a tool call is due first), after and with how many seconds between."""
    last = body["messages"][-1]
    if last["role"] == "user" and (found := re.search(r"stream (\d+)(?: after (\d+) every (\d+))?", last["content"])):
        return int(found[1]), int(found[2] or 0) / 1e3, int(found[3] or 2) / 1e3
    return None if last["role"] == "user" and body.get("tools") else 20, 0, 0.002


async def complete(request: web.Request) -> web.StreamResponse:
    body = orjson.loads(await request.read())
    count, delay, gap = wanted(body)
    if body.get("stream"):
        return await stream(request, count, delay, gap)
    message: dict[str, Any] = {"role": "assistant", "content": " word" * (count or 0)}
    if count is None:
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if count else "tool_calls"}
    answer = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def stream(request: web.Request, count: int | None, delay: float, gap: float) -> web.StreamResponse:
    asked = f"r{time.monotonic_ns():016}"
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.sleep(delay)
    if count is None:
        await response.write(event({"tool_calls": [{**CALL, "index": 0}]}) + event({}, "tool_calls"))
    else:
        for number in range(count):  # LiteLLM takes the same text a hundred times over for a fault
            written = f" t{time.monotonic_ns():016}"
            await response.write(event({"content": written if number else asked + written}))
            await asyncio.sleep(gap)
        await response.write(event({}, "stop"))
    await response.write(b"data: [DONE]\n\n")
    return response


async def health(_: web.Request) -> web.Response:
    return web.Response()


if __name__ == "__main__":
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/health", health)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
