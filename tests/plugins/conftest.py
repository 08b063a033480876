"""What the tests of the plugins share: tools called as the model calls them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adiuva.sdk import Agent, Context

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
def call(agent: Agent) -> Call:
    """Runs a tool of the test module's ``agent``; takes the tool's name, the context, and the arguments."""

    async def call_tool(name: str, ctx: Context | None = None, /, **arguments: Any) -> Any:
        return await agent.tools()[name].call(agent, ctx or Context(), arguments)

    return call_tool
