"""An OpenAI-compatible model that answers at once: ``python benchmarks/fake_model.py PORT``.

Asked with tools, it calls ``create_task`` once, then says 20 tokens; ``stream N`` gets N tokens, each in an event of
its own.
"""

import asyncio
import re
import sys
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


def tokens_wanted(body: dict[str, Any]) -> int | None:
    """How many tokens are wanted; None: a tool call is due first."""
    last = body["messages"][-1]
    if last["role"] == "user" and (wanted := re.search(r"stream (\d+)", last["content"])):
        return int(wanted[1])
    return None if last["role"] == "user" and body.get("tools") else 20


async def complete(request: web.Request) -> web.StreamResponse:
    body = orjson.loads(await request.read())
    count = tokens_wanted(body)
    if body.get("stream"):
        return await stream(request, count)
    message: dict[str, Any] = {"role": "assistant", "content": " word" * (count or 0)}
    if count is None:
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if count else "tool_calls"}
    answer = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def stream(request: web.Request, count: int | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if count is None:
        await response.write(event({"tool_calls": [{**CALL, "index": 0}]}) + event({}, "tool_calls"))
    else:
        for number in range(count):  # LiteLLM takes the same text a hundred times over for a fault
            await response.write(event({"content": f" w{number}"}))
            await asyncio.sleep(0.002)
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
