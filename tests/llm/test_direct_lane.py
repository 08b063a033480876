"""What only the lane straight to OpenAI's wire has to prove; the contract of all lanes is in test_lanes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from adiuva.errors import LlmUnavailableError
from adiuva.llm.direct_lane import DirectLane
from adiuva.llm.gateway import Gateway
from adiuva.llm.protocol import ModelCall, Usage
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


@pytest.mark.parametrize("marked, patience", [(True, 60.0), (False, 0.3)])
async def test_after_a_whole_answer_nobody_waits_for_a_connection_that_stays_open(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, marked: bool, patience: float
) -> None:
    double.script(reply.Reply(pieces=["Whole."], after="hang", marked=marked))
    gateway.timeout = patience

    async with asyncio.timeout(10):
        turn = await gateway.run(make_call(model="openai/llama3.3"), listener)
        await double.wait_aborted()

    assert turn.text == "Whole."


@pytest.mark.parametrize("count", ["n/a", [], -1, 2**64, 1e300, True])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_odd_counts_of_tokens_spoil_no_answer(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool, count: object
) -> None:
    message = {"role": "assistant", "content": "Hello."}
    usage = {"prompt_tokens": count, "completion_tokens": 7.0}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    whole = reply.Reply(body=json.dumps(body).encode())
    event = reply.Reply(pieces=["Hello."], usage=None, extra_event=json.dumps({"choices": [], "usage": usage}).encode())
    double.script(event if streamed else whole)

    turn = await gateway.run(make_call(model="openai/llama3.3"), listener if streamed else None)

    assert turn.text == "Hello."
    assert turn.usage == Usage(prompt_tokens=int(count is True), completion_tokens=7)


@pytest.mark.parametrize("index", ["a", [], "\ud800"])
async def test_a_tool_call_of_no_known_place_is_a_broken_answer(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, index: object
) -> None:
    event = {"choices": [{"delta": {"tool_calls": [{"index": index, "function": {"name": "x"}}]}}]}
    odd = reply.Reply(extra_event=json.dumps(event).encode())
    double.script(odd)

    with pytest.raises(LlmUnavailableError):
        await gateway.run(make_call(model="openai/llama3.3"), listener)


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
