"""What a tool gives goes to the model, within limits; most of the loop is tested with the agents."""

import pytest

from adiuva.chat.messages import MAX_RESULT_BYTES
from adiuva.sdk import Agent, Context, tool
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


@pytest.mark.parametrize("letter", ["a", "ä", "🪴"])
async def test_a_result_is_measured_in_bytes_as_it_goes_over_the_wire(letter: str) -> None:
    fits = (MAX_RESULT_BYTES - AROUND) // len(letter.encode())
    for count, error in ((fits, None), (fits + 1, "The result is too large: ask for less.")):
        wish = turn(calling("list_pages", letter=letter, count=count))
        run = await AgentHarness.of(ArchiveAgent(), model=ScriptedModel([wish, "Done."])).run("List them")
        [result] = run.tool_results
        assert result.error == error
