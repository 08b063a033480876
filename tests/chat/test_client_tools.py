"""Read tools that run at the client."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse

from adiuva.chat import client_tools
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText, ToolCall
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import GatedModel, Start, TaskAgent, User, register
from tests.chat.test_socket import frames

ASK = {"message": "Hi", "agents": ["task_agent"], "client_tools": True}
MAX = 256 * 1024


async def asked(socket: ClientWebSocketResponse) -> dict[str, Any]:
    frame: dict[str, Any] = await socket.receive_json(timeout=10)
    assert frame["type"] == "tool_call"
    return frame


def tool_results(model: ScriptedModel) -> list[str]:
    return [message.content for message in model.calls[-1].messages if message.role == "tool"]


async def test_a_read_tool_works_on_data_that_the_server_never_had(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), turn(calling("delete_task", task_id="t1")), "Gelöscht."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    assert (call["action"], call["params"]) == ("list_tasks", {})
    await socket.send_json({"type": "tool_result", "id": call["id"], "result": [{"id": "t1", "title": "Milk"}]})
    *_, done = await frames(socket)
    assert done["actions"][0]["params"] == {"task_id": "t1"}
    assert tool_results(model)[0] == '[{"id":"t1","title":"Milk"}]'


async def test_without_the_offer_the_server_answers_from_the_context(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Nichts."])
    socket = await user.socket()
    await socket.send_json({**ASK, "client_tools": False, "context": {"tasks": [{"id": "a"}]}})
    assert [frame["type"] for frame in await frames(socket)] == ["chunk", "done"]
    assert tool_results(model) == ['[{"id":"a"}]']


async def test_write_tools_and_other_tools_never_go_to_the_client(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("create_task", title="A"), calling("clock")), "Fertig."])
    socket = await user.socket()
    await socket.send_json(ASK)
    assert [frame["type"] for frame in await frames(socket)] == ["action", "chunk", "done"]


async def test_over_rest_there_is_no_client_to_ask(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Nichts."])
    assert (await user.post("/chat", ASK))[0] == 200


async def test_several_calls_may_be_answered_in_any_order(user: User, model: ScriptedModel) -> None:
    calls = [ToolCall(id=name, name="list_tasks", arguments="{}") for name in ("a", "b")]
    model.add([turn(*calls), "Fertig."])
    socket = await user.socket()
    await socket.send_json(ASK)
    first, second = await asked(socket), await asked(socket)
    await socket.send_json({"type": "tool_result", "id": second["id"], "result": "second"})
    await socket.send_json({"type": "tool_result", "id": first["id"], "result": "first"})
    await frames(socket)
    assert sorted(tool_results(model)) == ['"first"', '"second"']


async def test_an_error_of_the_client_goes_to_the_model(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Schade."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    await socket.send_json({"type": "tool_result", "id": call["id"], "error": "locked"})
    assert (await frames(socket))[-1]["response"] == "Schade."
    assert "locked" in tool_results(model)[0]


@pytest.mark.parametrize("answer", [None, {"type": "tool_result", "id": "wrong", "result": 1}])
async def test_no_answer_in_time_is_told_to_the_model_and_a_late_one_is_dropped(
    user: User, model: ScriptedModel, answer: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "ANSWER_SECONDS", 0.05)
    model.add([turn(calling("list_tasks")), "Schade.", "Hallo."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    if answer:
        await socket.send_json(answer)
    assert (await frames(socket))[-1]["response"] == "Schade."
    assert "did not answer in time" in tool_results(model)[0]
    await socket.send_json({"type": "tool_result", "id": call["id"], "result": []})
    await socket.send_json(ASK)
    assert (await frames(socket))[-1]["response"] == "Hallo."


async def test_a_result_over_its_limit_is_an_error_for_the_model(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Schade."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    await socket.send_json({"type": "tool_result", "id": call["id"], "result": "x" * MAX})
    await frames(socket)
    assert "over 262144 bytes" in tool_results(model)[0]


async def test_a_result_nested_too_deeply_is_an_error_for_the_model(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Schade."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    deep = "[" * 300 + "]" * 300
    await socket.send_str(f'{{"type": "tool_result", "id": "{call["id"]}", "result": {deep}}}')
    await frames(socket)
    assert "nested too deeply" in tool_results(model)[0]


@pytest.mark.parametrize(
    "frame",
    [{}, {"id": 5, "result": 1}, {"id": "a"}, {"id": "a", "result": 1, "error": "x"}, {"id": None, "error": "x"}],
)
async def test_a_malformed_result_is_an_error(user: User, frame: dict[str, Any]) -> None:
    socket = await user.socket()
    await socket.send_str(orjson.dumps({"type": "tool_result", **frame}).decode())
    assert (await frames(socket))[-1]["code"] == "invalid_request"


async def test_wrong_arguments_never_reach_the_client(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks", colour="red")), "Schade."])
    socket = await user.socket()
    await socket.send_json(ASK)
    assert [frame["type"] for frame in await frames(socket)] == ["chunk", "done"]


async def test_late_answers_that_nobody_reads_keep_no_frame_behind_them_waiting(
    start: Start, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tools, "ANSWER_SECONDS", 0.05)
    gated = GatedModel()
    model.add([turn(*[ToolCall(id=str(at), name="list_tasks", arguments="{}") for at in range(20)]), "Eins."])

    class Model:
        async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
            return await (model if len(model.calls) < 2 else gated).run(call, on_text)

    user = await register(await start(Model(), default_tier="pro"))
    socket = await user.socket()
    await socket.send_json({**ASK, "agents": ["task_agent", "checkpoint_agent"]})
    calls = [await asked(socket) for _ in range(20)]
    await asyncio.wait_for(gated.spoke.wait(), 10)  # the second agent's turn: the first one's answers are late
    for call in calls:
        await socket.send_json({"type": "tool_result", "id": call["id"], "result": []})
    await socket.send_json({"type": "cancel"})
    assert await frames(socket) == [{"type": "cancelled"}]
    await asyncio.wait_for(gated.ended.wait(), 10)


async def test_cancel_while_the_client_is_asked_ends_the_request(
    start: Start, model: ScriptedModel, agent: TaskAgent
) -> None:
    user = await register(await start())
    model.add([turn(calling("list_tasks")), "Hallo."])
    socket = await user.socket()
    await socket.send_json(ASK)
    call = await asked(socket)
    await socket.send_json({"type": "cancel"})
    assert await frames(socket) == [{"type": "cancelled"}]
    await socket.send_json({"type": "tool_result", "id": call["id"], "result": []})
    await socket.send_json(ASK)
    assert (await frames(socket))[-1]["response"] == "Hallo."
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "client tools"]
