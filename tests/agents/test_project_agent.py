from typing import Any

import pytest

from adiuva.sdk import Agent, Context, ToolArgumentsError, ToolError
from adiuva_project_agent import ProjectAgent

HOUSE = {"id": "p1", "name": "House", "status": "active"}
BOAT = {"id": "p2", "name": "Boat", "status": "archived"}
BARE = {"id": "p3", "name": "Bare"}
ODD = {"id": "p4", "status": 5}
CTX = Context(data={"projects": [HOUSE, BOAT, None, "p5", BARE, ODD]})


@pytest.fixture
def agent() -> Agent:
    return ProjectAgent()


def test_it_has_these_tools(agent: Agent) -> None:
    assert agent.name == "project_agent"
    assert {name: tool.permission for name, tool in agent.tools().items()} == {
        "list_projects": "read:projects",
        "list_all_projects": "read:projects",
        "get_project": "read:projects",
        "create_project": "write:projects",
        "update_project": "write:projects",
        "delete_project": "write:projects",
    }


def test_it_is_told_to_archive_rather_than_to_delete(agent: Agent) -> None:
    assert "Prefer archiving to deleting" in agent.instructions
    assert "Archive it instead" in agent.tools()["delete_project"].description


async def test_only_active_projects_are_listed_unless_all_are_asked_for(call: Any) -> None:
    assert await call("list_projects", CTX) == [HOUSE, BARE]
    assert await call("list_all_projects", CTX) == [HOUSE, BOAT, BARE, ODD]
    assert await call("list_all_projects", CTX, status="archived") == [BOAT]
    assert await call("list_projects") == []


async def test_one_project_is_got_by_its_id(call: Any) -> None:
    assert await call("get_project", CTX, project_id="p2") == BOAT
    for ctx in (CTX, Context()):
        with pytest.raises(ToolError, match="no project with this id"):
            await call("get_project", ctx, project_id="p9")


async def test_a_new_project_is_active(call: Any) -> None:
    action = await call("create_project", CTX, name="Garden")
    assert (action.name, action.params) == ("create_project", {"name": "Garden", "status": "active"})


async def test_only_given_fields_are_changed(call: Any) -> None:
    action = await call("update_project", CTX, project_id="p1", status="archived")
    assert (action.name, action.params) == ("update_project", {"project_id": "p1", "status": "archived"})
    with pytest.raises(ToolError, match="nothing to change"):
        await call("update_project", CTX, project_id="p1")


async def test_deleting_asks_the_user(call: Any) -> None:
    action = await call("delete_project", CTX, project_id="p1")
    assert (action.params, action.requires_confirmation) == ({"project_id": "p1"}, True)


@pytest.mark.parametrize("name,arguments", [("update_project", {"status": "archived"}), ("delete_project", {})])
async def test_an_id_that_the_context_does_not_have_is_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="None of the user's projects has this id"):
        await call(name, CTX, project_id="p9", **arguments)
    assert (await call(name, project_id="p9", **arguments)).params["project_id"] == "p9"


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("create_project", {"name": ""}),
        ("create_project", {"name": "a", "status": "done"}),
        ("update_project", {"project_id": "p1", "status": "deleted"}),
        ("get_project", {}),
        ("list_projects", {"status": "archived"}),
    ],
)
async def test_arguments_out_of_bounds_are_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError, match=f"{name} was not run"):
        await call(name, CTX, **arguments)
