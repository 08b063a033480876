from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adiuva.sdk import Agent, Context, ToolArgumentsError, ToolError
from adiuva_task_agent import TaskAgent

BANK = {
    "id": "t1",
    "title": "Call the bank",
    "status": "todo",
    "priority": "high",
    "due_date": "2025-11-24",
    "project_id": "p1",
    "comments": [{"id": "c1", "text": "ask for Ms Kim"}],
}
TAXES = {"id": "t2", "title": "Taxes", "status": "done", "priority": "low", "due_date": "2025-11-23"}
ROSES = {"id": "t3", "title": "Roses", "status": "in_progress", "priority": "low"}
CTX = Context(
    data={"tasks": [BANK, TAXES, ROSES], "projects": [{"id": "p1", "name": "House"}]},
    now=datetime(2025, 11, 23, 9, 0, tzinfo=ZoneInfo("Europe/Berlin")),
)
MALFORMED: list[Any] = [
    None,
    5,
    "t1",
    [],
    {},
    {"id": "t1"},
    {"id": 5, "status": 5, "priority": [], "due_date": 20251123, "project_id": {}, "comments": "none"},
    {"id": "t1", "due_date": "soon", "comments": [None, 5, {}, {"id": None}]},
    {"id": None, "due_date": ["2025-11-23"], "comments": {"id": "c1"}},
]


@pytest.fixture
def agent() -> Agent:
    return TaskAgent()


def ids(tasks: list[dict[str, Any]]) -> list[Any]:
    return [task["id"] for task in tasks]


def test_it_has_these_tools(agent: Agent) -> None:
    assert agent.name == "task_agent"
    assert {name: tool.permission for name, tool in agent.tools().items()} == {
        "list_tasks": "read:tasks",
        "list_tasks_due_today": "read:tasks",
        "create_task": "write:tasks",
        "update_task": "write:tasks",
        "delete_task": "write:tasks",
        "list_task_comments": "read:tasks",
        "add_task_comment": "write:tasks",
        "delete_task_comment": "write:tasks",
    }
    assert all(tool.read_only == name.startswith("list_") for name, tool in agent.tools().items())


@pytest.mark.parametrize(
    "filters,found",
    [
        ({}, ["t1", "t2", "t3"]),
        ({"status": "todo"}, ["t1"]),
        ({"priority": "low"}, ["t2", "t3"]),
        ({"priority": "low", "status": "done"}, ["t2"]),
        ({"project_id": "p1"}, ["t1"]),
        ({"project_id": "p2"}, []),
        ({"due_by": "2025-11-23"}, ["t2"]),
        ({"due_by": "2025-11-24"}, ["t1", "t2"]),
        ({"status": None}, ["t1", "t2", "t3"]),
    ],
)
async def test_tasks_are_filtered(call: Any, filters: dict[str, Any], found: list[str]) -> None:
    assert ids(await call("list_tasks", CTX, **filters)) == found


@pytest.mark.parametrize(
    "zone,due,is_today",
    [
        ("UTC", "2025-11-23", True),
        ("UTC", "2025-11-24", False),
        ("UTC", "2025-11-23T23:59:00Z", True),
        ("Europe/Berlin", "2025-11-23", False),
        ("Europe/Berlin", "2025-11-24", True),
        ("Europe/Berlin", "2025-11-23T23:30:00Z", True),
        ("Europe/Berlin", "2025-11-24T23:30:00Z", False),
        ("America/New_York", "2025-11-23", True),
        ("America/New_York", "2025-11-24T03:00:00Z", True),
        ("America/New_York", "2025-11-24T12:00:00Z", False),
        ("Pacific/Kiritimati", "2025-11-24", True),
    ],
)
async def test_due_today_is_today_where_the_client_is(call: Any, zone: str, due: str, is_today: bool) -> None:
    now = datetime(2025, 11, 23, 23, 15, tzinfo=UTC).astimezone(ZoneInfo(zone))
    ctx = Context(data={"tasks": [{"id": "t1", "due_date": due}]}, now=now)
    assert ids(await call("list_tasks_due_today", ctx)) == (["t1"] if is_today else [])


async def test_due_today_is_filtered_by_status(call: Any) -> None:
    assert ids(await call("list_tasks_due_today", CTX)) == ["t2"]
    assert await call("list_tasks_due_today", CTX, status="todo") == []


async def test_a_new_task_has_what_was_said_and_sensible_defaults(call: Any) -> None:
    action = await call("create_task", CTX, title="Call the bank")
    assert action.name == "create_task"
    assert action.params == {"title": "Call the bank", "status": "todo", "priority": "medium"}
    assert not action.requires_confirmation
    action = await call(
        "create_task",
        CTX,
        title="Call the bank",
        description="about the loan",
        priority="high",
        due_date="2025-11-24",
        project_id="p1",
    )
    assert action.params == {
        "title": "Call the bank",
        "description": "about the loan",
        "status": "todo",
        "priority": "high",
        "due_date": "2025-11-24",
        "project_id": "p1",
    }


async def test_a_model_that_fills_in_nulls_sets_nothing_by_it(call: Any) -> None:
    action = await call("create_task", CTX, title="a", description=None, due_date=None, project_id=None, priority=None)
    assert action.params == {"title": "a", "status": "todo", "priority": "medium"}


async def test_only_given_fields_are_changed(call: Any) -> None:
    action = await call("update_task", CTX, task_id="t1", status="done")
    assert action.params == {"task_id": "t1", "status": "done"}
    action = await call("update_task", CTX, task_id="t1", due_date=None, project_id=None, description="")
    assert action.params == {"task_id": "t1", "description": "", "due_date": None, "project_id": None}


async def test_an_update_of_nothing_is_refused(call: Any) -> None:
    with pytest.raises(ToolError, match="nothing to change"):
        await call("update_task", CTX, task_id="t1")


async def test_deleting_asks_the_user(call: Any) -> None:
    action = await call("delete_task", CTX, task_id="t1")
    assert (action.name, action.params, action.requires_confirmation) == ("delete_task", {"task_id": "t1"}, True)


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("update_task", {"task_id": "t9", "status": "done"}),
        ("update_task", {"task_id": "t1", "project_id": "p9"}),
        ("update_task", {"task_id": "t1", "project_id": ""}),
        ("create_task", {"title": "a", "project_id": "p9"}),
        ("delete_task", {"task_id": "t9"}),
        ("delete_task", {"task_id": "Call the bank"}),
        ("list_task_comments", {"task_id": "t9"}),
        ("add_task_comment", {"task_id": "t9", "text": "x"}),
        ("delete_task_comment", {"task_id": "t9", "comment_id": "c1"}),
        ("delete_task_comment", {"task_id": "t1", "comment_id": "c9"}),
    ],
)
async def test_an_id_that_the_context_does_not_have_is_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="this id"):
        await call(name, CTX, **arguments)
    assert await call(name, Context(), **arguments) is not None  # nothing is listed: the client has to know


async def test_the_refusal_of_a_project_tells_which_there_are(call: Any) -> None:
    with pytest.raises(ToolError, match=r"p1 \(House\)"):
        await call("create_task", CTX, title="a", project_id="House")


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("create_task", {}),
        ("create_task", {"title": " "}),
        ("create_task", {"title": "a", "priority": "urgent"}),
        ("create_task", {"title": "a", "status": "open"}),
        ("create_task", {"title": "a", "due_date": "tomorrow"}),
        ("update_task", {"status": "done"}),
        ("update_task", {"task_id": "t1", "title": ""}),
        ("update_task", {"task_id": 1, "status": "done"}),
        ("list_tasks", {"status": "open"}),
        ("add_task_comment", {"task_id": "t1", "text": ""}),
    ],
)
async def test_arguments_out_of_bounds_are_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError, match=f"{name} was not run"):
        await call(name, CTX, **arguments)


COMMENT = {"id": "c1", "task_id": "t1", "text": "a"}


@pytest.mark.parametrize(
    "data",
    [
        {"tasks": [{"id": "t1", "comments": [COMMENT]}]},
        {"comments": [COMMENT, {"id": "c2", "task_id": "t2"}]},
        {"task_comments": [COMMENT, {"id": "c2", "task_id": "t2"}, None, 5]},
        {"tasks": [{"id": "t1", "comments": [COMMENT]}], "comments": [COMMENT]},
        {"tasks": [{"id": "t1"}], "comments": [COMMENT], "task_comments": "none"},
    ],
)
async def test_comments_are_found_wherever_the_client_puts_them(call: Any, data: dict[str, Any]) -> None:
    ctx = Context(data=data)
    assert await call("list_task_comments", ctx, task_id="t1") == [COMMENT]
    action = await call("delete_task_comment", ctx, task_id="t1", comment_id="c1")
    assert action.params == {"task_id": "t1", "comment_id": "c1"}
    assert action.requires_confirmation
    with pytest.raises(ToolError, match="no comment with this id"):
        await call("delete_task_comment", ctx, task_id="t1", comment_id="c2")


async def test_comments_without_ids_are_all_listed(call: Any) -> None:
    ctx = Context(data={"tasks": [{"id": "t1", "comments": [{"text": "a"}, {"text": "b"}]}]})
    assert await call("list_task_comments", ctx, task_id="t1") == [{"text": "a"}, {"text": "b"}]


async def test_a_comment_is_added(call: Any) -> None:
    action = await call("add_task_comment", CTX, task_id="t1", text="done by phone")
    assert action.params == {"task_id": "t1", "text": "done by phone"}


@pytest.mark.parametrize("data", [{"tasks": MALFORMED}, {"tasks": {}}, {"tasks": "x"}, {"comments": MALFORMED}])
async def test_a_malformed_context_breaks_no_tool(call: Any, data: dict[str, Any]) -> None:
    ctx = Context(data=data | {"task_comments": MALFORMED, "projects": MALFORMED})
    assert isinstance(await call("list_tasks", ctx), list)
    assert await call("list_tasks", ctx, status="todo", priority="high", project_id="p1", due_by="2025-11-23") == []
    assert await call("list_tasks_due_today", ctx) == []
    assert isinstance(await call("list_task_comments", ctx, task_id="t1"), list)
    await call("update_task", ctx, task_id="t1", status="done")
    await call("delete_task", ctx, task_id="t1")
