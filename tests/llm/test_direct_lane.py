"""What only the lane straight to OpenAI's wire has to prove; the contract of all lanes is in test_lanes."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from adiuva.errors import LlmUnavailableError
from adiuva.llm.direct_lane import DirectLane
from adiuva.llm.gateway import Gateway
from adiuva.llm.protocol import ModelCall
from adiuva.llm.providers import Endpoints
from adiuva.testing import openai_double as reply
from adiuva.testing.models import Listener
from adiuva.testing.openai_double import OpenAIDouble

MakeCall = Callable[..., ModelCall]


@pytest.fixture
async def gateway(double: OpenAIDouble) -> AsyncIterator[Gateway]:
    lane = DirectLane(endpoints=Endpoints(environ={}, model="openai/llama3.3", api_base=double.base_url))
    gateway = Gateway(lane_of=lambda _model: lane, wait_initial=0.001, wait_max=0.002)
    yield gateway
    await gateway.close()


async def test_a_server_of_ones_own_needs_no_key(gateway: Gateway, double: OpenAIDouble, make_call: MakeCall) -> None:
    double.script(reply.say("Hello."))

    await gateway.run(make_call(model="openai/llama3.3"))

    assert "Authorization" not in double.requests[0].headers


async def test_the_connections_are_used_again(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    double.script(reply.say("One."), reply.fail(500), reply.say("Two."), reply.say("Three."))

    for on_text in (listener, None, listener):
        await gateway.run(make_call(model="openai/llama3.3"), on_text)

    assert len(double.requests) == 4
    assert double.connections == 2  # in turn with the one in reserve


async def test_a_server_that_does_not_stream_is_understood(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    message = {"role": "assistant", "content": "All at once."}
    double.script(reply.Reply(body=orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})))

    await gateway.run(make_call(model="openai/llama3.3"), listener)

    assert listener.pieces == ["All at once."]


async def test_an_error_within_a_stream_is_an_error(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    double.script(*[reply.Reply(extra_event=b'{"error": {"message": "canary", "code": 503}}')] * 3)

    with pytest.raises(LlmUnavailableError, match="answered 503") as caught:
        await gateway.run(make_call(model="openai/llama3.3"), listener)

    assert "canary" not in str(caught.value)
    assert len(double.requests) == 3


async def test_reasoning_models_get_no_temperature(gateway: Gateway, double: OpenAIDouble, make_call: MakeCall) -> None:
    double.script(reply.say("Hm."), reply.say("Hm."))

    await gateway.run(make_call(model="openai/gpt-5-mini"))
    await gateway.run(make_call(model="openai/gpt-4.1-mini"))

    assert ["temperature" in request.body for request in double.requests] == [False, True]


async def test_a_redirect_takes_the_key_nowhere(gateway: Gateway, double: OpenAIDouble, make_call: MakeCall) -> None:
    moved = reply.Reply(status=307, body=b"", headers={"Location": "/v1/chat/completions"})
    double.script(moved, reply.say("Here."))

    with pytest.raises(LlmUnavailableError, match="answered 307"):
        await gateway.run(make_call(model="openai/llama3.3"))

    assert len(double.requests) == 1


def test_nothing_here_imports_litellm() -> None:
    code = (
        "import sys; from adiuva.llm import build_model; from adiuva.settings import Settings;"
        "build_model(Settings(llm_model='openai/gpt-4.1-mini'), {'OPENAI_API_KEY': 'x'});"
        "assert not {'litellm', 'openai', 'httpx'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
