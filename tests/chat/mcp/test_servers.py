"""Agents use the tools of MCP servers; on the other side is a server of the official package."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adiuva.chat.mcp import tools as mcp_tools
from adiuva.chat.mcp.connection import Connection, NotConnectedError
from adiuva.chat.mcp.tools import McpServers
from adiuva.mcp_config import McpServerConfig
from adiuva.sdk import ToolError
from adiuva.settings import SettingsError
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import Start, TaskAgent, register

pytestmark = pytest.mark.xdist_group("mcp")  # whose import takes a second

WIKI = Path(__file__).with_name("wiki_server.py")
STDIO = McpServerConfig(name="wiki", command=sys.executable, args=(str(WIKI),), env={"WIKI_TOKEN": "t0ken"})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server over streamable HTTP."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, str(WIKI), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


@pytest.fixture
async def stdio() -> AsyncIterator[Connection]:
    connection = Connection(config=STDIO, connect_seconds=60, call_seconds=1)
    yield connection
    await connection.close()


@pytest.fixture(params=["stdio", "http"])
async def connection(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Connection]:
    config = STDIO if request.param == "stdio" else McpServerConfig(name="wiki", url=url)
    connection = Connection(config=config, connect_seconds=60, call_seconds=10)
    yield connection
    await connection.close()


async def test_tools_are_listed_and_called_over_both_transports(connection: Connection) -> None:
    names = [tool.name for tool in await connection.tools()]
    assert {"search", "read-page", "refuse"} <= set(names)
    assert await connection.call("search", {"query": "roses", "limit": 1}) == {"result": [{"title": "roses 0"}]}
    assert await connection.call("read-page", {"title": "Roses"}) == "# Roses"
    results = await asyncio.gather(*(connection.call("read-page", {"title": str(number)}) for number in range(20)))
    assert results == [f"# {number}" for number in range(20)]


async def test_what_a_tool_refuses_goes_to_the_model(connection: Connection) -> None:
    with pytest.raises(ToolError, match="there is no such page"):
        await connection.call("refuse", {})
    with pytest.raises(ToolError, match="limit"):
        await connection.call("search", {"query": "x", "limit": "many"})
    with pytest.raises(ToolError, match="no_such"):
        await connection.call("no_such", {})
    assert await connection.call("read-page", {"title": "on"}) == "# on"  # it is the same connection still


async def test_a_program_has_the_environment_that_was_named_and_no_secret_of_the_server(
    stdio: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "s3cret")
    assert await stdio.call("whoami", {}) == {"result": "t0ken None"}


async def test_a_server_that_takes_too_long_is_not_waited_for(stdio: Connection) -> None:
    await stdio.tools()
    began = time.monotonic()
    with pytest.raises(ToolError, match="did not answer in time"):
        await stdio.call("dawdle", {})
    assert time.monotonic() - began < 4


async def test_a_server_that_dies_is_connected_to_again(stdio: Connection) -> None:
    await stdio.tools()
    with pytest.raises(ToolError, match=r"lost|did not answer"):
        await stdio.call("crash", {})
    stdio.call_seconds = 10
    for _ in range(3):  # the first use after the end may be what notices it
        with suppress(ToolError):
            assert await stdio.call("read-page", {"title": "again"}) == "# again"
            break
    else:
        pytest.fail("it was not connected to again")


async def test_a_server_that_is_not_there_costs_nothing_but_its_tools(url: str) -> None:
    missing = Connection(config=McpServerConfig(name="gone", url=f"http://127.0.0.1:{_free_port()}/mcp"))
    no_program = Connection(config=McpServerConfig(name="none", command="/no/such/program"))
    servers = McpServers(connections=(missing, no_program, Connection(config=McpServerConfig(name="wiki", url=url))))
    tools = await servers.tools_for("task_agent", own=True)
    assert {name.partition("__")[0] for name in tools} == {"wiki"}
    began = time.monotonic()
    with pytest.raises(NotConnectedError):  # for a second it is not even tried
        await missing.tools()
    with pytest.raises(ToolError, match="cannot be reached now"):
        await no_program.call("search", {})
    assert time.monotonic() - began < 0.5
    await servers.close()


async def test_headers_go_along() -> None:
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401)

    app = web.Application()
    app.router.add_post("/mcp", refuse)
    async with TestServer(app) as server:
        headers = {"Authorization": "Bearer t0ken"}
        connection = Connection(config=McpServerConfig(name="wiki", url=str(server.make_url("/mcp")), headers=headers))
        with pytest.raises(NotConnectedError):
            await connection.tools()
        await connection.close()
    assert set(seen) == {"Bearer t0ken"}


async def test_an_agent_is_shown_the_tools_and_its_model_gets_the_results(
    start: Start, model: ScriptedModel, agent: TaskAgent, url: str
) -> None:
    server = McpServerConfig(name="wiki", url=url)
    user = await register(await start(default_tier="pro", mcp_servers=(server,)))
    model.add([turn(calling("wiki__read_page", title="Roses"), calling("create_task", title="Read it")), "Done."])
    status, answer = await user.post("/chat", {"message": "Roses", "agents": ["task_agent"]})
    assert (status, answer["response"]) == (200, "Done.")
    assert [action["action"] for action in answer["actions"]] == ["create_task"]
    shown = {spec.name: spec for spec in model.calls[0].tools}
    assert shown["wiki__search"].description == "Search the wiki."
    assert set(shown["wiki__search"].parameters["properties"]) == {"query", "limit"}
    assert '"# Roses"' in [message.content for message in model.calls[1].messages if message.role == "tool"]


async def test_what_a_model_tells_a_server_of_its_prompt_is_taken_out(
    start: Start, model: ScriptedModel, agent: TaskAgent, url: str
) -> None:
    agent.instructions = "Never touch what belongs to the green archive of the northern office."
    server = McpServerConfig(name="wiki", url=url)
    user = await register(await start(default_tier="pro", mcp_servers=(server,)))
    model.add([turn(calling("wiki__read_page", title=agent.instructions)), "Done."])
    await user.post("/chat", {"message": "Roses", "agents": ["task_agent"]})
    assert '"# [REDACTED]."' in [message.content for message in model.calls[1].messages if message.role == "tool"]


async def test_whose_tools_they_are_is_the_operators_to_say(url: str) -> None:
    everyone = McpServerConfig(name="wiki", url=url)
    one = McpServerConfig(name="notes", url=url, agents=("note_agent",))
    servers = McpServers(connections=(Connection(config=everyone), Connection(config=one)))

    async def prefixes(agent: str, *, own: bool) -> set[str]:
        tools = await servers.tools_for(agent, own=own)
        return {name.partition("__")[0] for name in tools}

    assert await prefixes("task_agent", own=True) == {"wiki"}
    assert await prefixes("note_agent", own=True) == {"wiki", "notes"}
    assert await prefixes("github_agent", own=False) == set()  # a plugin's agent has only what names it
    assert await prefixes("note_agent", own=False) == {"notes"}
    await servers.close()


def test_servers_without_the_package_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_tools, "find_spec", lambda _: None)
    assert McpServers.of(()).connections == ()
    with pytest.raises(SettingsError, match=r"pip install 'adiuva\[mcp\]'"):
        McpServers.of((STDIO,))


def test_nothing_of_the_package_is_loaded_with_the_server() -> None:
    code = (
        "import sys, adiuva.app; sys.exit(any(name.partition('.')[0] in {'mcp', 'mcp_types'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
