from typing import Any

import pytest

from adiuva.sdk import Agent, Context, ToolArgumentsError, ToolError
from adiuva_note_agent import EXCERPT, NoteAgent

IDEAS = {"id": "n1", "title": "Ideas", "content": "# Roses\n\n- red", "project_id": "p1"}
LONG = {"id": "n2", "title": "Long", "content": "x" * (EXCERPT + 1)}
ODD = {"id": "n3", "title": None, "content": ["x"], "project_id": 5}
CTX = Context(data={"notes": [IDEAS, None, "n9", LONG, ODD, {}], "projects": [{"id": "p1", "name": "House"}]})


@pytest.fixture
def agent() -> Agent:
    return NoteAgent()


def test_it_has_these_tools(agent: Agent) -> None:
    assert agent.name == "note_agent"
    assert {name: tool.permission for name, tool in agent.tools().items()} == {
        "list_notes": "read:notes",
        "get_note": "read:notes",
        "create_note": "write:notes",
        "update_note": "write:notes",
        "delete_note": "write:notes",
    }


async def test_notes_are_listed_with_the_beginning_of_their_content(call: Any) -> None:
    notes = await call("list_notes", CTX)
    assert [note.get("id") for note in notes] == ["n1", "n2", "n3", None]
    assert notes[0] == IDEAS
    assert notes[1]["content"] == "x" * EXCERPT + "…"
    assert len(str(LONG["content"])) == EXCERPT + 1  # the context itself is as it was


@pytest.mark.parametrize(
    "filters,found",
    [
        ({"project_id": "p1"}, ["n1"]),
        ({"containing": "ROSES"}, ["n1"]),
        ({"containing": "ideas"}, ["n1"]),
        ({"containing": "ideas", "project_id": "p2"}, []),
        ({"containing": "nowhere"}, []),
    ],
)
async def test_notes_are_filtered(call: Any, filters: dict[str, Any], found: list[str]) -> None:
    assert [note["id"] for note in await call("list_notes", CTX, **filters)] == found


async def test_one_note_is_got_whole(call: Any) -> None:
    assert await call("get_note", CTX, note_id="n2") == LONG
    for ctx in (CTX, Context()):
        with pytest.raises(ToolError, match="no note with this id"):
            await call("get_note", ctx, note_id="n9")


async def test_a_new_note_may_have_a_project(call: Any) -> None:
    action = await call("create_note", CTX, title="Roof", content="- tiles")
    assert (action.name, action.params) == ("create_note", {"title": "Roof", "content": "- tiles"})
    action = await call("create_note", CTX, title="Roof", project_id="p1")
    assert action.params == {"title": "Roof", "content": "", "project_id": "p1"}
    with pytest.raises(ToolError, match=r"p1 \(House\)"):
        await call("create_note", CTX, title="Roof", project_id="House")


async def test_only_given_fields_are_changed(call: Any) -> None:
    action = await call("update_note", CTX, note_id="n1", content="")
    assert (action.name, action.params) == ("update_note", {"note_id": "n1", "content": ""})
    action = await call("update_note", CTX, note_id="n1", project_id=None)
    assert action.params == {"note_id": "n1", "project_id": None}
    with pytest.raises(ToolError, match="nothing to change"):
        await call("update_note", CTX, note_id="n1")
    with pytest.raises(ToolError, match="None of the user's projects has this id"):
        await call("update_note", CTX, note_id="n1", project_id="p9")


async def test_deleting_asks_the_user(call: Any) -> None:
    action = await call("delete_note", CTX, note_id="n1")
    assert (action.params, action.requires_confirmation) == ({"note_id": "n1"}, True)


@pytest.mark.parametrize("name,arguments", [("update_note", {"title": "a"}), ("delete_note", {})])
async def test_an_id_that_the_context_does_not_have_is_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="None of the user's notes has this id"):
        await call(name, CTX, note_id="n9", **arguments)
    assert (await call(name, note_id="n9", **arguments)).params["note_id"] == "n9"


@pytest.mark.parametrize(
    "name,arguments",
    [
        ("create_note", {"content": "a"}),
        ("create_note", {"title": " "}),
        ("create_note", {"title": "a", "content": ["a"]}),
        ("update_note", {"note_id": "n1", "title": ""}),
        ("get_note", {"note_id": 1}),
    ],
)
async def test_arguments_out_of_bounds_are_refused(call: Any, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError, match=f"{name} was not run"):
        await call(name, CTX, **arguments)
