"""The tool loop: a model turn, its tools in parallel, the next turn, until the model has nothing left to run."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from attrs import define, field

from adiuva import clock
from adiuva.chat.client_tools import ClientTools
from adiuva.chat.messages import MAX_RESULT_BYTES, ProducedAction, ToolOutcome
from adiuva.chat.rights import Rights, permission_of
from adiuva.errors import LlmUnavailableError
from adiuva.llm.protocol import Message, Model, ModelCall, ModelTurn, OnText, ToolCall, ToolSpec, Usage
from adiuva.sdk import Action, Agent, Context, Tool, ToolArgumentsError, ToolError
from adiuva.sdk.actions import to_json
from adiuva.web import wire

log = structlog.get_logger(__name__)

MAX_TURNS = 5
MAX_RESPONSE_CHARACTERS = 1024 * 1024  # several times what models give at most
MAX_ERROR_CHARACTERS = 16 * 1024  # of what a tool says of its fault
BETWEEN_TURNS = "\n\n"
GAVE_UP = f"I stopped here: this took more than {MAX_TURNS} steps."


@define(kw_only=True)
class ToolLoop:
    """One run of an agent over one message.

    ``on_text`` is None where the answer is wanted whole; ``on_action`` is awaited for each action as soon as its tool
    has produced it. `run` raises what the model raises; a tool's fault goes to the model as that call's result.
    """

    agent: Agent
    tools: Mapping[str, Tool]
    specs: tuple[ToolSpec, ...]  # the tools as the model sees them
    rights: Rights
    refused: Counter[str] = field(factory=Counter)  # what was beyond the rights, by tool
    context: Context
    model: Model
    model_name: str
    on_text: OnText | None
    on_action: Callable[[ProducedAction], Awaitable[None]]
    clean: Callable[[Any], Any]  # takes prompts out of what a tool is called with, which may send it anywhere
    client: ClientTools | None = None  # who runs the tools that are for the client; None: this server does
    done_before: Sequence[Mapping[str, Any]] = ()  # actions of the agents before, which are not done again
    messages: list[Message]
    texts: list[str] = field(factory=list)
    length: int = 0  # of all texts
    actions: list[ProducedAction] = field(factory=list)
    usage: Usage = field(factory=Usage)

    async def run(self) -> str:
        """Run to the end; gives the response text, which is all that was passed to ``on_text``."""
        for _ in range(MAX_TURNS):
            turn = await self._step()
            if not turn.tool_calls:
                break
            self.messages.append(Message(role="assistant", content=turn.text, tool_calls=turn.tool_calls))
            self.messages.extend(await self._run_tools(turn.tool_calls))
        else:
            await self._say(GAVE_UP)
        return "".join(self.texts)

    async def _step(self) -> ModelTurn:
        call = ModelCall(model=self.model_name, messages=tuple(self.messages), tools=self.specs)
        if self.on_text is None:
            turn = await self.model.run(call)
            if turn.text:
                await self._say(turn.text)
        else:
            turn = await self.model.run(call, self._streamer())
        self.usage += turn.usage
        return turn

    def _streamer(self) -> OnText:
        """Passes text on; the first of a turn that follows other text is set apart from it."""
        append, pass_on = self.texts.append, self.on_text
        started = not self.texts

        async def on_text(text: str) -> None:
            nonlocal started
            if not started:
                started = True
                text = BETWEEN_TURNS + text
            self.length += len(text)
            if self.length > MAX_RESPONSE_CHARACTERS:
                raise LlmUnavailableError("The model does not come to an end with its answer.")
            append(text)
            if pass_on is not None:
                await pass_on(text)

        return on_text

    async def _say(self, text: str) -> None:
        await self._streamer()(text)

    async def _run_tools(self, calls: tuple[ToolCall, ...]) -> list[Message]:
        if len(calls) == 1:
            return [await self._run_tool(calls[0])]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run_tool(call)) for call in calls]
        return [task.result() for task in tasks]

    async def _run_tool(self, call: ToolCall) -> Message:
        outcome = await self.run_tool(call)
        content = _encode({"error": outcome.value}).decode() if outcome.failed else outcome.value
        return Message(role="tool", content=content, tool_call_id=call.id)

    async def run_tool(self, call: ToolCall) -> ToolOutcome:
        """Run one call; its value is JSON text. Every call has exactly one outcome, whatever happens in the tool."""
        try:
            return ToolOutcome(value=await self._result(call), failed=False)
        except ToolError as error:
            return ToolOutcome(value=_readable(str(error)), failed=True)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _cancelled():
                raise
            # What the exception says may hold the user's data.
            log.warning("tool failed", agent=self.agent.name, tool=call.name, error=type(error).__name__)
            return ToolOutcome(value="The tool failed.", failed=True)

    async def _result(self, call: ToolCall) -> str:
        tool = self.tools.get(call.name)
        if tool is None:
            msg = f"There is no tool {call.name!r}. There are: {', '.join(self.tools)}."
            raise ToolError(msg)
        try:
            arguments = orjson.loads(call.arguments or "{}")
        except orjson.JSONDecodeError as error:
            msg = f"The arguments are not JSON: {error.msg}."
            raise ToolArgumentsError(msg) from error
        if not isinstance(arguments, dict):
            msg = "The arguments are not a JSON object."
            raise ToolArgumentsError(msg)
        _require_shallow(arguments)
        if self.client is not None and tool.for_client:
            value = await self.client.call(tool, arguments)
        else:
            value = await tool.call(self.agent, self.context, self.clean(arguments))
        if isinstance(value, Action):
            if not self.rights.allow(tool, value):
                self.refused[tool.name] += 1
                log.warning(
                    "action refused",  # whose own name is the plugin's text, and may hold anything
                    agent=self.agent.name,
                    tool=tool.name,
                    needs=permission_of(value.name, writes=True),
                    count=self.refused[tool.name],
                )
                raise ToolError("This action is not permitted.")
            return _encode(await self._produce(value)).decode()
        encoded = _encode(value)
        if len(encoded) > MAX_RESULT_BYTES:
            msg = "The result is too large: ask for less."
            raise ToolError(msg)
        return encoded.decode()

    async def _produce(self, action: Action) -> dict[str, Any]:
        """Hand the action on; what the model is told of it."""
        done = {"action": action.name, "params": orjson.loads(_encode(action.params))}
        if done in self.done_before:
            return {"ok": True, "note": "An earlier agent has done exactly this; it was not done again.", **done}
        produced = ProducedAction(
            id=clock.new_id(),
            action=action.name,
            params=done["params"],  # by now proven to be JSON
            requires_confirmation=action.requires_confirmation,
        )
        self.actions.append(produced)
        await self.on_action(produced)
        return {"ok": True, **done}


def _readable(text: str) -> str:
    """What an author's code says of a fault, as it can be sent: no longer than a model needs, and in UTF-8."""
    return text[:MAX_ERROR_CHARACTERS].encode(errors="replace").decode()


def _cancelled() -> bool:
    """Whether it is this task that is cancelled, and not something that a tool has cancelled itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def specs_of(tools: Mapping[str, Tool]) -> tuple[ToolSpec, ...]:
    """Tools as a model sees them."""
    return tuple(
        ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in tools.values()
    )


def _require_shallow(arguments: dict[str, Any]) -> None:
    try:
        wire.dump_free(arguments)
    except TypeError:
        raise ToolArgumentsError("The arguments are nested too deeply.") from None


def _encode(value: object) -> bytes:
    return wire.dump_free(value, to_json)
