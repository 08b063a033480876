"""The tools of MCP servers as tools of agents."""

import asyncio
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

import orjson
import structlog
from attrs import field, frozen

from adiuva.chat.mcp.connection import Connection, NotConnectedError
from adiuva.mcp_config import McpServerConfig
from adiuva.sdk import Context, Tool
from adiuva.settings import SettingsError

log = structlog.get_logger(__name__)

MAX_NAME: Final = 64  # what providers of models take
MAX_DESCRIPTION: Final = 1_024
MAX_SCHEMA_BYTES: Final = 16 * 1024


@frozen(kw_only=True)
class McpTool(Tool):
    """A tool of an MCP server: it gives data, never an action, and always runs there."""

    _connection: Connection = field(repr=False)
    _remote_name: str

    async def call(self, agent: Any, ctx: Context, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002 - as Tool's
        """Have the server run it."""
        return await self._connection.call(self._remote_name, dict(arguments))

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as they are: the server checks them."""
        return dict(arguments)


@frozen(kw_only=True)
class McpServers:
    """All servers of the setting ``MCP_SERVERS``."""

    connections: tuple[Connection, ...] = ()

    @classmethod
    def of(cls, servers: tuple[McpServerConfig, ...]) -> "McpServers":
        """Connections to ``servers``, none of which is made yet.

        Raises:
            SettingsError: there are some, and the package for them is not installed.
        """
        if servers and find_spec("mcp") is None:
            raise SettingsError(
                ["MCP_SERVERS needs the package mcp, which is not installed: pip install 'adiuva[mcp]'"]
            )
        return cls(connections=tuple(Connection(config=config) for config in servers))

    async def tools_for(self, agent: str, *, own: bool) -> dict[str, Tool]:
        """What ``agent`` may use, by the name that its model sees; ``own``: it is the operator's own agent.

        Servers that cannot be reached now have none.
        """
        mine = [
            connection
            for connection in self.connections
            if agent in connection.config.agents or (own and not connection.config.agents)
        ]
        found = await asyncio.gather(*(_tools_of(connection) for connection in mine))
        return {name: tool for tools in found for name, tool in tools.items()}

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(connection.close() for connection in self.connections))


async def _tools_of(connection: Connection) -> dict[str, Tool]:
    try:
        listed = await connection.tools()
    except NotConnectedError:
        return {}
    tools: dict[str, Tool] = {}
    for remote in listed:
        name = re.sub(r"[^a-zA-Z0-9_]", "_", f"{connection.config.name}__{remote.name}")[:MAX_NAME]
        schema = {"properties": {}, **remote.input_schema}
        if name in tools or len(orjson.dumps(schema)) > MAX_SCHEMA_BYTES:
            log.warning("mcp tool left out", server=connection.config.name, tool=name)
            continue
        tools[name] = McpTool(
            name=name,
            description=(remote.description or remote.title or remote.name)[:MAX_DESCRIPTION],
            parameters=schema,
            permission=None,
            read_only=True,
            for_client=False,
            accepted=(),
            connection=connection,
            remote_name=remote.name,
        )
    return tools
