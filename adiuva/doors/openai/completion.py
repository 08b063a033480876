"""An answer of the chat as OpenAI's clients read it, whole or streamed."""

import time
from typing import Any

import orjson
from attrs import field, frozen

from adiuva import clock
from adiuva.chat.messages import ActionProduced, ChatJob, ChatResult, ProducedAction, TextProduced
from adiuva.chat.outgoing import Outgoing
from adiuva.chat.service import Chat, session_result
from adiuva.doors.openai.errors import error_body
from adiuva.llm.protocol import Usage
from adiuva.web.access import Principal
from adiuva.web.events import EventStream
from adiuva.web.problems import foreseen


@frozen(kw_only=True)
class Head:
    """What all parts of one answer begin with."""

    model: str
    id: str = field(factory=lambda: f"chatcmpl-{clock.new_id().hex}")
    created: int = field(factory=lambda: int(time.time()))

    def part(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """An object of OpenAI's of that ``kind``."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def completion(head: Head, result: ChatResult) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": result.response or None, "refusal": None}
    if result.actions:
        message["tool_calls"] = [_tool_call(action) for action in result.actions]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(len(result.actions))}
    return head.part("chat.completion", [choice], usage=_usage(result.usage))


@frozen(kw_only=True)
class CompletionStream:
    """Sends one answer as server-sent events, each a piece of text or an action as soon as there is one."""

    head: Head
    chat: Chat
    events: EventStream
    include_usage: bool

    async def run(self, job: ChatJob, principal: Principal) -> None:
        """Send the answer to ``job``; once something was sent, a fault is an event of its own, and the last one.

        Raises:
            AdiuvaError: nothing was sent, and there is no answer.
        """
        try:
            await self._run(job, principal)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told in its own terms
            known = foreseen(error)
            self.chat.clean_error(known)
            if not self.events.begun:
                raise known from None
            await self.events.send(orjson.dumps(error_body(known)))

    async def _run(self, job: ChatJob, principal: Principal) -> None:
        outgoing = Outgoing(self.chat.sanitizer)
        try:
            async with self.chat.session(job, principal) as session:
                async for event in session:
                    await self._pass_on(event, outgoing)
                result: ChatResult = session_result(session)
            if text := outgoing.end():
                await self._send({"content": text})
        finally:
            outgoing.end()  # reports what was taken out, of an answer that broke off too
            self.chat.observers.tell(principal, job.context, outgoing.actions)
        await self._send({}, finish=_finish(len(outgoing.actions)))
        if self.include_usage:
            await self.events.send(self._chunk([], usage=_usage(result.usage)))
        await self.events.send(b"[DONE]")

    async def _pass_on(self, event: object, outgoing: Outgoing) -> None:
        match event:
            case TextProduced(text=piece):
                if text := outgoing.text(piece):
                    await self._send({"content": text})
            case ActionProduced(action=action):
                index = len(outgoing.actions)
                await self._send({"tool_calls": [{"index": index, **_tool_call(outgoing.action(action))}]})

    async def _send(self, delta: dict[str, Any], finish: str | None = None) -> None:
        if not self.events.begun:
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self.events.send(self._chunk([choice], **({"usage": None} if self.include_usage else {})))

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return orjson.dumps(self.head.part("chat.completion.chunk", choices, **more))


def _tool_call(action: ProducedAction) -> dict[str, Any]:
    function = {"name": action.action, "arguments": orjson.dumps(action.params).decode()}
    confirm = {"requires_confirmation": True} if action.requires_confirmation else {}
    return {"id": str(action.id), "type": "function", "function": function, **confirm}


def _finish(actions: int) -> str:
    return "tool_calls" if actions else "stop"


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
