"""What a tool gives goes to the model, within limits; most of the loop is tested with the agents."""

import pytest

from adiuva.chat.messages import MAX_RESULT_BYTES
from adiuva.chat.tool_loop import MAX_ERROR_CHARACTERS
from adiuva.sdk import Agent, Context, ToolError, tool
from adiuva.testing.harness import AgentHarness
from adiuva.testing.models import ScriptedModel, calling, turn

AROUND = len('""')


class ArchiveAgent(Agent):
    name = "archive_agent"
    description = "Reads the archive."
    instructions = "You read the archive."

    @tool
    def list_pages(self, ctx: Context, letter: str, count: int) -> str:
        """List the pages."""
        return letter * count

    @tool
    def find_page(self, ctx: Context, problem: str, count: int = 1) -> str:
        """Find a page, or say what the problem is."""
        raise ToolError(problem.replace("?", "\ud800") * count)


@pytest.mark.parametrize("letter", ["a", "ä", "🪴"])
async def test_a_result_is_measured_in_bytes_as_it_goes_over_the_wire(letter: str) -> None:
    fits = (MAX_RESULT_BYTES - AROUND) // len(letter.encode())
    for count, error in ((fits, None), (fits + 1, "The result is too large: ask for less.")):
        wish = turn(calling("list_pages", letter=letter, count=count))
        run = await AgentHarness.of(ArchiveAgent(), model=ScriptedModel([wish, "Done."])).run("List them")
        [result] = run.tool_results
        assert result.error == error


@pytest.mark.parametrize(
    "problem, count, told",
    [
        ("half ? a pair", 1, "half ? a pair"),  # what is no text in UTF-8
        ("long", 100_000, "long" * (MAX_ERROR_CHARACTERS // 4)),
    ],
)
async def test_whatever_a_tool_says_of_its_fault_can_be_told_to_the_model(problem: str, count: int, told: str) -> None:
    wish = turn(calling("find_page", problem=problem, count=count))
    run = await AgentHarness.of(ArchiveAgent(), model=ScriptedModel([wish, "Done."])).run("Find it")
    assert run.text == "Done."
    assert [result.error for result in run.tool_results] == [told]
