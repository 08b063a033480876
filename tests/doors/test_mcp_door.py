"""``/mcp``, as the official client of MCP sees it, in both ways that it has of speaking."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from adiuva.testing.models import ScriptedModel
from tests.chat.conftest import Start, TaskAgent, User, register

pytestmark = pytest.mark.xdist_group("mcp")  # whose import takes a second

MODES = ["auto", "legacy", "2026-07-28"]


@asynccontextmanager
async def connected(user: User, mode: str = "auto") -> AsyncIterator[Client]:
    async with create_mcp_http_client(headers=user.headers) as http:
        transport = streamable_http_client(str(user.client.make_url("/mcp")), http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_of_all_agents_are_listed_with_what_they_do(user: User, mode: str) -> None:
    async with connected(user, mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert "task_agent-create_task" in tools
    create, delete, listed = (tools[f"task_agent-{name}"] for name in ("create_task", "delete_task", "list_tasks"))
    assert create.description == "Create a task."
    assert create.input_schema["required"] == ["title"]
    assert set(create.input_schema["properties"]) == {"title", "priority", "context"}
    assert delete.annotations is not None
    assert delete.annotations.destructive_hint is True
    assert listed.annotations is not None
    assert listed.annotations.read_only_hint is True


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_changes_something_gives_the_action(user: User, model: ScriptedModel, mode: str) -> None:
    async with connected(user, mode) as client:
        result = await client.call_tool("task_agent-create_task", {"title": "Buy milk"})
    assert not result.is_error
    action = result.structured_content["action"]
    assert UUID(action.pop("id")).version == 4
    assert action == {
        "action": "create_task",
        "params": {"title": "Buy milk", "priority": "low"},
        "requires_confirmation": False,
    }
    assert model.calls == []  # no model is asked


async def test_a_deletion_asks_for_confirmation(user: User) -> None:
    async with connected(user) as client:
        result = await client.call_tool("task_agent-delete_task", {"task_id": "t1"})
    assert result.structured_content["action"]["requires_confirmation"] is True


@pytest.mark.parametrize("mode", MODES)
async def test_a_read_tool_works_on_the_data_that_is_passed(user: User, mode: str) -> None:
    data = {"tasks": [{"id": "t1", "title": "Mow: naïve 🪴"}]}
    async with connected(user, mode) as client:
        by_argument = await client.call_tool("task_agent-list_tasks", {"context": data})
        beside: Any = {"adiuva/context": data}
        by_meta = await client.call_tool("task_agent-list_tasks", {}, meta=beside)
        nothing = await client.call_tool("task_agent-list_tasks", {})
    assert by_argument.structured_content == by_meta.structured_content == {"result": data["tasks"]}
    assert nothing.structured_content == {"result": []}  # the server has kept none of it


async def test_the_time_is_the_callers(user: User) -> None:
    context = {"now": "2025-11-23T09:00:00Z", "timezone": "Asia/Tokyo"}
    async with connected(user) as client:
        result = await client.call_tool("task_agent-clock", {"context": context})
    assert result.structured_content == {"result": "2025-11-23T18:00:00+09:00 Asia/Tokyo"}


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("create_task", {}, "title is missing"),
    ("create_task", {"title": 5}, "title must be a string"),
    ("create_task", {"title": "x", "wrong": 1}, "'wrong' is not a known argument"),
    ("refuse", {}, "Not today."),
    ("explode", {}, "The tool failed."),
]


async def test_a_fault_of_a_tool_is_a_result_that_the_model_can_read(user: User) -> None:
    async with connected(user) as client:
        for name, arguments, said in FAULTS:
            result = await client.call_tool(f"task_agent-{name}", arguments)
            assert result.is_error
            assert said in result.content[0].text  # type: ignore[union-attr]
            assert "secret" not in str(result)


NO_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("task_agent-no_such", {}),
    ("nobody-create_task", {}),
    ("create_task", {}),
    ("", {}),
    ("task_agent-list_tasks", {"context": []}),
    ("task_agent-list_tasks", {"context": {"tasks": "none"}}),
    ("task_agent-list_tasks", {"context": {"now": "yesterday"}}),
    ("task_agent-list_tasks", {"context": {"x": "y" * 300_000}}),
]


async def test_what_is_no_call_is_an_error_of_the_protocol(user: User) -> None:
    async with connected(user) as client:
        for name, arguments in NO_CALLS:
            with pytest.raises(MCPError) as caught:
                await client.call_tool(name, arguments)
            assert caught.value.code == -32602, name


async def test_the_tier_holds(start: Start) -> None:
    user = await register(await start())
    async with connected(user) as client:
        assert {tool.name.partition("-")[0] for tool in (await client.list_tools()).tools} == {"task_agent"}
        with pytest.raises(MCPError, match="not part of the free tier"):
            await client.call_tool("checkpoint_agent-anything", {})


async def rpc(user: User, body: Any, **headers: str) -> tuple[int, Any]:
    async with user.client.post("/mcp", json=body, headers={**user.headers, **headers}) as answer:
        return answer.status, await answer.json() if answer.status != 202 else None


async def test_the_rate_limit_is_the_one_of_the_chat(start: Start) -> None:
    user = await register(await start(rate_limits={"free": 2, "pro": 2, "power": 2, "team": 2}))
    await user.get("/agents")
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await rpc(user, ping))[0] == 200
    status, body = await rpc(user, ping)
    assert (status, body["error"]["data"]) == (429, {"code": "rate_limited"})


async def test_only_an_access_token_opens_it(user: User) -> None:
    headers = {"Authorization": "Bearer wrong"}
    async with user.client.post("/mcp", json={}, headers=headers) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await answer.json())["error"]["data"] == {"code": "invalid_token"}


async def test_a_page_of_a_foreign_origin_is_refused(user: User) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    status, body = await rpc(user, ping, Origin="https://evil.example")
    assert (status, body["error"]["data"]) == (403, {"code": "origin_not_allowed"})
    assert (await rpc(user, ping, Origin="app://."))[0] == 200


async def test_there_is_no_stream_and_no_session(user: User) -> None:
    for method in ("GET", "DELETE"):
        async with user.client.request(method, "/mcp", headers=user.headers) as answer:
            assert answer.status == 405


NO_MESSAGES: list[tuple[Any, int]] = [
    ([], -32600),
    ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
    ({}, -32600),
    ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600),
    ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
    ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "result": {}}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, -32601),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 5}}, -32602),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": []}}, -32602),
]


async def test_what_is_no_message_is_told_so(user: User) -> None:
    for body, code in NO_MESSAGES:
        status, answer = await rpc(user, body)
        assert (status, answer["error"]["code"]) == (400 if code == -32600 else 200, code), body


async def test_what_is_no_json_is_told_so(user: User) -> None:
    headers = {**user.headers, "Content-Type": "application/json"}
    async with user.client.post("/mcp", data=b"{", headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, -32700)


async def test_a_notification_has_no_answer(user: User) -> None:
    status, body = await rpc(user, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (status, body) == (202, None)


async def test_a_revision_that_is_not_spoken_is_told_which_are(user: User) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    _, body = await rpc(user, ping, **{"MCP-Protocol-Version": "1999-01-01"})
    assert body["error"]["code"] == -32022
    assert "2025-11-25" in body["error"]["data"]["supported"]
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "1999-01-01"}}
    _, body = await rpc(user, hello)
    assert body["result"]["protocolVersion"] == "2025-11-25"


async def test_headers_that_say_other_than_the_body_are_refused(user: User) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    good = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    assert (await rpc(user, call, **good))[0] == 200
    status, body = await rpc(user, call, **good | {"Mcp-Method": "tools/call"})
    assert (status, body["error"]["code"]) == (400, -32020)
    status, body = await rpc(user, {**call, "params": {}}, **good)
    assert (status, body["error"]["code"]) == (400, -32602)


async def test_a_client_that_goes_away_stops_the_tool(user: User, agent: TaskAgent) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "task_agent-wait"}}
    asking = asyncio.create_task(rpc(user, call))
    await agent.entered.wait()
    asking.cancel()
    await asyncio.wait([asking])
    agent.entered.clear()
    async with connected(user) as client:  # the one place that a tool has is free again, whatever became of the first
        again = asyncio.create_task(client.call_tool("task_agent-wait", {}))
        await agent.entered.wait()
        await asyncio.sleep(0.5)
        agent.release.set()
        assert (await again).structured_content == {"result": "waited"}
    assert agent.finished == 1


async def test_a_revision_that_is_not_spoken_is_400(user: User) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    status, body = await rpc(user, ping, **{"MCP-Protocol-Version": "1999-01-01"})
    assert (status, body["error"]["code"]) == (400, -32022)


@pytest.mark.parametrize("depth", [90, 97, 98, 99, 100, 101, 245, 250, 253, 300])
async def test_however_deep_the_data_is_nested_there_is_an_answer(user: User, depth: int) -> None:
    deep = orjson.loads("[" * depth + "]" * depth)
    for arguments in ({"context": {"tasks": [{"id": "t1", "deep": deep}]}}, {"deep": deep}):
        call = {"name": "task_agent-list_tasks", "arguments": arguments}
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + json.dumps(call).encode() + b"}"
        headers = {**user.headers, "Content-Type": "application/json"}
        async with user.client.post("/mcp", data=body, headers=headers) as answer:
            told = await answer.json()
        assert answer.status == 200
        if depth <= 97:
            assert "result" in told
        elif depth > 100:
            assert told["error"]["code"] == -32602
            assert "nested too deeply" in told["error"]["message"]


async def test_wrong_paths_and_methods_are_told_as_json_rpc(user: User) -> None:
    for method, path, status in (("GET", "/mcp", 405), ("POST", "/mcp/x", 404)):
        async with user.client.request(method, path, headers=user.headers) as answer:
            assert (answer.status, (await answer.json())["jsonrpc"]) == (status, "2.0")
