"""One MCP server, through the official client: connected to at its first use, and again after it was lost.

The client's package takes a second to import, so nothing here imports it before it is needed.
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, field

from adiuva.mcp_config import McpServerConfig
from adiuva.sdk import ToolError

if TYPE_CHECKING:
    import mcp

log = structlog.get_logger(__name__)

CONNECT_SECONDS: Final = 10.0
CALL_SECONDS: Final = 30.0
LISTED_SECONDS: Final = 300.0  # how long a list of tools is taken to hold
MAX_TOOLS: Final = 64
MAX_PAGES: Final = 10
MAX_ERROR: Final = 2_000  # characters of an error that the model is told
PAUSES: Final = (1.0, 5.0, 30.0, 60.0)  # seconds from one failure to connect to the next try
_TOLD: Final = {-32600, -32601, -32602, -32603}  # the server has answered, and refused


class NotConnectedError(Exception):
    """The server cannot be reached now."""


@define(kw_only=True, eq=False)
class Connection:
    """One server. Whoever needs it connects it; one task holds the connection until it is lost or closed."""

    config: McpServerConfig
    connect_seconds: float = CONNECT_SECONDS
    call_seconds: float = CALL_SECONDS
    _client: "mcp.Client | None" = field(default=None, init=False)
    _holder: "asyncio.Task[None] | None" = field(default=None, init=False)
    _ready: asyncio.Event = field(factory=asyncio.Event, init=False)  # connected, or failed
    _lost: asyncio.Event = field(factory=asyncio.Event, init=False)
    _failures: int = field(default=0, init=False)
    _retry_at: float = field(default=0.0, init=False)
    _tools: "tuple[mcp.types.Tool, ...]" = field(default=(), init=False)
    _listed_at: float = field(default=0.0, init=False)

    async def tools(self) -> "tuple[mcp.types.Tool, ...]":
        """The server's tools, the first `MAX_TOOLS` of them.

        Raises:
            NotConnectedError: it does not answer.
        """
        client = await self._connected()
        if time.monotonic() - self._listed_at > LISTED_SECONDS:
            try:
                async with asyncio.timeout(self.connect_seconds):
                    await self._list(client)
            except Exception as error:
                self._lose(error)
                raise NotConnectedError from error
        return self._tools

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """What the tool of that name gives, as JSON data. It is called once, whatever comes of it.

        Raises:
            ToolError: it refuses, does not answer, or there is no connection; the message is for the model.
        """
        import mcp

        try:
            client = await self._connected()
            async with asyncio.timeout(self.call_seconds):
                result = await client.call_tool(name, arguments)
        except NotConnectedError:
            raise ToolError(f"The service {self.config.name} cannot be reached now.") from None
        except TimeoutError:
            raise ToolError(f"The service {self.config.name} did not answer in time.") from None
        except mcp.MCPError as error:
            if error.code in _TOLD:
                raise ToolError(error.message[:MAX_ERROR]) from None
            self._lose(error)
            raise ToolError(f"The connection to the service {self.config.name} was lost.") from None
        except Exception as error:
            self._lose(error)
            raise ToolError(f"The service {self.config.name} did not answer as it should.") from error
        if result.is_error:
            raise ToolError(_text(result)[:MAX_ERROR] or "The tool failed.")
        return result.structured_content if result.structured_content is not None else _text(result)

    async def close(self) -> None:
        """Close the connection; a program that was started ends."""
        self._lost.set()
        if self._holder is not None:
            self._holder.cancel()
            await asyncio.wait([self._holder])

    async def _connected(self) -> "mcp.Client":
        if self._client is not None and not self._lost.is_set():
            return self._client
        if self._holder is not None and self._lost.is_set():
            # The lost one has to be out of the way first.
            await asyncio.wait([self._holder], timeout=self.connect_seconds)
        if self._holder is None or self._holder.done():
            if time.monotonic() < self._retry_at:
                raise NotConnectedError
            self._ready, self._lost = asyncio.Event(), asyncio.Event()
            self._holder = asyncio.create_task(self._hold(), name=f"mcp {self.config.name}")
        await self._ready.wait()
        if self._client is None or self._lost.is_set():
            raise NotConnectedError
        return self._client

    async def _hold(self) -> None:
        """Connect, and keep the connection in this task: what the client has entered has to be left in the same one."""
        ready, lost = self._ready, self._lost
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.connect_seconds):
                    client = await self._enter(stack)
                    await self._list(client)
                self._client, self._failures = client, 0
                ready.set()
                await lost.wait()
        except Exception as error:  # noqa: BLE001 - a connection that fails on its way out is gone as well
            if not ready.is_set():
                self._failed(error)
        finally:
            self._client = None
            ready.set()

    async def _enter(self, stack: AsyncExitStack) -> "mcp.Client":
        await asyncio.to_thread(_import)
        import mcp

        config = self.config
        if config.url:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            timeout = httpx2.Timeout(self.connect_seconds, read=self.call_seconds)
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=config.headers, timeout=timeout))
            transport = streamable_http_client(config.url, http_client=http)
        else:
            from mcp.client.stdio import stdio_client

            silence = stack.enter_context(Path(os.devnull).open("w"))  # noqa: ASYNC230, SIM115 - it may say the user's
            parameters = mcp.StdioServerParameters(
                command=config.command, args=list(config.args), env=config.env or None
            )
            transport = stdio_client(parameters, errlog=silence)
        return await stack.enter_async_context(mcp.Client(transport, cache=None))

    async def _list(self, client: "mcp.Client") -> None:
        tools: list[Any] = []
        cursor = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or len(tools) >= MAX_TOOLS:
                break
        if len(tools) > MAX_TOOLS:
            log.warning("mcp server has too many tools", server=self.config.name, tools=len(tools), kept=MAX_TOOLS)
        self._tools, self._listed_at = tuple(tools[:MAX_TOOLS]), time.monotonic()

    def _failed(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        log.warning("mcp server not reached", server=self.config.name, error=type(error).__name__)

    def _lose(self, error: Exception) -> None:
        """Give the connection up; the next use makes a new one."""
        log.warning("mcp server lost", server=self.config.name, error=type(error).__name__)
        self._lost.set()


def _import() -> None:
    """In a thread, since it takes a second."""
    import mcp.client.stdio
    import mcp.client.streamable_http  # noqa: F401


def _text(result: Any) -> str:
    parts = [getattr(part, "text", None) or f"[{part.type}]" for part in result.content]
    return "\n".join(parts)
