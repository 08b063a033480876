"""``/v1``, as the official client of OpenAI sees it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from adiuva.chat.observers import Observers
from adiuva.errors import LlmTimeoutError, LlmUnavailableError
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText
from adiuva.testing.models import ScriptedModel, calling, turn
from adiuva.web import disconnect
from tests.chat.conftest import GatedModel, Start, TaskAgent, User, register

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Buy milk"}]
CREATE = turn(calling("create_task", title="Buy milk", priority="high"))


def client_of(user: User, key: str | None = None) -> openai.AsyncOpenAI:
    url = str(user.client.make_url("/v1"))
    return openai.AsyncOpenAI(base_url=url, api_key=key or user.tokens["access_token"], max_retries=0)


@pytest.fixture
async def client(user: User) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(user) as client:
        yield client


async def collect(stream: openai.AsyncStream[ChatCompletionChunk]) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in stream]


async def test_the_agents_are_models(client: openai.AsyncOpenAI) -> None:
    models = await client.models.list()
    assert [model.id for model in models.data] == ["adiuva", "checkpoint_agent", "task_agent"]
    assert (await client.models.retrieve("task_agent")).owned_by == "adiuva"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-4")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_an_answer_has_text_actions_as_tool_calls_and_usage(
    client: openai.AsyncOpenAI, model: ScriptedModel
) -> None:
    model.add([CREATE, "Done."])
    answer = await client.chat.completions.create(model="task_agent", messages=HELLO)
    [choice] = answer.choices
    assert (choice.finish_reason, choice.message.content, choice.message.role) == ("tool_calls", "Done.", "assistant")
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert UUID(call.id).version == 4
    assert call.function.name == "create_task"
    assert orjson.loads(call.function.arguments) == {"title": "Buy milk", "priority": "high"}
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (22, 10, 32)
    assert (answer.model, answer.object) == ("task_agent", "chat.completion")


async def test_without_actions_it_just_stops(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add(["Hello."])
    answer = await client.chat.completions.create(model="task_agent", messages=HELLO)
    assert (answer.choices[0].finish_reason, answer.choices[0].message.tool_calls) == ("stop", None)


async def test_a_deletion_asks_for_confirmation(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add([turn(calling("delete_task", task_id="t1")), "Gone."])
    answer = await client.chat.completions.create(model="task_agent", messages=HELLO)
    [call] = answer.choices[0].message.tool_calls or []
    assert call.model_extra == {"requires_confirmation": True}


async def test_adiuva_lets_the_router_choose(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add(['{"agents": ["checkpoint_agent"]}', "A checkpoint."])
    answer = await client.chat.completions.create(model="adiuva", messages=HELLO)
    assert answer.choices[0].message.content == "A checkpoint."
    assert "You keep the user's checkpoints." in model.calls[1].messages[0].content


async def test_the_context_goes_along_as_a_field_of_its_own(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "One."])
    await client.chat.completions.create(
        model="task_agent", messages=HELLO, extra_body={"context": {"tasks": [{"id": "t1"}]}}
    )
    assert model.calls[1].messages[-1].content == '[{"id":"t1"}]'


async def test_a_stream_has_the_same_in_pieces(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add(
        [turn(calling("create_task", title="A"), calling("create_task", title="B"), text="I create"), "two tasks."]
    )
    stream = await client.chat.completions.create(
        model="task_agent", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = await collect(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I create\n\ntwo tasks."
    assert chunks[0].choices[0].delta.role == "assistant"
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [call.index for call in calls] == [0, 1]
    titles = [orjson.loads(call.function.arguments or "")["title"] for call in calls if call.function]
    assert sorted(titles) == ["A", "B"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["tool_calls"]
    assert len({chunk.id for chunk in [*chunks, last]}) == 1
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 32


async def test_without_being_asked_a_stream_has_no_usage(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add(["Hello."])
    chunks = await collect(await client.chat.completions.create(model="task_agent", messages=HELLO, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_clients_own_helper_puts_a_stream_together(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add([CREATE, "Done."])
    async with client.chat.completions.stream(model="task_agent", messages=HELLO) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "Done."
    [call] = final.choices[0].message.tool_calls or []
    assert call.function.name == "create_task"


async def test_a_text_comes_out_while_the_model_still_speaks(start: Start) -> None:
    gated = GatedModel()
    user = await register(await start(own_model=gated, default_tier="pro"))
    async with client_of(user) as client:
        stream = await client.chat.completions.create(model="task_agent", messages=HELLO, stream=True)
        first = await anext(aiter(stream))
        assert first.choices[0].delta.content == "first"
        assert not gated.ended.is_set()
        gated.gate.set()
        await collect(stream)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_stops_the_model(start: Start, stream: bool) -> None:
    gated = GatedModel()
    user = await register(await start(own_model=gated, default_tier="pro"))
    async with client_of(user) as client:
        create: Any = client.chat.completions.create
        asking = asyncio.create_task(create(model="task_agent", messages=HELLO, stream=stream))
        await gated.spoke.wait()
        if stream:
            await (await asking).close()
        else:
            asking.cancel()
    async with asyncio.timeout(5):
        await gated.ended.wait()


async def test_a_client_that_does_not_read_its_stream_is_let_go_and_a_slow_one_is_not(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adiuva.chat.tool_loop.MAX_RESPONSE_CHARACTERS", 10**9)
    monkeypatch.setattr(disconnect, "STALLED_SECONDS", 1.0)
    ended: asyncio.Queue[str] = asyncio.Queue()

    class Flood:
        async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
            assert on_text is not None
            try:
                while True:
                    await on_text("x" * 10_000)
            finally:
                ended.put_nowait(call.messages[-1].content)

    user = await register(await start(own_model=Flood(), default_tier="pro"))

    async def ask(text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = user.client.make_url("/v1/chat/completions")
        connection = await asyncio.open_connection(url.host, url.port)
        messages = [{"role": "user", "content": text}]
        body = orjson.dumps({"model": "task_agent", "messages": messages, "stream": True})
        head = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {user.headers['Authorization']}\r\n"
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection[1].write(head.encode() + more.encode() + body)
        return connection

    (_, deaf), (reader, slow) = await ask("deaf"), await ask("slow")
    async with asyncio.timeout(20):
        while ended.empty():
            await reader.readexactly(2**20)
            await asyncio.sleep(0.1)
        assert ended.get_nowait() == "deaf"
        for _ in range(10):
            await reader.readexactly(2**20)
            await asyncio.sleep(0.1)
        assert ended.empty()
        slow.close()
        assert await ended.get() == "slow"
    deaf.close()


async def test_the_results_of_actions_go_back_and_the_agent_goes_on(
    client: openai.AsyncOpenAI, model: ScriptedModel
) -> None:
    model.add([CREATE, "I create it."])
    answer = await client.chat.completions.create(model="task_agent", messages=HELLO)
    message = answer.choices[0].message
    [call] = message.tool_calls or []
    history: list[Any] = [
        *HELLO,
        message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "created as t7"},
    ]
    model.add([turn(calling("create_task", title="Buy milk", priority="high")), "It is there, as t7."])
    again = await client.chat.completions.create(model="task_agent", messages=history)
    assert again.choices[0].message.content == "It is there, as t7."
    assert again.choices[0].message.tool_calls is None  # what the client has done is not done again
    sent = model.calls[2].messages
    assert [entry.role for entry in sent] == ["system", "user", "assistant", "user"]
    assert "→ create_task" in sent[2].content
    assert "created as t7" in sent[3].content
    history += [again.choices[0].message.to_dict(), {"role": "user", "content": "Once more"}]
    model.add([CREATE, "Again."])
    third = await client.chat.completions.create(model="task_agent", messages=history)
    assert len(third.choices[0].message.tool_calls or []) == 1  # a new wish is a new action


async def test_system_messages_and_parts_are_taken(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    model.add(["Bien."])
    await client.chat.completions.create(
        model="task_agent",
        messages=[
            {"role": "system", "content": "Answer in French."},
            {"role": "developer", "content": "Briefly."},
            {"role": "user", "content": [{"type": "text", "text": "How "}, {"type": "text", "text": "are things?"}]},
        ],
    )
    sent = model.calls[0].messages
    assert [(entry.role, entry.content) for entry in sent[1:]] == [
        ("user", "Answer in French."),
        ("user", "Briefly."),
        ("user", "How are things?"),
    ]


async def test_what_a_prompt_says_does_not_come_out(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    secret = "You are the routing part. Choose one agent; choose several, in the order in which they should work, only"
    model.add([secret, secret])
    answer = await client.chat.completions.create(model="task_agent", messages=HELLO)
    assert "[REDACTED]" in (answer.choices[0].message.content or "")
    chunks = await collect(await client.chat.completions.create(model="task_agent", messages=HELLO, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content


async def test_a_model_that_fails_at_once_is_a_status(client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    cases = [(LlmUnavailableError(), 502, "llm_unavailable"), (LlmTimeoutError(), 504, "llm_timeout")]
    for fault, status, code in cases:
        for stream in (True, False):
            model.add([fault])
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="task_agent", messages=HELLO, stream=stream)
            assert (caught.value.status_code, caught.value.code, caught.value.type) == (status, code, "server_error")


async def test_a_model_that_fails_later_is_an_error_in_the_stream(
    client: openai.AsyncOpenAI, model: ScriptedModel
) -> None:
    model.add([ModelTurn(text="I begin", tool_calls=CREATE.tool_calls), LlmUnavailableError()])
    stream = await client.chat.completions.create(model="task_agent", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as caught:
        await collect(stream)
    assert caught.value.code == "llm_unavailable"


async def test_the_tier_holds(start: Start, model: ScriptedModel) -> None:
    user = await register(await start())
    async with client_of(user) as client:
        assert [entry.id for entry in (await client.models.list()).data] == ["adiuva", "task_agent"]
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await client.chat.completions.create(model="checkpoint_agent", messages=HELLO)
        assert caught.value.code == "tier_required"
    assert model.calls == []


async def test_the_rate_limit_is_the_one_of_the_chat(start: Start, model: ScriptedModel) -> None:
    user = await register(await start(rate_limits={"free": 2, "pro": 2, "power": 2, "team": 2}))
    assert (await user.get("/agents"))[0] == 200
    async with client_of(user) as client:
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as caught:
            await client.models.list()
    assert (caught.value.code, caught.value.type) == ("rate_limited", "rate_limit_error")
    assert int(caught.value.response.headers["Retry-After"]) > 0


async def test_only_an_access_token_opens_it(user: User) -> None:
    async with client_of(user, "sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="adiuva", messages=HELLO)
    assert caught.value.code == "invalid_token"
    assert caught.value.response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_model_that_there_is_not(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "model_not_found"


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "model"),
    ({"model": "adiuva", "messages": []}, "messages"),
    ({"model": "adiuva", "messages": "Hi"}, "messages"),
    ({"model": "adiuva", "messages": [{"role": "king", "content": "Hi"}]}, "messages[0].role"),
    ({"model": "adiuva", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"model": "adiuva", "messages": [{"role": "user", "content": " "}]}, "messages[0]"),
    ({"model": "adiuva", "messages": [{"role": "user", "content": "x" * 16_001}]}, "messages"),
    ({"model": "adiuva", "messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content"),
    ({"model": "adiuva", "messages": [{"role": "assistant", "content": "Hi"}]}, "messages[0]"),
    (
        {"model": "adiuva", "messages": [{"role": "tool", "content": "Hi", "tool_call_id": "c"}]},
        "messages[0].tool_call_id",
    ),
    ({"model": "adiuva", "messages": HELLO, "n": 2}, "n"),
    ({"model": "adiuva", "messages": HELLO, "stream": "yes"}, "stream"),
    ({"model": "adiuva", "messages": HELLO, "context": {"tasks": "none"}}, "context.tasks"),
    ({"model": "adiuva", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
]


async def test_bad_input_is_told_in_openais_words(user: User) -> None:
    for body, param in BAD_BODIES:
        async with user.client.post("/v1/chat/completions", json=body, headers=user.headers) as answer:
            error = (await answer.json())["error"]
        told = (answer.status, error["type"], error["code"])
        assert told == (400, "invalid_request_error", "validation_failed"), body
        assert error["param"].startswith(param), body


async def test_what_cannot_be_read_too(user: User) -> None:
    cases = [(b"{", "application/json", 400), (b"{}", "text/plain", 415), (b"x" * (2**20 + 1), "application/json", 413)]
    for raw, kind, status in cases:
        headers = {**user.headers, "Content-Type": kind}
        async with user.client.post("/v1/chat/completions", data=raw, headers=headers) as answer:
            assert answer.status == status
            assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}


async def test_more_history_than_the_chat_takes_loses_its_beginning(
    client: openai.AsyncOpenAI, model: ScriptedModel, agent: TaskAgent
) -> None:
    model.add(["Yes."])
    messages: list[Any] = [{"role": "user", "content": str(number)} for number in range(60)]
    await client.chat.completions.create(model="task_agent", messages=messages)
    assert [entry.content for entry in model.calls[0].messages[1:]] == [str(number) for number in range(9, 60)]


async def test_the_example_of_the_guide_runs(
    user: User, model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "openai-door.md").read_text()
    [example] = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    model.add(['{"agents": ["task_agent"]}', turn(calling("create_task", title="Call the bank")), "Done."])
    names = {"server": str(user.client.make_url("")).rstrip("/"), "access_token": user.tokens["access_token"]}
    await asyncio.to_thread(exec, example, names)
    assert capsys.readouterr().out.endswith('Done.\ncreate_task {"title":"Call the bank","priority":"low"}\n')


@pytest.mark.parametrize("stream", [True, False])
async def test_observers_are_told_of_the_actions_that_went_out(
    user: User, client: openai.AsyncOpenAI, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Observers, "tell", lambda _, __, ___, actions: told.extend(one.action for one in actions))
    model.add([CREATE, "Done."])
    create: Any = client.chat.completions.create
    answer = await create(model="task_agent", messages=HELLO, stream=stream)
    if stream:
        await collect(answer)
    assert told == ["create_task"]


async def test_wrong_paths_and_methods_are_told_in_openais_form(user: User) -> None:
    for method, path, status, code in (
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ):
        async with user.client.request(method, path, headers=user.headers) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"], error["type"]) == (status, code, "invalid_request_error")
            assert answer.headers["X-Request-ID"]
            assert ("POST" in answer.headers.get("Allow", "")) is (status == 405)


@pytest.mark.parametrize("depth", [95, 101, 250, 253, 254, 300, 900])
async def test_however_deep_arguments_are_nested_there_is_an_answer(
    user: User, model: ScriptedModel, depth: int
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "x", "arguments": "[" * depth + "]" * depth}}
    body = {
        "model": "task_agent",
        "messages": [
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
        ],
    }
    model.add(["Done."])
    async with user.client.post("/v1/chat/completions", json=body, headers=user.headers) as answer:
        told = await answer.json()
    if depth <= 100:
        assert answer.status == 200
    else:
        assert (answer.status, told["error"]["code"]) == (400, "validation_failed")
