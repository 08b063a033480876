"""A double of a provider, and each lane to it behind a gateway that does not wait long."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from adiuva.llm.direct_lane import DirectLane
from adiuva.llm.gateway import Gateway
from adiuva.llm.lane import Lane
from adiuva.llm.litellm_lane import LitellmLane
from adiuva.llm.protocol import Message, ModelCall, ToolSpec
from adiuva.llm.providers import Endpoints
from adiuva.testing.models import Listener
from adiuva.testing.openai_double import OpenAIDouble

MODEL = "openai/gpt-4.1-mini"
KEY = "sk-canary-0123456789"
TOOL = ToolSpec(
    name="create_task",
    description="Create a task.",
    parameters={"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
)
LANES = [
    pytest.param(DirectLane, id="direct"),
    # LiteLLM takes seconds to import: all its tests run in one process, which does that once.
    pytest.param(LitellmLane, id="litellm", marks=pytest.mark.xdist_group("litellm")),
]


@pytest.fixture
def make_call() -> Callable[..., ModelCall]:
    """A call with a tool, and with a prompt that must show up nowhere else."""

    def make(**changes: Any) -> ModelCall:
        messages = (
            Message(role="system", content="The canary sings at dawn."),
            Message(role="user", content="Add a task"),
        )
        return ModelCall(**{"model": MODEL, "messages": messages, "tools": (TOOL,)} | changes)

    return make


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


@pytest.fixture(params=LANES)
async def lane(request: pytest.FixtureRequest, double: OpenAIDouble) -> AsyncIterator[Lane]:
    endpoints = Endpoints(environ={"OPENAI_API_KEY": KEY}, model=MODEL, api_base=double.base_url)
    lane: Lane = request.param(endpoints=endpoints)
    await lane.start()
    yield lane
    await lane.close()


@pytest.fixture
def make_gateway(lane: Lane) -> Callable[..., Gateway]:
    def make(**changes: Any) -> Gateway:
        settings: dict[str, Any] = {"wait_initial": 0.001, "wait_max": 0.002, "timeout": 10.0, **changes}
        return Gateway(lane_of=lambda _model: lane, **settings)

    return make


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()
