"""A model that answers from a script, for tests of agents and of whatever talks to a model."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import orjson
from attrs import define, field

from adiuva.llm.protocol import ModelCall, ModelTurn, OnText, ToolCall, Usage

Answer = str | ModelTurn | BaseException | Callable[[ModelCall], "Answer"]
_WORDS = re.compile(r"\S+\s*|\s+")
_USAGE = Usage(prompt_tokens=11, completion_tokens=5)


def turn(*tool_calls: ToolCall, text: str = "") -> ModelTurn:
    """A turn that wishes to run tools."""
    return ModelTurn(text=text, tool_calls=tool_calls, usage=_USAGE)


def calling(name: str, /, **arguments: Any) -> ToolCall:
    """A wish to run a tool with these arguments."""
    return ToolCall(id=f"call_{name}", name=name, arguments=orjson.dumps(arguments).decode())


@define
class Listener:
    """Gathers the text that a model passes on: give it as ``on_text``."""

    pieces: list[str] = field(factory=list, init=False)
    heard: asyncio.Event = field(factory=asyncio.Event, init=False)  # set with the first piece

    async def __call__(self, text: str) -> None:
        self.pieces.append(text)
        self.heard.set()

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.pieces)


def _queue(answers: Iterable[Answer]) -> deque[Answer]:
    return deque(answers)


@define
class ScriptedModel:
    """Gives one answer of ``script`` a call: a text, a turn, an exception to raise, or a function that gives one.

    A text is streamed word by word. ``calls`` holds what was asked. A call too many is an ``AssertionError``.
    """

    script: deque[Answer] = field(converter=_queue, factory=deque)
    calls: list[ModelCall] = field(factory=list, init=False)

    def add(self, answers: Iterable[Answer]) -> None:
        """Lengthen the script."""
        self.script.extend(answers)

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        """Answer with the next of the script."""
        self.calls.append(call)
        assert self.script, "the model was called more often than its script says"
        answer = self.script.popleft()
        while callable(answer):
            answer = answer(call)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, str):
            answer = ModelTurn(text=answer, usage=_USAGE)
        if on_text is not None:
            for word in _WORDS.findall(answer.text):
                await on_text(word)
        return attrs.evolve(answer, model=answer.model or call.model)
