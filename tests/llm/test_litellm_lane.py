"""What only the LiteLLM lane has to prove; the contract of all lanes is in test_lanes."""

import asyncio
import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from adiuva.errors import LlmNotConfiguredError
from adiuva.llm.gateway import Gateway
from adiuva.llm.litellm_lane import LitellmLane
from adiuva.llm.protocol import Message, ModelCall
from adiuva.llm.providers import Endpoints

pytestmark = pytest.mark.xdist_group("litellm")


async def test_an_unknown_provider_is_told() -> None:
    lane = LitellmLane(endpoints=Endpoints(environ={}))
    gateway = Gateway(lane_of=lambda _model: lane)

    with pytest.raises(LlmNotConfiguredError, match="No provider is known for the model nowhere/x"):
        await gateway.run(ModelCall(model="nowhere/x", messages=(Message(role="user", content="Hello"),)))


async def test_the_import_is_shared_and_outlives_a_caller_that_gives_up() -> None:
    lane = LitellmLane(endpoints=Endpoints(environ={}))
    first, second = asyncio.create_task(lane.start()), asyncio.create_task(lane.start())
    await asyncio.sleep(0)
    first.cancel()

    await second

    assert first.cancelled()
    assert lane._litellm.__name__ == "litellm"


async def test_litellm_keeps_its_mouth_shut() -> None:
    await LitellmLane(endpoints=Endpoints(environ={})).start()

    for name in ("LiteLLM", "openai", "httpx"):
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)


def test_nothing_else_imports_litellm() -> None:
    package = Path(__file__).parents[2] / "adiuva"
    importers = [
        path.name
        for path in package.rglob("*.py")
        if any(line.strip().startswith(("import litellm", "from litellm")) for line in path.read_text().splitlines())
    ]

    assert importers == ["litellm_lane.py"]


def test_tools_work_without_the_package_mcp() -> None:
    # LiteLLM wants it for any call with tools unless it is told otherwise, with an argument that it does not document.
    lanes = Path(__file__).parent / "test_lanes.py"
    code = f"""
        import sys, pytest
        sys.modules["mcp"] = None
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "several_tool_calls and litellm", {str(lanes)!r}]))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True)
