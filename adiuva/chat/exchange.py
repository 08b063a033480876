"""One request on a socket: its events become frames, and the client's answers to tool calls find their way back."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from adiuva.chat.frames import ActionFrame, ToolCallFrame
from adiuva.chat.messages import MAX_RESULT_BYTES, ActionProduced, ChatJob, TextProduced, ToolCallRequested
from adiuva.chat.outgoing import Outgoing, clean_result
from adiuva.chat.service import Chat, session_result, wire_result
from adiuva.runtime import Session
from adiuva.web import wire
from adiuva.web.access import Principal


class Exchange:
    """Runs once. A cancel may come at any time, before it runs and after it has ended included."""

    def __init__(self, chat: Chat, send: Callable[[bytes], Awaitable[None]]) -> None:
        """``send`` sends one frame."""
        self._chat = chat
        self._send = send
        self._outgoing = Outgoing(chat.sanitizer)
        self._session: Session | None = None
        self._open_calls: set[str] = set()  # tool calls that the client has yet to answer
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the client has taken the request back."""
        return self._cancelled

    async def run(self, job: ChatJob, principal: Principal) -> dict[str, Any]:
        """Send the events of ``job``; gives the frame that is to end it, if it was not cancelled meanwhile."""
        try:
            return await self._run(job, principal)
        finally:
            self._outgoing.end()  # reports what was taken out, of an answer that broke off too
            self._chat.observers.tell(principal, job.context, self._outgoing.actions)

    async def _run(self, job: ChatJob, principal: Principal) -> dict[str, Any]:
        async with self._chat.session(job, principal) as session:
            self._session = session
            if self._cancelled:
                return {}
            async for event in session:
                await self._pass_on(event)
            result = session_result(session)
        if result.plan is not None:
            return {"type": "done", "done": True, **wire_result(clean_result(self._chat.sanitizer, result))}
        await self._send_text(self._outgoing.end())
        out = self._outgoing
        return {"type": "done", "done": True, "response": out.response, "actions": out.actions, "usage": result.usage}

    async def cancel(self) -> None:
        """Stop the work; returns once it has ended."""
        self._cancelled = True
        if self._session is not None:
            await self._session.cancel()

    def deliver(self, frame: dict[str, Any]) -> None:
        """Hand the client's answer to a tool call on; one that nobody waits for, or no longer, is dropped."""
        if frame["id"] not in self._open_calls or self._session is None:
            return
        self._open_calls.discard(frame["id"])
        if fault := _fault_of(frame):
            frame = {"id": frame["id"], "error": fault}
        self._session.send(frame)

    async def _pass_on(self, event: object) -> None:
        match event:
            case TextProduced(text=text):
                await self._send_text(self._outgoing.text(text))
            case ActionProduced(action=action):
                await self._send(wire.dump(ActionFrame(action=self._outgoing.action(action))))
            case ToolCallRequested(id=call_id, action=name, params=params):
                self._open_calls.add(call_id)
                clean = self._outgoing.params(params)
                await self._send(wire.dump(ToolCallFrame(id=call_id, action=name, params=clean)))

    async def _send_text(self, text: str) -> None:
        if text:
            await self._send(b'{"type":"chunk","text":' + orjson.dumps(text) + b"}")


def _fault_of(frame: dict[str, Any]) -> str:
    """What keeps a tool's result from being passed on; empty where nothing does."""
    try:
        size = len(wire.dump_free(frame))
    except TypeError:
        return "the result is nested too deeply"
    return f"the result is over {MAX_RESULT_BYTES} bytes" if size > MAX_RESULT_BYTES else ""
