"""What the chat's actors say to each other. Data only: no callbacks, no sockets, so that any transport can carry it."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from attrs import field, frozen

from adiuva.chat.plans.models import ExecutionPlan
from adiuva.llm.protocol import ToolCall, Usage


@frozen(kw_only=True)
class HistoryEntry:
    """One earlier message of the conversation; ``role`` is user or assistant."""

    role: Literal["user", "assistant"]
    content: str = field(repr=False)


@frozen(kw_only=True)
class ProducedAction:
    """An action that the app is to apply, as the wire shows it."""

    id: UUID
    action: str
    params: dict[str, Any] = field(repr=False)
    requires_confirmation: bool


@frozen(kw_only=True)
class ChatJob:
    """Asks the orchestrator. ``agents`` empty: it chooses among ``open_agents``, all that this user may use."""

    message: str = field(repr=False)
    agents: tuple[str, ...] = ()
    open_agents: tuple[str, ...]
    context: dict[str, Any] = field(repr=False)
    history: tuple[HistoryEntry, ...] = field(default=(), repr=False)
    previous_results: tuple[dict[str, Any], ...] = field(default=(), repr=False)  # of what ran before this job
    model: str
    router_model: str
    grants: Mapping[str, frozenset[str]] = field(factory=dict)  # by plugin: the permissions that its agents have here
    stream: bool = False  # whether text is wanted as it comes
    plan: bool = False  # whether a plan is wanted in place of an answer
    client_tools: bool = False  # whether the client runs read tools on its own data
    call: ToolCall | None = None  # of the one agent in ``agents``: it is run, and no model is asked


@frozen(kw_only=True)
class AgentJob:
    """Asks one agent.

    In a pipeline ``previous_results`` are the answers of the agents before it, and ``shared_memory`` is what these have
    left each other, by the id of their plugin; None is the operator's own.
    """

    message: str = field(repr=False)
    context: dict[str, Any] = field(repr=False)
    history: tuple[HistoryEntry, ...] = field(default=(), repr=False)
    previous_results: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    shared_memory: dict[str | None, dict[str, Any]] = field(factory=dict, repr=False)
    model: str
    grants: Mapping[str, frozenset[str]] = field(factory=dict)
    stream: bool = False
    client_tools: bool = False
    call: ToolCall | None = None  # run this, and ask no model


MAX_RESULT_BYTES: Final = 256 * 1024
"""Of a tool's result as JSON, wherever the tool runs."""


@frozen(kw_only=True)
class ToolOutcome:
    """What came of a tool call: JSON data, or, where it ``failed``, a text that says why."""

    value: Any = field(repr=False)
    failed: bool


@frozen(kw_only=True)
class ChatResult:
    """The answer to a `ChatJob` or an `AgentJob`."""

    response: str = field(repr=False)
    actions: tuple[ProducedAction, ...] = ()
    usage: Usage = field(factory=Usage)
    plan: ExecutionPlan | None = None  # in place of response and actions, where the job wants a plan
    shared_memory: dict[str | None, dict[str, Any]] = field(factory=dict, repr=False)  # as that of `AgentJob`
    outcome: ToolOutcome | None = None  # where the job was a call


@frozen(kw_only=True)
class ChatResponse:
    """An answer as the wire shows it."""

    response: str = field(repr=False)
    actions: tuple[ProducedAction, ...]
    usage: Usage


@frozen(kw_only=True)
class TextProduced:
    """Event: a piece of the response, as the model sent it."""

    text: str = field(repr=False)


@frozen(kw_only=True)
class ActionProduced:
    """Event: a tool has produced an action."""

    action: ProducedAction


@frozen(kw_only=True)
class ToolCallRequested:
    """Event: the client is to run a read tool, and to send its result with this id."""

    id: str
    action: str
    params: dict[str, Any] = field(repr=False)
