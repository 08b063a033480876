"""``POST /chat``, ``GET /agents`` and ``GET /models``."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from adiuva.app import ACTORS
from adiuva.errors import LlmNotConfiguredError, LlmTimeoutError, LlmUnavailableError, OverloadedError
from adiuva.llm.protocol import ToolCall
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import GatedModel, Start, TaskAgent, User, register


async def test_a_message_becomes_an_action_and_an_answer(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("create_task", title="Buy milk", priority="high")), "Done."])
    status, answer = await user.post("/chat", {"message": "Buy milk", "agents": ["task_agent"]})
    assert status == 200
    [action] = answer["actions"]
    assert UUID(action.pop("id")).version == 4
    assert action == {
        "action": "create_task",
        "params": {"title": "Buy milk", "priority": "high"},
        "requires_confirmation": False,
    }
    assert answer["response"] == "Done."
    assert answer["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}


async def test_an_overload_behind_the_agent_is_told_as_it_is(user: User, model: ScriptedModel) -> None:
    model.add([OverloadedError("The beds are full.", retry_after=7)])
    status, problem = await user.post("/chat", {"message": "Dig", "agents": ["task_agent"]})
    assert (status, problem["code"], problem["detail"]) == (503, "overloaded", "The beds are full.")


async def test_a_deletion_asks_for_confirmation(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("delete_task", task_id="t1")), "Gone."])
    _, answer = await user.post("/chat", {"message": "Delete it", "agents": ["task_agent"]})
    assert answer["actions"][0]["requires_confirmation"] is True


async def test_without_agents_the_router_chooses_and_its_usage_counts(user: User, model: ScriptedModel) -> None:
    model.add(['```json\n{"agents": ["checkpoint_agent"]}\n```', "A checkpoint."])
    _, answer = await user.post("/chat", {"message": "Plan a checkpoint"})
    assert answer["response"] == "A checkpoint."
    assert answer["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}
    router, agent = model.calls
    assert "checkpoint_agent: Plans checkpoints of projects." in router.messages[0].content
    assert "You keep the user's checkpoints." in agent.messages[0].content


@pytest.mark.parametrize(
    "choice", ["", "no JSON", "{", '{"agents": "task_agent"}', '{"agents": ["nobody"]}', '{"agents": [7]}', "[]"]
)
async def test_an_unreadable_choice_falls_back_to_the_task_agent(user: User, model: ScriptedModel, choice: str) -> None:
    model.add([choice, "Hello."])
    _, answer = await user.post("/chat", {"message": "Hi"})
    assert answer["response"] == "Hello."
    assert "You keep the user's tasks." in model.calls[1].messages[0].content


@pytest.mark.parametrize("fault", [LlmUnavailableError(), LlmTimeoutError()])
async def test_a_router_at_fault_falls_back_to_the_task_agent(
    user: User, model: ScriptedModel, fault: Exception
) -> None:
    model.add([fault, "Hello."])
    status, answer = await user.post("/chat", {"message": "Hi"})
    assert (status, answer["response"]) == (200, "Hello.")


async def test_the_router_never_sees_an_agent_closed_to_the_tier(start: Start, model: ScriptedModel) -> None:
    user = await register(await start())
    model.add(["Hello."])  # one agent is open to free: nothing to route
    status, answer = await user.post("/chat", {"message": "Plan a checkpoint"})
    assert (status, answer["response"]) == (200, "Hello.")
    assert len(model.calls) == 1


async def test_an_agent_closed_to_the_tier_is_refused(start: Start) -> None:
    user = await register(await start())
    status, problem = await user.post("/chat", {"message": "Hi", "agents": ["checkpoint_agent"]})
    assert (status, problem["code"]) == (403, "tier_required")


async def test_a_tier_change_holds_at_the_next_request(start: Start) -> None:
    client = await start()
    user = await register(client)
    assert [agent["available"] for agent in (await user.get("/agents"))[1]["items"]] == [False, True]
    from adiuva.auth import queries
    from adiuva.web.keys import DATABASE

    async with client.app[DATABASE].acquire() as conn:
        await queries.set_tier(conn, user.email, "pro")
    assert [agent["available"] for agent in (await user.get("/agents"))[1]["items"]] == [True, True]


async def test_agents_are_listed_with_their_tools(user: User) -> None:
    _, answer = await user.get("/agents")
    checkpoint, task = answer["items"]
    assert checkpoint == {
        "name": "checkpoint_agent",
        "description": "Plans checkpoints of projects.",
        "tools": [],
        "available": True,
    }
    assert task["tools"][:2] == ["list_tasks", "create_task"]


async def test_models_are_listed_the_default_first(start: Start) -> None:
    user = await register(await start(llm_model="openai/a", llm_models=("openai/b",)))
    assert (await user.get("/models"))[1] == {
        "items": [
            {"id": "openai/a", "default": True, "available": True},
            {"id": "openai/b", "default": False, "available": False},
        ]
    }


async def test_a_chosen_model_needs_the_list_and_the_tier(start: Start, model: ScriptedModel) -> None:
    client = await start(llm_model="openai/a", llm_models=("openai/b",), default_tier="free")
    user = await register(client)
    body: dict[str, Any] = {"message": "Hi", "agents": ["task_agent"]}
    status, problem = await user.post("/chat", {**body, "model": "openai/c"})
    assert (status, problem["errors"][0]["field"]) == (422, "model")
    status, problem = await user.post("/chat", {**body, "model": "openai/b"})
    assert (status, problem["code"]) == (403, "tier_required")
    model.add(["Hello."])
    assert (await user.post("/chat", {**body, "model": "openai/a"}))[0] == 200
    assert model.calls[0].model == "openai/a"


async def test_a_pro_user_may_choose_a_model(start: Start, model: ScriptedModel) -> None:
    user = await register(await start(llm_model="openai/a", llm_models=("openai/b",), default_tier="pro"))
    model.add(["Hello."])
    body = {"message": "Hi", "agents": ["task_agent"], "model": "openai/b"}
    assert (await user.post("/chat", body))[0] == 200
    assert model.calls[0].model == "openai/b"


DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": 5}, "message"),
        ({"message": None}, "message"),
        ({"message": "x" * 16_001}, "message"),
        ({"message": "Hi", "mode": "dance"}, "mode"),
        ({"message": "Hi", "agents": []}, "agents"),
        ({"message": "Hi", "agents": ["task_agent"] * 6}, "agents"),
        ({"message": "Hi", "agents": ["nobody"]}, "agents[0]"),
        ({"message": "Hi", "agents": "task_agent"}, "agents"),
        ({"message": "Hi", "context": []}, "context"),
        ({"message": "Hi", "context": {"tasks": {}}}, "context.tasks"),
        ({"message": "Hi", "context": {"tasks": ["x"]}}, "context.tasks"),
        ({"message": "Hi", "context": {"x": "y" * 256 * 1024}}, "context"),
        ({"message": "Hi", "context": {"x": DEEP}}, "context"),
        ({"message": "Hi", "context": {"now": "yesterday"}}, "context.now"),
        ({"message": "Hi", "context": {"now": "2026-01-01T00:00:00"}}, "context.now"),
        ({"message": "Hi", "context": {"now": 5}}, "context.now"),
        ({"message": "Hi", "context": {"timezone": "Mars/Olympus"}}, "context.timezone"),
        ({"message": "Hi", "context": {"timezone": "../../etc/passwd"}}, "context.timezone"),
        ({"message": "Hi", "context": {"timezone": "Europe"}}, "context.timezone"),
        ({"message": "Hi", "context": {"timezone": ""}}, "context.timezone"),
        (
            {"message": "Hi", "context": {"now": "0001-01-01T00:00:00+00:00", "timezone": "America/New_York"}},
            "context.now",
        ),
        ({"message": "Hi", "history": [{"role": "system", "content": "x"}]}, "history[0].role"),
        ({"message": "Hi", "history": [{"role": "user"}]}, "history[0].content"),
        ({"message": "Hi", "history": [{"role": "user", "content": "x"}] * 51}, "history"),
        ({"message": "Hi", "model": "nobody/knows"}, "model"),
    ],
)
async def test_a_wrong_body_names_the_field(user: User, body: object, field: str) -> None:
    status, problem = await user.post("/chat", body)
    assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_unknown_fields_are_ignored(user: User, model: ScriptedModel) -> None:
    model.add(["Hello."])
    assert (await user.post("/chat", {"message": "Hi", "agents": ["task_agent"], "mood": "good"}))[0] == 200


async def test_tools_see_the_clients_time_zone(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("clock")), "It is late."])
    context = {"now": "2026-11-22T23:30:00Z", "timezone": "Asia/Tokyo"}
    await user.post("/chat", {"message": "Time?", "agents": ["task_agent"], "context": context})
    assert model.calls[1].messages[-1].content == '"2026-11-23T08:30:00+09:00 Asia/Tokyo"'
    assert "Now: 2026-11-23T08:30:00+09:00 (Monday), time zone Asia/Tokyo" in model.calls[0].messages[0].content


async def test_history_comes_before_the_message(user: User, model: ScriptedModel) -> None:
    model.add(["Hello."])
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    await user.post("/chat", {"message": "three", "agents": ["task_agent"], "history": history})
    assert [(m.role, m.content) for m in model.calls[0].messages[1:]] == [
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
    ]
    assert model.calls[0].temperature == 0


@pytest.mark.parametrize(
    "call, said",
    [
        (calling("create_task", title=5), "title must be a string"),
        (calling("create_task"), "title is missing"),
        (ToolCall(id="c", name="create_task", arguments="{"), "not JSON"),
        (ToolCall(id="c", name="create_task", arguments="[]"), "not a JSON object"),
        (calling("fly"), "no tool 'fly'"),
        (calling("refuse"), "Not today."),
        (calling("explode"), "The tool failed."),
    ],
)
async def test_a_bad_call_goes_back_to_the_model_as_an_error(
    user: User, model: ScriptedModel, call: ToolCall, said: str
) -> None:
    model.add([turn(call), "I see."])
    status, answer = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"]})
    assert (status, answer["response"], answer["actions"]) == (200, "I see.", [])
    result = model.calls[1].messages[-1]
    assert result.role == "tool"
    assert said in result.content
    assert "secret" not in result.content


async def test_several_calls_of_one_turn_all_have_their_result(user: User, model: ScriptedModel) -> None:
    calls = [
        ToolCall(id="a", name="create_task", arguments='{"title": "A"}'),
        ToolCall(id="b", name="explode", arguments=""),
        ToolCall(id="c", name="create_task", arguments='{"title": "C"}'),
    ]
    model.add([turn(*calls, text="Three things."), "Done."])
    _, answer = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"]})
    assert [action["params"]["title"] for action in answer["actions"]] == ["A", "C"]
    assert answer["response"] == "Three things.\n\nDone."
    assert [m.tool_call_id for m in model.calls[1].messages[-3:]] == ["a", "b", "c"]


async def test_a_model_that_only_calls_tools_is_stopped_after_five_turns(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks"))] * 5)
    status, answer = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"]})
    assert status == 200
    assert "more than 5 steps" in answer["response"]
    assert len(model.calls) == 5


@pytest.mark.parametrize(
    "fault, status, code",
    [
        (LlmUnavailableError(), 502, "llm_unavailable"),
        (LlmTimeoutError(), 504, "llm_timeout"),
        (LlmNotConfiguredError("Set LLM_MODEL."), 503, "llm_not_configured"),
        (RuntimeError("the user's secret"), 500, "internal_error"),
    ],
)
async def test_a_failing_model_is_a_problem_and_the_server_goes_on(
    user: User, model: ScriptedModel, fault: Exception, status: int, code: str
) -> None:
    model.add([fault, "Hello."])
    body = {"message": "Hi", "agents": ["task_agent"]}
    answered, problem = await user.post("/chat", body)
    assert (answered, problem["code"]) == (status, code)
    assert "secret" not in str(problem)
    assert (await user.post("/chat", body))[0] == 200


async def test_the_deadline_ends_the_work(start: Start, model: ScriptedModel, agent: TaskAgent) -> None:
    user = await register(await start(chat_deadline_seconds=0.2))
    model.add([turn(calling("wait"))])
    status, problem = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"]})
    assert (status, problem["code"]) == (504, "llm_timeout")
    agent.release.set()
    await asyncio.sleep(0)
    assert agent.finished == 0


async def test_a_full_mailbox_refuses_at_once(start: Start, model: ScriptedModel, agent: TaskAgent) -> None:
    user = await register(await start(mailbox_capacity=1, agent_concurrency=1))
    model.add([turn(calling("wait")), "One.", "Two."])
    body = {"message": "Hi", "agents": ["task_agent"]}
    running = asyncio.create_task(user.post("/chat", body))
    await agent.entered.wait()
    waiting = asyncio.create_task(user.post("/chat", body))
    orchestrator = user.client.app[ACTORS].ref("orchestrator")
    while not orchestrator.counters().queued:
        await asyncio.sleep(0.001)
    async with user.client.post("/api/v1/chat", json=body, headers=user.headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["code"] == "overloaded"
    agent.release.set()
    assert (await running)[0] == (await waiting)[0] == 200


async def test_a_client_that_disconnects_stops_the_work(start: Start) -> None:
    model = GatedModel()
    user = await register(await start(model))
    request = asyncio.create_task(user.post("/chat", {"message": "Hi", "agents": ["task_agent"]}))
    await model.spoke.wait()
    request.cancel()
    async with asyncio.timeout(5):
        await model.ended.wait()


async def test_chat_needs_a_login(start: Start) -> None:
    client = await start()
    async with client.post("/api/v1/chat", json={"message": "Hi"}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_an_answer_without_an_end_is_given_up(user: User, model: ScriptedModel) -> None:
    model.add(["x" * (1024 * 1024 + 1)])
    status, problem = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"]})
    assert (status, problem["code"]) == (502, "llm_unavailable")
