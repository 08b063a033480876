"""Runs what ``docs/mcp.md`` shows."""

import re
from pathlib import Path
from typing import Any

import pytest

from adiuva.mcp_config import mcp_servers
from tests.chat.conftest import User

GUIDE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.xdist_group("mcp")
async def test_the_example_of_a_client_runs(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = [code for language, code in BLOCKS if language == "python"]
    names: dict[str, Any] = {}
    exec(compile(example, "docs/mcp.md", "exec"), names)
    await names["plan"](str(user.client.make_url("")).rstrip("/"), user.tokens["access_token"])
    said = capsys.readouterr().out
    assert "task_agent-create_task" in said
    assert "[{'id': 't1', 'title': 'Mow the lawn', 'status': 'todo'}]" in said
    assert "{'title': 'Rake the leaves', 'priority': 'low'}" in said


def test_the_example_of_the_setting_is_understood() -> None:
    [example] = [code for language, code in BLOCKS if language == "json"]
    wiki, files = mcp_servers(example)
    assert (wiki.url, wiki.agents) == ("https://wiki.example.com/mcp", ("note_agent",))
    assert (files.command, files.args[0]) == ("npx", "-y")
    assert len(BLOCKS) == 2
