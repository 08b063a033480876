"""Plans over HTTP and WebSocket."""

import asyncio
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from adiuva.auth import queries
from adiuva.chat.models import MAX_CONTEXT_BYTES
from adiuva.chat.plans.templates import BUILT_IN
from adiuva.chat.service import CHAT
from adiuva.errors import LlmUnavailableError
from adiuva.testing.models import ScriptedModel, calling, turn
from adiuva.web.keys import DATABASE
from tests.chat.conftest import GatedModel, Start, TaskAgent, User, register

PLAN = {"message": "Buy milk", "mode": "plan", "agents": ["task_agent"]}
MARK = "Zwetschgenkuchen"


async def planned(user: User, *agents: str) -> dict[str, Any]:
    status, plan = await user.post("/chat", {**PLAN, "agents": agents or ["task_agent"]})
    assert status == 200, plan
    return plan


async def step_of(user: User, **more: object) -> dict[str, Any]:
    """A request to run the one llm step of a new plan."""
    plan = await planned(user)
    return {"plan_id": plan["plan_id"], "step_id": plan["steps"][-1]["id"], "vars": {"message": "Buy milk"}, **more}


async def test_a_plan_is_made_of_the_agents_that_are_given_without_any_model(user: User, model: ScriptedModel) -> None:
    plan = await planned(user)
    assert plan.keys() == {"plan_id", "name", "description", "steps", "created_at"}
    assert plan["created_at"].endswith("Z")
    assert plan["steps"] == [
        {"id": "step_1", "kind": "data", "action": "list_tasks"},
        {
            "id": "step_2",
            "kind": "llm",
            "template_id": "tpl_task_agent_default",
            "vars": {"message": "{{message}}"},
            "data_from_step": "step_1",
        },
    ]
    assert model.calls == []


async def test_without_agents_the_classifier_chooses_them(user: User, model: ScriptedModel) -> None:
    model.add(['{"agents": ["checkpoint_agent", "task_agent"]}'])
    status, plan = await user.post("/chat", {"message": "Plan it", "mode": "plan"})
    assert status == 200
    templates = [step["template_id"] for step in plan["steps"] if step["kind"] == "llm"]
    assert templates == ["tpl_checkpoint_agent_default", "tpl_task_agent_default"]


async def test_on_a_socket_done_carries_the_plan(user: User, model: ScriptedModel) -> None:
    model.add(['{"agents": ["task_agent"]}'])
    socket = await user.socket()
    await socket.send_json({"message": "Buy milk", "mode": "plan"})
    frame = await socket.receive_json(timeout=10)
    assert frame.keys() == {"type", "done", "plan", "usage"}
    assert (frame["type"], frame["done"]) == ("done", True)
    assert frame["usage"] == {"prompt_tokens": 11, "completion_tokens": 5}
    assert frame["plan"]["plan_id"] == (await planned(user))["plan_id"]


async def test_the_same_structure_has_the_same_id_on_every_node(start: Start) -> None:
    here, there = await start(default_tier="pro"), await start(default_tier="pro")
    ada = await register(here)
    elsewhere = User(there, ada.email, ada.tokens)
    plan = await planned(ada, "task_agent", "checkpoint_agent")
    assert (await planned(elsewhere, "task_agent", "checkpoint_agent"))["plan_id"] == plan["plan_id"]
    assert (await planned(ada, "checkpoint_agent", "task_agent"))["plan_id"] != plan["plan_id"]


async def test_any_node_runs_a_step_of_a_plan_that_another_one_made(start: Start, model: ScriptedModel) -> None:
    ada = await register(await start())
    elsewhere = User(await start(), ada.email, ada.tokens)
    body = await step_of(ada)
    model.add(["Done."])
    assert (await elsewhere.post("/plans/steps", body))[0] == 200
    status, plan = await elsewhere.get(f"/plans/playbook/{body['plan_id']}")
    assert (status, plan["plan_id"]) == (200, body["plan_id"])


async def test_nothing_that_a_user_wrote_is_in_a_plan(user: User, model: ScriptedModel) -> None:
    model.add([f'{{"agents": ["task_agent"], "why": "{MARK}"}} {MARK}', f'{{"agents": ["{MARK}"]}}'])
    body = {
        "message": f"Bake {MARK}",
        "mode": "plan",
        "context": {"tasks": [{"id": MARK, "title": MARK}], MARK: MARK, "timezone": "Europe/Berlin"},
        "history": [{"role": "user", "content": MARK}],
    }
    with capture_logs() as logs:
        plans = [(await user.post("/chat", body))[1] for _ in range(2)]
    held = user.client.app[CHAT].plans.listed_for((await user.get("/auth/me"))[1]["id"])
    assert len(held) == 3
    assert [plan["steps"][-1]["vars"] for plan in plans] == [{"message": "{{message}}"}] * 2
    assert MARK not in f"{plans} {held} {logs} {(await user.get('/plans/playbook'))[1]}"


async def test_the_playbook_lists_the_built_in_plans_and_the_users_own(start: Start) -> None:
    client = await start()
    ada, bob = await register(client), await register(client, "bob@example.com")
    plan = await planned(ada)
    _, listed = await ada.get("/plans/playbook")
    assert listed.keys() == {"items"}
    built_in = ["create_tasks_from_project", "generate_weekly_note"]
    assert [item["plan_id"] for item in listed["items"]] == [*built_in, plan["plan_id"]]
    assert listed["items"][-1] == plan
    assert (await ada.get(f"/plans/playbook/{plan['plan_id']}"))[1] == plan
    assert [item["plan_id"] for item in (await bob.get("/plans/playbook"))[1]["items"]] == built_in


async def test_another_users_plan_is_not_there_even_where_the_own_one_is_equal(start: Start) -> None:
    client = await start()
    ada, bob = await register(client), await register(client, "bob@example.com")
    body = await step_of(ada)
    await planned(bob)
    assert (await bob.get(f"/plans/playbook/{body['plan_id']}"))[0] == 404
    status, problem = await bob.post("/plans/steps", body)
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "plan_id", ["x", "%00", "..%2f..", "a" * 3000, "00000000-0000-4000-8000-000000000000", "%C3%A9"]
)
async def test_an_unknown_plan_is_404(user: User, plan_id: str) -> None:
    assert (await user.get(f"/plans/playbook/{plan_id}"))[0] == 404


async def test_prompts_are_in_no_plan(user: User) -> None:
    await planned(user)
    _, listed = await user.get("/plans/playbook")
    text = orjson.dumps(listed).decode()
    assert "REDACTED" not in text
    assert all(line not in text for template in BUILT_IN for line in template.text.splitlines() if len(line) > 20)


# steps


async def test_a_step_runs_its_template_with_the_agents_tools(user: User, model: ScriptedModel) -> None:
    body = await step_of(user, data={"tasks": [{"id": "t1", "title": "Milk"}]})
    calls = (calling("list_tasks"), calling("delete_task", task_id="t1"))
    model.add([turn(*calls), "Gone."])
    status, answer = await user.post("/plans/steps", body)
    assert status == 200
    assert answer.keys() == {"output", "actions", "usage"}
    assert answer["output"] == "Gone."
    [action] = answer["actions"]
    assert (action["action"], action["requires_confirmation"]) == ("delete_task", True)
    assert answer["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}
    system, message = model.calls[0].messages
    assert system.content.startswith("You keep the user's tasks.")
    assert message.content.startswith("Buy milk\n\n(One step of a plan")
    assert '"title":"Milk"' in model.calls[1].messages[-2].content


async def test_values_cannot_bring_placeholders_in(user: User, model: ScriptedModel) -> None:
    body = {
        "plan_id": "create_tasks_from_project",
        "step_id": "create_tasks",
        "vars": {"message": "{{data}} {{message}}"},
        "data": {"projects": [{"id": "p1", "name": "{{message}}"}]},
    }
    model.add(["Nothing."])
    assert (await user.post("/plans/steps", body))[0] == 200
    prompt = model.calls[0].messages[-1].content
    assert "about it: {{data}} {{message}}\n" in prompt
    assert '"name":"{{message}}"' in prompt


async def test_what_came_before_reaches_the_agent(user: User, model: ScriptedModel) -> None:
    body = await step_of(user, data={"tasks": [], "previous_results": [{"response": "Three points are open."}]})
    model.add(["Done."])
    assert (await user.post("/plans/steps", body))[0] == 200
    assert '[{"response":"Three points are open."}]' in model.calls[0].messages[0].content


async def test_the_bare_result_of_a_data_step_will_do(user: User, model: ScriptedModel) -> None:
    body = await step_of(user, data=[{"id": "t1", "title": "Milk"}])
    model.add([turn(calling("list_tasks")), "One."])
    assert (await user.post("/plans/steps", body))[0] == 200
    assert model.calls[1].messages[-1].content == '[{"id":"t1","title":"Milk"}]'


@pytest.mark.parametrize(
    "data", ["Three points.", {"output": "Three points.", "actions": [], "usage": {}}, {"output": "Three points."}]
)
async def test_the_bare_answer_of_an_llm_step_will_do(user: User, model: ScriptedModel, data: object) -> None:
    plan = await planned(user, "checkpoint_agent", "task_agent")
    model.add(["Done."])
    body = {"plan_id": plan["plan_id"], "step_id": "step_3", "vars": {"message": "x"}, "data": data}
    assert plan["steps"][-1]["data_from_step"] == "step_2"
    assert (await user.post("/plans/steps", body))[0] == 200
    assert '"response":"Three points."' in model.calls[0].messages[0].content


async def test_tools_of_a_step_see_the_clients_time(user: User, model: ScriptedModel) -> None:
    body = await step_of(user, data={"now": "2026-11-22T23:30:00Z", "timezone": "Asia/Tokyo"})
    model.add(["Late."])
    await user.post("/plans/steps", body)
    assert "Now: 2026-11-23T08:30:00+09:00 (Monday)" in model.calls[0].messages[0].content


async def test_a_model_that_recites_the_template_is_redacted(user: User, model: ScriptedModel) -> None:
    model.add([template.text for template in BUILT_IN])
    body = await step_of(user)
    for template in BUILT_IN:
        _, answer = await user.post("/plans/steps", body)
        assert "[REDACTED]" in answer["output"]
        words = template.text.split()
        spoken = answer["output"]
        assert all(" ".join(words[at : at + 8]) not in spoken for at in range(len(words) - 8))


DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"plan_id": None}, "plan_id"),
        ({"plan_id": 5}, "plan_id"),
        ({"plan_id": "a\x00"}, "plan_id"),
        ({"step_id": []}, "step_id"),
        ({"step_id": "step_1"}, "step_id"),  # a data step
        ({"vars": {}}, "vars.message"),
        ({"vars": None}, "vars"),
        ({"vars": []}, "vars"),
        ({"vars": {"message": 5}}, "vars.message"),
        ({"vars": {"message": None}}, "vars.message"),
        ({"vars": {"message": "x" * 16_001}}, "vars.message"),
        ({"vars": {"message": "x", "mood": "y"}}, "vars.mood"),
        ({"vars": {"message": "x", "data": "y"}}, "vars.data"),
        ({"data": 5}, "data"),
        ({"data": "text"}, "data"),
        ({"data": True}, "data"),
        ({"data": ["text"]}, "data.tasks"),
        ({"data": {"tasks": {}}}, "data.tasks"),
        ({"data": {"previous_results": {}}}, "data.previous_results"),
        ({"data": {"previous_results": ["x"]}}, "data.previous_results"),
        ({"data": {"previous_results": [{}, {"actions": 5}]}}, "data.previous_results[1].actions"),
        ({"data": {"previous_results": [{"actions": None}]}}, "data.previous_results[0].actions"),
        ({"data": {"x": "y" * MAX_CONTEXT_BYTES}}, "data"),
        ({"data": {"previous_results": [{"response": "y" * MAX_CONTEXT_BYTES}]}}, "data"),
        ({"data": {"x": DEEP}}, "data"),
        ({"data": {"now": "yesterday"}}, "data.now"),
        ({"data": {"timezone": "Mars/Olympus"}}, "data.timezone"),
    ],
)
async def test_a_wrong_step_names_the_field(user: User, wrong: dict[str, Any], field: str) -> None:
    status, problem = await user.post("/plans/steps", {**await step_of(user), **wrong})
    assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_a_template_that_shows_data_needs_some(user: User) -> None:
    body = {"plan_id": "create_tasks_from_project", "step_id": "create_tasks", "vars": {"message": "x"}}
    status, problem = await user.post("/plans/steps", body)
    assert (status, problem["errors"]) == (422, [{"field": "data", "message": "is missing"}])


@pytest.mark.parametrize("wrong", [{"step_id": "step_9"}, {"step_id": ""}, {"plan_id": ""}, {"plan_id": "x" * 5000}])
async def test_an_unknown_plan_or_step_is_404(user: User, wrong: dict[str, Any]) -> None:
    status, problem = await user.post("/plans/steps", {**await step_of(user), **wrong})
    assert (status, problem["code"]) == (404, "not_found")


async def test_a_playbook_whose_agent_is_not_installed_says_so(user: User) -> None:
    body = {"plan_id": "generate_weekly_note", "step_id": "write_note", "vars": {"message": ""}, "data": {}}
    status, problem = await user.post("/plans/steps", body)
    assert (status, problem["code"]) == (503, "unavailable")
    assert "note_agent" in problem["detail"]


async def test_an_agent_closed_to_the_tier_runs_no_step_not_even_of_an_older_plan(start: Start) -> None:
    client = await start(default_tier="pro")
    user = await register(client)
    plan = await planned(user, "checkpoint_agent")
    async with client.app[DATABASE].acquire() as conn:
        await queries.set_tier(conn, user.email, "free")
    body = {"plan_id": plan["plan_id"], "step_id": plan["steps"][-1]["id"], "vars": {"message": "x"}}
    status, problem = await user.post("/plans/steps", body)
    assert (status, problem["code"]) == (403, "tier_required")
    status, problem = await user.post("/chat", {**PLAN, "agents": ["checkpoint_agent"]})
    assert (status, problem["code"]) == (403, "tier_required")


async def test_plans_and_steps_count_as_chats_do(start: Start, model: ScriptedModel) -> None:
    user = await register(await start(rate_limits={"free": 3, "pro": 1, "power": 1, "team": 1}))
    model.add(["Done."])
    body = await step_of(user)
    async with user.client.post("/api/v1/plans/steps", json=body, headers=user.headers) as answer:
        assert (answer.status, answer.headers["RateLimit-Remaining"]) == (200, "1")
    assert (await user.get("/plans/playbook"))[0] == 200
    async with user.client.post("/api/v1/plans/steps", json=body, headers=user.headers) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0


async def test_a_failing_model_is_a_problem(user: User, model: ScriptedModel) -> None:
    model.add([LlmUnavailableError()])
    status, problem = await user.post("/plans/steps", await step_of(user))
    assert (status, problem["code"]) == (502, "llm_unavailable")


async def test_the_deadline_ends_a_step(start: Start, model: ScriptedModel, agent: TaskAgent) -> None:
    user = await register(await start(chat_deadline_seconds=0.2))
    model.add([turn(calling("wait"))])
    status, problem = await user.post("/plans/steps", await step_of(user))
    assert (status, problem["code"]) == (504, "llm_timeout")
    agent.release.set()
    await asyncio.sleep(0)
    assert agent.finished == 0


async def test_a_client_that_disconnects_stops_a_step(start: Start) -> None:
    model = GatedModel()
    user = await register(await start(model))
    request = asyncio.create_task(user.post("/plans/steps", await step_of(user)))
    await model.spoke.wait()
    request.cancel()
    async with asyncio.timeout(5):
        await model.ended.wait()


@pytest.mark.parametrize("path", ["/plans/playbook", "/plans/playbook/generate_weekly_note"])
async def test_plans_need_a_login(start: Start, path: str) -> None:
    client = await start()
    async with client.get(f"/api/v1{path}") as answer:
        assert answer.status == 401
    async with client.post("/api/v1/plans/steps", json={}) as answer:
        assert answer.status == 401
