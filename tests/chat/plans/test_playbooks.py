"""Both playbooks, carried out to their end as a client does it: with nothing but the API and its own data."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.llm.offline.model import OfflineModel
from adiuva.llm.protocol import Model
from adiuva.local_data import LocalData
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import User, register

DATA: dict[str, list[dict[str, Any]]] = {
    "projects": [{"id": "p1", "name": "Apollo", "description": "Still open: book the hall."}, {"id": "p2"}],
    "tasks": [{"id": "t1", "title": "Paint the sign", "status": "done", "project_id": "p1"}],
    "checkpoints": [{"id": "c1", "title": "Dress rehearsal", "project_id": "p1"}],
    "notes": [{"id": "n1", "title": "Ideas", "content": "Ask the choir."}],
}


async def carry_out(user: User, plan_id: str, message: str, mine: LocalData) -> list[dict[str, Any]]:
    """Run each step of the plan in turn; gives the answers of the llm steps."""
    status, plan = await user.get(f"/plans/playbook/{plan_id}")
    assert status == 200
    data: dict[str, dict[str, Any]] = {}
    answers = []
    for step in plan["steps"]:
        before = data[step["data_from_step"]] if "data_from_step" in step else {}
        if step["kind"] == "data":
            verb, kind = step["action"].split("_")
            read = {kind: mine.lists[kind]} if verb == "list" else {f"{kind}s": mine.lists[f"{kind}s"][:1]}
            data[step["id"]] = before | read
            continue
        values = {name: {"message": message}[name] for name in step["vars"]}
        body = {"plan_id": plan_id, "step_id": step["id"], "vars": values, "data": before}
        status, answer = await user.post("/plans/steps", body)
        assert status == 200, answer
        assert all(mine.apply(action) for action in answer["actions"])
        result = {"response": answer["output"], "actions": answer["actions"]}
        data[step["id"]] = before | {"previous_results": [*before.get("previous_results", []), result]}
        answers.append(answer)
    return answers


async def serve(settings: Settings, model: Model) -> AsyncIterator[User]:
    app = create_app(evolve(settings, default_tier="free"), model=model, registry=AgentRegistry.load())
    async with TestClient(TestServer(app)) as client:
        yield await register(client)


@pytest.fixture
async def user(settings: Settings, model: ScriptedModel) -> AsyncIterator[User]:
    async for someone in serve(settings, model):
        yield someone


@pytest.fixture
def mine() -> LocalData:
    return LocalData({kind: [dict(item) for item in items] for kind, items in DATA.items()})


async def test_tasks_are_created_from_a_project(user: User, model: ScriptedModel, mine: LocalData) -> None:
    wish = calling("create_task", title="Book the hall", project_id="p1")
    model.add([turn(wish), "One task."])
    [answer] = await carry_out(user, "create_tasks_from_project", "Only what is urgent", mine)
    assert answer["output"] == "One task."
    assert [(task["title"], task.get("project_id")) for task in mine.lists["tasks"]] == [
        ("Paint the sign", "p1"),
        ("Book the hall", "p1"),
    ]
    prompt = model.calls[0].messages[-1].content
    for text in ("Only what is urgent", "book the hall", "Paint the sign", "Dress rehearsal", "Ask the choir"):
        assert text in prompt
    assert '"p2"' not in prompt  # the user has chosen the other project
    assert "create_task" in [spec.name for spec in model.calls[0].tools]


async def test_a_task_in_a_project_that_the_client_did_not_send_is_refused(
    user: User, model: ScriptedModel, mine: LocalData
) -> None:
    model.add([turn(calling("create_task", title="Book the hall", project_id="p2")), "I could not."])
    [answer] = await carry_out(user, "create_tasks_from_project", "", mine)
    assert answer["actions"] == []


async def test_a_weekly_note_is_written(user: User, model: ScriptedModel, mine: LocalData) -> None:
    wish = calling("create_note", title="Week of 2026-11-16", content="## Apollo\n\nThe sign is painted.")
    model.add([turn(wish), "A quiet week."])
    [answer] = await carry_out(user, "generate_weekly_note", "", mine)
    assert answer["output"] == "A quiet week."
    note = mine.lists["notes"][-1]
    assert (note["title"], note["content"]) == ("Week of 2026-11-16", "## Apollo\n\nThe sign is painted.")
    prompt = model.calls[0].messages[-1].content
    for text in ("Paint the sign", "Dress rehearsal", "Ask the choir", '"p2"'):
        assert text in prompt


async def test_a_plan_of_two_agents_is_carried_out_too(user: User, model: ScriptedModel, mine: LocalData) -> None:
    message = "Note what is open in Apollo, and make tasks of it"
    _, plan = await user.post("/chat", {"message": message, "mode": "plan", "agents": ["note_agent", "task_agent"]})
    model.add([turn(calling("create_note", title="Open", content="Book the hall.", project_id="p1")), "One point."])
    model.add([turn(calling("create_task", title="Book the hall", project_id="p1")), "One task."])
    answers = await carry_out(user, plan["plan_id"], message, mine)
    assert [answer["output"] for answer in answers] == ["One point.", "One task."]
    assert mine.lists["notes"][-1]["title"] == "Open"
    assert mine.lists["tasks"][-1]["title"] == "Book the hall"
    second = model.calls[2].messages[0].content
    assert '"response":"One point."' in second
    assert '"content":"Book the hall."' in second


async def test_a_plan_works_with_the_offline_model(settings: Settings, mine: LocalData) -> None:
    async for user in serve(settings, OfflineModel()):
        message = "Create a task 'Book the hall' for tomorrow"
        _, plan = await user.post("/chat", {"message": message, "mode": "plan"})
        [answer] = await carry_out(user, plan["plan_id"], message, mine)
        assert [action["action"] for action in answer["actions"]] == ["create_task"]
        assert mine.lists["tasks"][-1]["title"] == "Book the hall"
        for playbook in ("create_tasks_from_project", "generate_weekly_note"):
            assert await carry_out(user, playbook, "", mine)
