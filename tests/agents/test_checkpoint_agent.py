from typing import Any

import pytest

from adiuva.sdk import Agent, Context, ToolArgumentsError, ToolError
from adiuva_checkpoint_agent import CheckpointAgent

ROOF = {"id": "k1", "title": "Roof done", "project_id": "p1", "status": "approved"}
PAINT = {"id": "k2", "title": "Paint chosen", "project_id": "p1", "status": "ai_suggested"}
SAIL = {"id": "k3", "title": "Sail", "project_id": "p2", "status": "approved"}
CTX = Context(
    data={
        "checkpoints": [ROOF, None, 5, PAINT, {"id": []}, SAIL],
        "projects": [{"id": "p1", "name": "House"}, {"id": "p2", "name": "Boat"}],
    }
)


@pytest.fixture
def agent() -> Agent:
    return CheckpointAgent()


def test_it_has_these_tools(agent: Agent) -> None:
    assert agent.name == "checkpoint_agent"
    assert {name: tool.permission for name, tool in agent.tools().items()} == {
        "list_checkpoints": "read:checkpoints",
        "create_checkpoint": "write:checkpoints",
        "update_checkpoint": "write:checkpoints",
        "delete_checkpoint": "write:checkpoints",
    }


@pytest.mark.parametrize(
    "filters,found",
    [
        ({}, [ROOF, PAINT, {"id": []}, SAIL]),
        ({"project_id": "p1"}, [ROOF, PAINT]),
        ({"status": "ai_suggested"}, [PAINT]),
        ({"project_id": "p2", "status": "approved"}, [SAIL]),
        ({"project_id": "p9"}, []),
    ],
)
async def test_checkpoints_are_filtered(call: Any, filters: dict[str, Any], found: list[Any]) -> None:
    assert await call("list_checkpoints", CTX, **filters) == found


async def test_a_new_checkpoint_needs_a_project(call: Any) -> None:
    with pytest.raises(ToolArgumentsError, match="project_id is missing"):
        await call("create_checkpoint", CTX, title="Roof")
    with pytest.raises(ToolArgumentsError, match="project_id must not be empty"):
        await call("create_checkpoint", CTX, title="Roof", project_id="")
    with pytest.raises(
        ToolError, match=r"None of the user's projects has this id. Their ids: p1 \(House\), p2 \(Boat\)"
    ):
        await call("create_checkpoint", CTX, title="Roof", project_id="House")


async def test_a_new_checkpoint_is_approved_unless_it_is_suggested(call: Any) -> None:
    action = await call("create_checkpoint", CTX, title="Roof", project_id="p1", due_date="2025-12-01")
    assert action.name == "create_checkpoint"
    assert action.params == {"project_id": "p1", "title": "Roof", "due_date": "2025-12-01", "status": "approved"}
    action = await call("create_checkpoint", CTX, title="Roof", project_id="p1", status="ai_suggested")
    assert action.params == {"project_id": "p1", "title": "Roof", "status": "ai_suggested"}


async def test_only_given_fields_are_changed(call: Any) -> None:
    action = await call("update_checkpoint", CTX, checkpoint_id="k2", status="approved")
    assert action.params == {"checkpoint_id": "k2", "status": "approved"}
    action = await call("update_checkpoint", CTX, checkpoint_id="k2", due_date=None)
    assert action.params == {"checkpoint_id": "k2", "due_date": None}
    with pytest.raises(ToolError, match="nothing to change"):
        await call("update_checkpoint", CTX, checkpoint_id="k2")


async def test_deleting_asks_the_user(call: Any) -> None:
    action = await call("delete_checkpoint", CTX, checkpoint_id="k1")
    assert (action.params, action.requires_confirmation) == ({"checkpoint_id": "k1"}, True)


@pytest.mark.parametrize("name,arguments", [("update_checkpoint", {"title": "a"}), ("delete_checkpoint", {})])
async def test_an_id_that_the_context_does_not_have_is_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="None of the user's checkpoints has this id"):
        await call(name, CTX, checkpoint_id="k9", **arguments)
    assert (await call(name, checkpoint_id="k9", **arguments)).params["checkpoint_id"] == "k9"


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("create_checkpoint", {"title": " ", "project_id": "p1"}),
        ("create_checkpoint", {"title": "a", "project_id": "p1", "status": "suggested"}),
        ("update_checkpoint", {"checkpoint_id": "k1", "due_date": "soon"}),
        ("update_checkpoint", {"checkpoint_id": "k1", "project_id": "p2"}),
    ],
)
async def test_arguments_out_of_bounds_are_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError, match=f"{name} was not run"):
        await call(name, CTX, **arguments)
