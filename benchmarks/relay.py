"""The least that a chat server can do: ``python benchmarks/relay.py PORT MODEL_URL``.

Bare aiohttp on uvloop: a tool call and a second model call for ``POST /chat``, and a socket that passes tokens on. No
login, no checks, no schema, no actors.
"""

import sys
from collections.abc import AsyncIterator

import aiohttp
import orjson
import uvloop
from aiohttp import web

HTTP = web.AppKey("http", aiohttp.ClientSession)
MODEL_URL = sys.argv[2] if len(sys.argv) > 2 else ""
TOOLS = [{"type": "function", "function": {"name": "create_task", "parameters": {"type": "object"}}}]


async def chat(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    messages = [{"role": "user", "content": body["message"]}]
    while True:
        data = orjson.dumps({"model": "fake", "messages": messages, "tools": TOOLS})
        async with request.app[HTTP].post(f"{MODEL_URL}/chat/completions", data=data) as answer:
            message = orjson.loads(await answer.read())["choices"][0]["message"]
        if not message.get("tool_calls"):
            return web.Response(body=orjson.dumps({"response": message["content"]}), content_type="application/json")
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in message["tool_calls"]]


async def stream(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for frame in socket:
        message = orjson.loads(frame.data)["message"]
        data = orjson.dumps({"model": "fake", "stream": True, "messages": [{"role": "user", "content": message}]})
        async with request.app[HTTP].post(f"{MODEL_URL}/chat/completions", data=data) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    text = orjson.loads(line[6:])["choices"][0]["delta"].get("content")
                    if text:
                        await socket.send_str(orjson.dumps({"type": "chunk", "text": text}).decode())
        await socket.send_str('{"type":"done"}')
    return socket


async def health(_: web.Request) -> web.Response:
    return web.Response()


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app[HTTP]:
        yield


if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post("/api/v1/chat", chat)
    app.router.add_get("/api/v1/chat/stream", stream)
    app.router.add_get("/api/v1/health", health)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
