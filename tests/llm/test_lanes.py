"""The contract that every lane keeps, behind the gateway, against a double of a provider."""

import asyncio
import time
import traceback
from collections.abc import Callable

import pytest

from adiuva.errors import AdiuvaError, LlmNotConfiguredError, LlmTimeoutError, LlmUnavailableError
from adiuva.llm.gateway import Gateway
from adiuva.llm.lane import Lane
from adiuva.llm.protocol import Message, ModelCall, ToolCall, Usage
from adiuva.testing import openai_double as reply
from adiuva.testing.models import Listener
from adiuva.testing.openai_double import OpenAIDouble

MakeCall = Callable[..., ModelCall]
MakeGateway = Callable[..., Gateway]


async def test_a_plain_answer_carries_text_usage_and_the_model_that_gave_it(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.say("Hello, ", "Ada."))

    turn = await gateway.run(make_call())

    assert turn.text == "Hello, Ada."
    assert turn.usage == Usage(prompt_tokens=11, completion_tokens=5)
    assert turn.model == "openai/gpt-4.1-mini"
    assert turn.tool_calls == ()


async def test_a_streamed_answer_is_passed_on_as_the_model_sends_it(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    gate = asyncio.Event()
    double.script(reply.say("Hel", "lo, ", "Ada.", gate=gate))

    running = asyncio.create_task(gateway.run(make_call(), listener))
    async with asyncio.timeout(10):
        await listener.heard.wait()
    assert listener.pieces == ["Hel"]  # while the model is still at it
    gate.set()
    turn = await running

    assert listener.text == turn.text == "Hello, Ada."
    assert turn.usage == Usage(prompt_tokens=11, completion_tokens=5)


async def test_the_request_says_all_that_the_call_says(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    wish = ToolCall(id="call_7", name="create_task", arguments='{"title": "Milk"}')
    history = (
        Message(role="user", content="Buy milk"),
        Message(role="assistant", tool_calls=(wish,)),
        Message(role="tool", content='{"ok": true}', tool_call_id="call_7"),
    )
    double.script(reply.say("Done."))

    await gateway.run(make_call(messages=history, max_tokens=64))

    request = double.requests[0]
    assert request.headers["Authorization"] == "Bearer sk-canary-0123456789"
    assert request.body["model"] == "gpt-4.1-mini"
    assert request.body["temperature"] == 0
    assert request.body["max_tokens"] == 64
    assert request.body["tools"][0]["function"]["name"] == "create_task"
    assert request.body["tools"][0]["function"]["parameters"]["required"] == ["title"]
    user, assistant, tool = request.body["messages"]
    assert user == {"role": "user", "content": "Buy milk"}
    assert assistant["tool_calls"] == [
        {"id": "call_7", "type": "function", "function": {"name": "create_task", "arguments": '{"title": "Milk"}'}}
    ]
    assert (tool["role"], tool["tool_call_id"], tool["content"]) == ("tool", "call_7", '{"ok": true}')


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_several_tool_calls_in_one_turn_are_put_together(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool
) -> None:
    first = reply.tool_call("create_task", {"title": "Call the bank, today"}, id="call_1")
    second = reply.tool_call("list_tasks", id="call_2")
    double.script(reply.calls(first, second, text="One moment."))

    turn = await gateway.run(make_call(), listener if streamed else None)

    assert turn.tool_calls == (first, second)
    assert turn.text == "One moment."
    assert listener.text == ("One moment." if streamed else "")


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_malformed_arguments_are_handed_on_as_the_model_wrote_them(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool
) -> None:
    double.script(reply.call("create_task", '{"title": "Call the'))

    turn = await gateway.run(make_call(), listener if streamed else None)

    assert [call.arguments for call in turn.tool_calls] == ['{"title": "Call the']


@pytest.mark.parametrize("ending", ["drop", "cut"])
async def test_a_stream_that_breaks_off_after_text_is_an_error_and_not_asked_again(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, ending: reply.Ending
) -> None:
    double.script(reply.say("Half an ", "ans", ending=ending), reply.say("Again."))

    with pytest.raises(LlmUnavailableError, match="broke off"):
        await make_gateway(fallback_models=["openai/other"]).run(make_call(), listener)

    assert "Half an ans".startswith(listener.text)
    assert len(double.requests) == 1


@pytest.mark.parametrize("after, marked", [("drop", True), ("hang", True), ("drop", False)])
async def test_what_comes_of_the_connection_after_a_whole_answer_takes_nothing_from_it(
    make_gateway: MakeGateway,
    double: OpenAIDouble,
    make_call: MakeCall,
    listener: Listener,
    after: reply.After,
    marked: bool,
) -> None:
    double.script(reply.Reply(pieces=["Whole", "."], after=after, marked=marked))

    turn = await make_gateway(timeout=0.5).run(make_call(), listener)

    assert turn.text == listener.text == "Whole."
    assert len(double.requests) == 1


async def test_a_stream_that_breaks_off_before_any_text_is_asked_again(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    broken = reply.Reply(tool_calls=[reply.tool_call("create_task", {"title": "x"})], ending="drop")
    double.script(broken, reply.say("Whole."))

    turn = await gateway.run(make_call(), listener)

    assert (turn.text, turn.tool_calls) == ("Whole.", ())
    assert len(double.requests) == 2


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_failure_is_retried(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool, status: int
) -> None:
    double.script(reply.fail(status), reply.fail(status), reply.say("There."))

    turn = await gateway.run(make_call(), listener if streamed else None)

    assert turn.text == "There."
    assert len(double.requests) == 3


async def test_the_pause_that_a_provider_asks_for_is_kept(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.fail(429, headers={"Retry-After": "0.4"}), reply.say("There."))

    begun = time.monotonic()
    await gateway.run(make_call())

    assert time.monotonic() - begun >= 0.4


async def test_a_pause_too_long_to_wait_is_told_to_the_caller(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.fail(429, headers={"Retry-After": "3600"}))

    with pytest.raises(LlmUnavailableError) as caught:
        await gateway.run(make_call())

    assert caught.value.retry_after == 3600
    assert len(double.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_lasting_failure_is_not_retried(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, status: int
) -> None:
    double.script(reply.fail(status))

    with pytest.raises(LlmNotConfiguredError if status == 401 else LlmUnavailableError):
        await gateway.run(make_call())

    assert len(double.requests) == 1


async def test_errors_hold_neither_key_nor_prompt(gateway: Gateway, double: OpenAIDouble, make_call: MakeCall) -> None:
    leak = "Incorrect key sk-canary-0123456789 for: The canary sings at dawn."
    for status, code in ((401, "invalid_api_key"), (400, leak), (500, "server_error")):
        double.script(*[reply.fail(status, code=code, message=leak)] * 3)
        with pytest.raises(AdiuvaError) as caught:
            await gateway.run(make_call())
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None


async def test_fallbacks_are_asked_in_turn(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.fail(400), *[reply.fail(500)] * 3, reply.say("The third."))

    turn = await make_gateway(fallback_models=["openai/second", "openai/third"]).run(make_call())

    assert (turn.text, turn.model) == ("The third.", "openai/third")
    assert [request.body["model"] for request in double.requests] == ["gpt-4.1-mini", *["second"] * 3, "third"]


async def test_the_first_models_failure_is_told_when_all_fail(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.fail(401), reply.fail(400))

    with pytest.raises(LlmNotConfiguredError, match=r"gpt-4\.1-mini: set OPENAI_API_KEY"):
        await make_gateway(fallback_models=["openai/second"]).run(make_call())


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_a_silent_model_times_out_and_its_connection_is_closed(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool
) -> None:
    double.script(reply.say("Well, ", ending="hang"))

    with pytest.raises(LlmTimeoutError):
        await make_gateway(timeout=0.3).run(make_call(), listener if streamed else None)

    await double.wait_aborted()
    assert len(double.requests) == 1


async def test_a_slow_listener_is_no_silent_model(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.say("a", "b", "c"))
    heard: list[str] = []

    async def listen(text: str) -> None:
        heard.append(text)
        await asyncio.sleep(0.4)  # longer than the model may be silent

    turn = await make_gateway(timeout=0.3).run(make_call(), listen)

    assert "".join(heard) == turn.text == "abc"


async def test_the_silence_is_counted_anew_with_each_delta(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    double.script(reply.Reply(pieces=["."] * 6, pause=0.15))

    turn = await make_gateway(timeout=0.6).run(make_call(), listener)

    assert turn.text == "......"  # 0.9 s in all


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_cancelling_closes_the_connection(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener, streamed: bool
) -> None:
    double.script(reply.say("Well, ", ending="hang"))
    running = asyncio.create_task(gateway.run(make_call(), listener if streamed else None))
    async with asyncio.timeout(10):
        await (listener.heard.wait() if streamed else double.wait_requests(1))

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await double.wait_aborted()


async def test_a_listener_that_fails_ends_the_call_with_its_error(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall
) -> None:
    double.script(reply.say("Well, ", ending="hang"))

    async def fail(_text: str) -> None:
        raise TimeoutError("the listener's own")

    with pytest.raises(TimeoutError, match="the listener's own"):
        await gateway.run(make_call(), fail)
    await double.wait_aborted()
    assert len(double.requests) == 1


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_a_refused_connection_is_retried_then_told(
    make_gateway: MakeGateway, lane: Lane, unused_tcp_port: int, make_call: MakeCall, listener: Listener, streamed: bool
) -> None:
    lane.endpoints.api_base = f"http://127.0.0.1:{unused_tcp_port}/v1"  # type: ignore[attr-defined]

    with pytest.raises(LlmUnavailableError, match="cannot be reached"):
        await make_gateway().run(make_call(), listener if streamed else None)


async def test_an_answer_without_usage_is_an_answer(
    gateway: Gateway, double: OpenAIDouble, make_call: MakeCall, listener: Listener
) -> None:
    double.script(reply.Reply(pieces=["Hello."], usage=None))

    assert (await gateway.run(make_call(), listener)).text == "Hello."


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"choices": [{"message": 7}]}', b'{"choices": 1}'])
async def test_an_unreadable_answer_is_an_error(
    make_gateway: MakeGateway, double: OpenAIDouble, make_call: MakeCall, body: bytes
) -> None:
    double.script(reply.Reply(body=body))

    with pytest.raises(LlmUnavailableError):
        await make_gateway(attempts=1).run(make_call())


async def test_calls_do_not_wait_for_each_other(gateway: Gateway, double: OpenAIDouble, make_call: MakeCall) -> None:
    gate = asyncio.Event()
    double.script(*[reply.say("Hello.", gate=gate)] * 20)

    running = [asyncio.create_task(gateway.run(make_call())) for _ in range(20)]
    await double.wait_requests(20)
    gate.set()

    assert {turn.text for turn in await asyncio.gather(*running)} == {"Hello."}
