"""The frames of ``WS /chat/stream``, each one JSON object. docs/websocket.md is made of these classes."""

from typing import Any, Final, Literal

from attrs import field, frozen

from adiuva.chat.messages import ProducedAction
from adiuva.chat.models import ChatRequest
from adiuva.chat.plans.models import ExecutionPlan
from adiuva.llm.protocol import Usage


@frozen(kw_only=True)
class Cancel:
    """Stop the request that runs, model call included."""

    type: Literal["cancel"] = "cancel"


@frozen(kw_only=True)
class ToolResult:
    """The answer to a `tool_call`: either `result` or `error`."""

    type: Literal["tool_result"] = "tool_result"
    id: str
    result: Any = field(default=None, repr=False)
    error: Any = field(default=None, repr=False)


@frozen(kw_only=True)
class Chunk:
    """Text of the response, as the model produces it."""

    type: Literal["chunk"] = "chunk"
    text: str = field(repr=False)


@frozen(kw_only=True)
class ActionFrame:
    """An action, as soon as a tool has produced it."""

    type: Literal["action"] = "action"
    action: ProducedAction


@frozen(kw_only=True)
class ToolCallFrame:
    """The client is to run a read tool on its own data, and to send a `tool_result` with this id within 30 s."""

    type: Literal["tool_call"] = "tool_call"
    id: str
    action: str
    params: dict[str, Any] = field(repr=False)


@frozen(kw_only=True)
class Done:
    """The request is answered; `response` is all chunks, joined."""

    type: Literal["done"] = "done"
    done: Literal[True] = True
    response: str = field(repr=False)
    actions: tuple[ProducedAction, ...]
    usage: Usage


@frozen(kw_only=True)
class PlanDone:
    """The request is answered, in plan mode."""

    type: Literal["done"] = "done"
    done: Literal[True] = True
    plan: ExecutionPlan
    usage: Usage


@frozen(kw_only=True)
class Failed:
    """The request has ended with an error; the socket stays open. `code` is that of the same problem over HTTP."""

    type: Literal["error"] = "error"
    code: str
    message: str


@frozen(kw_only=True)
class Cancelled:
    """The request has ended because the client cancelled it."""

    type: Literal["cancelled"] = "cancelled"


CLIENT_FRAMES: Final = (ChatRequest, Cancel, ToolResult)
SERVER_FRAMES: Final = (Chunk, ActionFrame, ToolCallFrame, Done, PlanDone, Failed, Cancelled)
