"""A Slack in the test process: incoming webhooks, as https://docs.slack.dev/messaging has them."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from attrs import define, field, frozen

from adiuva.testing.listening import Listening

PATH = "/services/T0000/B0000/for-tests"


@frozen
class Trouble:
    """An answer in place of ``200 ok``; without a status the connection is broken off."""

    status: int | None
    text: str = ""
    headers: Mapping[str, str] = field(factory=dict)


@define(kw_only=True)
class SlackDouble(Listening):
    """``async with SlackDouble() as slack``: takes messages at ``slack.webhook_url``, after all ``trouble`` in turn."""

    trouble: deque[Trouble] = field(factory=deque)
    gate: asyncio.Event | None = None  # waited for before any answer
    messages: list[str] = field(factory=list, init=False)  # that were taken
    asked: int = field(default=0, init=False)
    _changed: asyncio.Condition = field(factory=asyncio.Condition, init=False)

    @property
    def webhook_url(self) -> str:
        """What the setting ``webhook_url`` is set to."""
        return self.address + PATH

    async def wait_asked(self, count: int) -> None:
        """Wait until so many requests have been answered, or wait at the gate."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.asked >= count)

    async def wait_messages(self, count: int) -> None:
        """Wait until so many messages have been taken."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.messages) >= count)

    def make_app(self) -> web.Application:
        """The webhooks."""
        app = web.Application()
        app.router.add_post("/services/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        async with self._changed:
            self.asked += 1
            self._changed.notify_all()
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble:
            trouble = self.trouble.popleft()
            if trouble.status is None:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=trouble.status or 500, text=trouble.text, headers=trouble.headers)
        if request.path != PATH:
            return web.Response(status=404, text="no_service")
        return await self._keep(content, request.content_type)

    async def _keep(self, content: bytes, content_type: str) -> web.Response:
        try:
            body: Any = orjson.loads(content)
        except orjson.JSONDecodeError:
            body = None
        if content_type != "application/json" or not isinstance(body, dict):
            return web.Response(status=400, text="invalid_payload")
        text = body.get("text")
        if not isinstance(text, str) or not text or len(text) > 40_000:
            return web.Response(status=400, text="no_text" if not text else "msg_too_long")
        async with self._changed:
            self.messages.append(text)
            self._changed.notify_all()
        return web.Response(text="ok")
