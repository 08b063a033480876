"""What the rest of Adiuva knows of a language model: a call, a turn, and the text in between.

The shapes follow OpenAI's chat completions, which every lane speaks or translates to.
"""

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Literal, Protocol

import orjson
from attrs import field, frozen

Role = Literal["system", "user", "assistant", "tool"]
OnText = Callable[[str], Awaitable[None]]
"""Called with each piece of text as the model sends it; awaiting it is the model's back-pressure."""


@frozen(kw_only=True)
class ToolCall:
    """A model's wish to run a tool. ``arguments`` is what the model wrote: JSON if all is well, and not checked."""

    id: str
    name: str
    arguments: str = field(repr=False)


@frozen(kw_only=True)
class Message:
    """One message of the conversation that is sent to a model."""

    role: Role
    content: str = field(default="", repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None  # role "tool": which call this answers


@frozen(kw_only=True)
class ToolSpec:
    """A tool as a model sees it; ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any] = field(repr=False)

    @property
    def wire(self) -> dict[str, Any]:
        """As OpenAI's wire has it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    @cached_property
    def json(self) -> orjson.Fragment:
        """``wire`` as JSON, which is written once: an agent sends the same tools with each call."""
        return orjson.Fragment(orjson.dumps(self.wire))


@frozen(kw_only=True)
class Usage:
    """Tokens, as the provider counted them; zero where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """The sum of both."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@frozen(kw_only=True)
class ModelCall:
    """One call of a model.

    ``model`` is a LiteLLM name (``openai/gpt-4o``); ``max_tokens`` None is the provider's own limit.
    """

    model: str
    messages: tuple[Message, ...] = field(repr=False)
    tools: tuple[ToolSpec, ...] = ()
    temperature: float = 0.0
    max_tokens: int | None = None


@frozen(kw_only=True)
class ModelTurn:
    """What a model answered: text, wishes to run tools, or both."""

    text: str = field(default="", repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    model: str = ""  # the one that answered, which a fallback makes differ from the one asked for


class Model(Protocol):
    """Anything that answers model calls: the gateway, a lane of it, the offline stand-in, a scripted model in tests."""

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        """Answer ``call``. With ``on_text`` it is streamed: each delta of text as the model sends it, never re-cut.

        Cancelling the awaiting task closes the connection to the provider before the cancellation goes on.

        Raises:
            LlmNotConfiguredError: no model, or no key for it.
            LlmTimeoutError: the provider was silent for longer than ``LLM_TIMEOUT_SECONDS``.
            LlmUnavailableError: anything else that the provider did not answer, after retries and fallbacks; also a
                stream that breaks off after text was passed on.
        """
        ...
