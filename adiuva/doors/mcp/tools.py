"""The agents' tools as MCP shows them, and their calls."""

from typing import Any, Final

import orjson
from attrs import frozen

from adiuva import clock
from adiuva.chat.messages import ChatJob
from adiuva.chat.models import check_context
from adiuva.chat.service import Chat
from adiuva.doors.mcp.jsonrpc import INVALID_PARAMS, RpcError
from adiuva.errors import AdiuvaError, NotFoundError, TierRequiredError
from adiuva.llm.protocol import ToolCall
from adiuva.sdk import Tool
from adiuva.sdk.convert import MismatchError
from adiuva.web import wire
from adiuva.web.access import Principal

SEPARATOR: Final = "-"  # agents' and tools' names have none
CONTEXT: Final = "context"
CONTEXT_KEY: Final = "adiuva/context"  # in _meta: for clients that pass the data without their model
DESCRIPTION: Final = (
    "The user's own data that the tool works on, which the server does not keep: lists of objects such as tasks,"
    " projects, notes and checkpoints; now (RFC 3339) and timezone (IANA)."
)
INSTRUCTIONS: Final = (
    "Tools of Adiuva's agents. They work on the data passed as context. A tool that changes something changes nothing"
    " by itself: it gives an action, which the caller is to apply to its own data; ask the user first where it says so."
)


@frozen(kw_only=True)
class Tools:
    """What one user has of the tools."""

    chat: Chat
    principal: Principal

    def listed(self) -> list[dict[str, Any]]:
        """All tools of all agents that are open to the user, each under ``AGENT-TOOL``."""
        return [
            _shown(agent, tool)
            for agent in self.chat.open_agents(self.principal)
            for tool in self.chat.tools_of(self.principal, agent).values()
        ]

    async def call(self, params: dict[str, Any]) -> dict[str, Any]:
        """Call a tool, and give what came of it; a fault of the tool is a result too.

        Raises:
            RpcError: there is no such tool for the user, or the parameters are malformed.
            AdiuvaError: the server is overloaded, or stops.
        """
        name, arguments = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "A call has a name, and arguments that are an object.")
        agent, tool = self._find(name)
        given = _context_name(tool)
        context = _context(params.get("_meta"), arguments.get(given, {}))
        rest = {key: value for key, value in arguments.items() if key != given}
        return await self._run(agent, tool, rest, context)

    def _find(self, name: str) -> tuple[str, Tool]:
        agent, _, tool_name = name.partition(SEPARATOR)
        try:
            self.chat.require(self.principal, agent)
        except (NotFoundError, TierRequiredError) as error:
            raise RpcError(INVALID_PARAMS, f"There is no tool {name!r}: {error.message}") from None
        tool = self.chat.tools_of(self.principal, agent).get(tool_name)
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"There is no tool {name!r}; see tools/list.")
        return agent, tool

    async def _run(self, agent: str, tool: Tool, arguments: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        call = ToolCall(id=clock.new_id().hex, name=tool.name, arguments=_encoded(arguments))
        job = ChatJob(
            message="",
            agents=(agent,),
            open_agents=(),
            context=context,
            model="",
            router_model="",
            grants=self.principal.plugins,
            call=call,
        )
        result = await self.chat.answer(job, self.principal)
        if result.outcome is None:
            raise AdiuvaError
        if result.outcome.failed:
            return _result(result.outcome.value, failed=True)
        if result.actions:
            return _result({"action": wire.load(wire.dump(result.actions[0]))})
        return _result({"result": result.outcome.value})


def _shown(agent: str, tool: Tool) -> dict[str, Any]:
    schema = {**tool.parameters}
    context = {"type": "object", "description": DESCRIPTION}
    schema["properties"] = {**tool.parameters["properties"], _context_name(tool): context}
    return {
        "name": f"{agent}{SEPARATOR}{tool.name}",
        "description": tool.description,
        "inputSchema": schema,
        "annotations": {
            "readOnlyHint": tool.read_only,
            "destructiveHint": tool.name.startswith("delete_"),
        },
    }


def _context_name(tool: Tool) -> str:
    return CONTEXT if CONTEXT not in tool.parameters["properties"] else f"user_{CONTEXT}"


def _context(meta: Any, given: Any) -> dict[str, Any]:
    beside = meta.get(CONTEXT_KEY, {}) if isinstance(meta, dict) else {}
    if not isinstance(beside, dict) or not isinstance(given, dict):
        raise RpcError(INVALID_PARAMS, "A context is an object.")
    context = {**beside, **given}
    try:
        check_context(CONTEXT, context)
    except MismatchError as error:
        raise RpcError(INVALID_PARAMS, f"{error.field}: {error}") from None
    return context


def _encoded(arguments: dict[str, Any]) -> str:
    try:
        return wire.dump_free(arguments).decode()
    except TypeError:
        raise RpcError(INVALID_PARAMS, "The arguments are nested too deeply.") from None


def _result(value: Any, *, failed: bool = False) -> dict[str, Any]:
    text = value if failed else orjson.dumps(value).decode()
    content = [{"type": "text", "text": text}]
    return {"content": content, "isError": True} if failed else {"content": content, "structuredContent": value}
