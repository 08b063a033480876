"""A server of the official package, for the tests: over stdio, or ``wiki_server.py PORT`` over streamable HTTP."""

import os
import sys
import time
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("wiki")


@server.tool()
def search(query: str, limit: int = 3) -> list[dict[str, Any]]:
    """Search the wiki."""
    return [{"title": f"{query} {number}"} for number in range(limit)]


@server.tool(name="read-page", structured_output=False)
def read_page(title: str) -> str:
    """Read a page."""
    return f"# {title}"


@server.tool()
def refuse() -> str:
    """Refuse."""
    raise ToolError("there is no such page")


@server.tool()
def dawdle() -> str:
    """Take its time."""
    time.sleep(5)
    return "late"


@server.tool()
def crash() -> str:
    """End the server."""
    os._exit(1)


@server.tool()
def whoami() -> str:
    """Tell of the environment."""
    return f"{os.environ.get('WIKI_TOKEN')} {os.environ.get('JWT_SECRET')}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
