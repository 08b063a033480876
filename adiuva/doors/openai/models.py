"""What OpenAI's clients send, as far as it has a meaning here; all other fields are ignored."""

from typing import Any, Literal

import attrs
from attrs import field, frozen

from adiuva.chat.models import CONTEXT_SCHEMA, check_context
from adiuva.web.wire import Described, Length, Range


def _readable(_: object, attribute: "attrs.Attribute[Any]", value: dict[str, Any]) -> None:
    check_context(attribute.name, value)


@frozen(kw_only=True)
class Part:
    """A part of a message; only text is taken."""

    type: Literal["text"]
    text: str = field(repr=False)


@frozen(kw_only=True)
class CalledFunction:
    """An action, as the client was given it."""

    name: str
    arguments: str = field(repr=False)


@frozen(kw_only=True)
class Call:
    """A tool call of an earlier answer."""

    id: str
    function: CalledFunction


@frozen(kw_only=True)
class CompletionMessage:
    """One message of the conversation. What a ``system`` or ``developer`` says counts as said by the user."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = field(default=None, repr=False)
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content, its parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


@frozen(kw_only=True)
class StreamOptions:
    """How a stream is wanted."""

    include_usage: bool | None = None


@frozen(kw_only=True)
class CompletionRequest:
    """A chat completion; ``context`` is Adiuva's own field, what the agents may see of the user's data."""

    model: str
    messages: list[CompletionMessage] = field(repr=False, validator=Length(1, 1000))
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = field(default=None, validator=Range(1, 1))
    context: dict[str, Any] = field(factory=dict, repr=False, validator=Described(_readable, CONTEXT_SCHEMA))


@frozen(kw_only=True)
class ModelObject:
    """An agent, as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "adiuva"


@frozen(kw_only=True)
class ModelList:
    """The agents that the user may talk to, as models."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
