"""A lane carries calls to providers; the gateway does all that is the same for every lane around it."""

from collections.abc import AsyncGenerator
from typing import ClassVar, Protocol

from attrs import define, field, frozen

from adiuva.clock import new_id
from adiuva.llm.protocol import ModelCall, ModelTurn, ToolCall, Usage


@frozen(kw_only=True)
class ToolFragment:
    """A piece of a tool call, as it is streamed: id and name come once, the arguments in pieces."""

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = field(default="", repr=False)


@frozen(kw_only=True)
class Delta:
    """What a model sent at once. ``finished`` once the provider has said that the answer is whole."""

    text: str = field(default="", repr=False)
    tools: tuple[ToolFragment, ...] = ()
    usage: Usage | None = None
    finished: bool = False


class Lane(Protocol):
    """One way to providers: a single attempt, no retry, no timeout. Any failure is a ``ProviderFault``."""

    name: ClassVar[str]
    """What it is called in ``LLM_LANE``."""

    async def start(self) -> None:
        """Get ready (import, open a session), as often as it is called; the time this takes counts against no call."""

    def stream(self, call: ModelCall) -> AsyncGenerator[Delta, None]:
        """Answer in deltas. Closing the generator, or cancelling the task in it, closes the connection first."""

    async def complete(self, call: ModelCall) -> Delta:
        """Answer at once. Cancelling the task closes the connection first."""

    async def close(self) -> None:
        """Let go of idle connections."""


@define(kw_only=True)
class TurnBuilder:
    """Puts the deltas of one answer together."""

    model: str
    usage: Usage = field(factory=Usage)
    finished: bool = False
    _texts: list[str] = field(factory=list, repr=False)
    _calls: list["_OpenCall"] = field(factory=list, repr=False)

    def add(self, delta: Delta) -> None:
        if delta.text:
            self._texts.append(delta.text)
        for fragment in delta.tools:
            self._open(fragment).add(fragment)
        if delta.usage is not None:
            self.usage = delta.usage
        self.finished = self.finished or delta.finished

    def turn(self) -> ModelTurn:
        return ModelTurn(
            text="".join(self._texts),
            tool_calls=tuple(call.whole() for call in self._calls if call.name),
            usage=self.usage,
            model=self.model,
        )

    def _open(self, fragment: ToolFragment) -> "_OpenCall":
        for call in reversed(self._calls):
            # Some endpoints number every call 0: an id of its own tells a new call.
            if call.index == fragment.index and (not fragment.id or fragment.id == call.id):
                return call
        call = _OpenCall(index=fragment.index, id=fragment.id)
        self._calls.append(call)
        return call


@define(kw_only=True)
class _OpenCall:
    index: int
    id: str
    name: str = ""
    _pieces: list[str] = field(factory=list, repr=False)

    def add(self, fragment: ToolFragment) -> None:
        self.name = self.name or fragment.name  # some endpoints repeat it with every piece
        self._pieces.append(fragment.arguments)

    def whole(self) -> ToolCall:
        arguments = "".join(self._pieces)
        return ToolCall(id=self.id or f"call_{new_id().hex}", name=self.name, arguments=arguments or "{}")
