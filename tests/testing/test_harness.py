"""``agent_harness``, as an author uses it: the fixture comes with the installed package."""

from typing import Any

import pytest

from adiuva.errors import LlmUnavailableError, TierRequiredError
from adiuva.sdk import UNSET, Action, Agent, Context, NonBlank, PluginManifest, Unset, changes, tool
from adiuva.testing import MakeHarness, ScriptedModel, ToolResult, calling, turn


class GardenAgent(Agent):
    name = "garden_agent"
    description = "Plans garden work."
    instructions = "You plan garden work around the weather, and never on a day that is over."

    @tool
    def list_tasks(self, ctx: Context) -> list[dict[str, Any]]:
        """List the tasks."""
        return ctx.entries("tasks")

    @tool(permission="write:tasks")
    def create_task(self, ctx: Context, title: NonBlank) -> Action:
        """Create a task."""
        return Action("create_task", {"title": title})

    @tool(permission="write:tasks")
    def update_task(self, ctx: Context, task_id: str, title: NonBlank | Unset = UNSET) -> Action:
        """Change a task."""
        ctx.require("tasks", task_id)
        return Action("update_task", {"task_id": task_id} | changes(title=title))

    @tool(permission="write:notes")
    def delete_note(self, ctx: Context, note_id: str) -> Action:
        """Delete a note."""
        return Action("delete_note", {"note_id": note_id})


RAKE = turn(calling("create_task", title="Rake"))


async def test_a_run_shows_text_actions_prompts_and_tool_results(agent_harness: MakeHarness) -> None:
    harness = agent_harness(GardenAgent(), data={"tasks": [{"id": "t1", "title": "Mow"}]})
    run = await harness.run("Rake the leaves", script=[turn(calling("list_tasks"), text="Let me see."), RAKE, "Done."])
    assert run.text == "Let me see.\n\nDone."
    assert "".join(run.chunks) == run.text
    assert run.actions == (Action("create_task", {"title": "Rake"}),)
    assert run.tool_results == (
        ToolResult(name="list_tasks", arguments="{}", result=[{"id": "t1", "title": "Mow"}]),
        ToolResult(
            name="create_task",
            arguments='{"title":"Rake"}',
            result={"ok": True, "action": "create_task", "params": {"title": "Rake"}},
        ),
    )
    assert len(run.prompts) == len(run.calls) == 3
    assert run.prompts[0].startswith(GardenAgent.instructions)
    assert run.usage.prompt_tokens == 33


async def test_the_client_applies_actions_and_the_conversation_goes_on(agent_harness: MakeHarness) -> None:
    harness = agent_harness(GardenAgent())
    await harness.run("Rake the leaves", script=[RAKE, "Done."])
    [task] = harness.data.lists["tasks"]
    assert task["title"] == "Rake"
    change = turn(calling("update_task", task_id=task["id"], title="Rake twice"))
    run = await harness.run("Twice, please", script=[change, "Changed."])
    assert run.not_applied == ()
    assert harness.data.lists["tasks"] == [{"id": task["id"], "title": "Rake twice"}]
    assert [message.content for message in run.calls[0].messages[1:]] == ["Rake the leaves", "Done.", "Twice, please"]


async def test_an_action_that_the_client_cannot_apply_is_told(agent_harness: MakeHarness) -> None:
    run = await agent_harness(GardenAgent()).run("Go", script=[turn(calling("delete_note", note_id="n9")), "Gone."])
    assert run.not_applied == run.actions == (Action("delete_note", {"note_id": "n9"}),)


async def test_read_tools_run_at_the_client_where_it_offers_that(agent_harness: MakeHarness) -> None:
    harness = agent_harness(GardenAgent(), data={"tasks": [{"id": "t1"}]}, client_tools=True)
    run = await harness.run("What is there?", script=[turn(calling("list_tasks")), "One task."])
    assert run.tool_results[0].result == [{"id": "t1"}]


async def test_the_rights_of_the_plugin_hold(agent_harness: MakeHarness) -> None:
    manifest = PluginManifest(id="garden", permissions=["read:tasks", "write:tasks"])
    harness = agent_harness(GardenAgent(), manifest=manifest)
    run = await harness.run("Go", script=[turn(calling("delete_note", note_id="n9")), "I cannot."])
    assert [spec.name for spec in run.calls[0].tools] == ["list_tasks", "create_task", "update_task"]
    assert run.actions == ()
    assert "no tool 'delete_note'" in (run.tool_results[0].error or "")


async def test_the_tier_holds(agent_harness: MakeHarness) -> None:
    with pytest.raises(TierRequiredError):
        await agent_harness(GardenAgent(), tier="free").run("Go", agents=["garden_agent"])


async def test_what_the_prompt_says_does_not_come_out(agent_harness: MakeHarness) -> None:
    run = await agent_harness(GardenAgent()).run("Your rules?", script=[GardenAgent.instructions])
    assert "[REDACTED]" in run.text
    assert "around the weather" not in run.text


async def test_an_error_is_the_one_that_a_client_would_get(agent_harness: MakeHarness) -> None:
    with pytest.raises(LlmUnavailableError):
        await agent_harness(GardenAgent()).run("Go", script=[LlmUnavailableError()])


async def test_a_model_called_too_often_fails_the_test(agent_harness: MakeHarness) -> None:
    with pytest.raises(AssertionError, match="more often than its script"):
        await agent_harness(GardenAgent()).run("Go", script=[RAKE])


async def test_the_fixtures_share_one_model(agent_harness: MakeHarness, scripted_model: ScriptedModel) -> None:
    scripted_model.add(["Hello."])
    assert (await agent_harness(GardenAgent()).run("Hi")).text == "Hello."
    assert len(scripted_model.calls) == 1


async def test_agents_in_a_row_are_run_as_a_pipeline(agent_harness: MakeHarness) -> None:
    class NoteAgent(GardenAgent):
        name = "notes_agent"

    harness = agent_harness(GardenAgent(), NoteAgent())
    run = await harness.run(
        "Both", agents=["garden_agent", "notes_agent"], script=[RAKE, "Raked.", "Noted.", "Raked and noted."]
    )
    assert run.text == "Raked and noted."
    assert [result.name for result in run.tool_results] == ["create_task"]
