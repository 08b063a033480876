"""Cancelled means cancelled: the provider's connection is closed, no tool runs, no frame follows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.llm import build_model
from adiuva.settings import Settings
from adiuva.testing.openai_double import OpenAIDouble, call, say
from tests.chat.conftest import API, TaskAgent, User, register
from tests.chat.test_socket import HI, frames


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


@pytest.fixture
async def user(settings: Settings, double: OpenAIDouble, agent: TaskAgent) -> AsyncIterator[User]:
    """A user of a server whose model is the double, through the direct lane."""
    limits = dict.fromkeys(("free", "pro", "power", "team"), 1000)
    settings = evolve(
        settings,
        llm_model="openai/double",
        llm_api_base=double.base_url,
        chat_deadline_seconds=2.0,
        rate_limits=limits,
    )
    model = build_model(settings, {"OPENAI_API_KEY": "none"})
    client: TestClient[Any, Any] = TestClient(
        TestServer(create_app(settings, model=model, registry=AgentRegistry.of(agent)))
    )
    await client.start_server()
    yield await register(client)
    await client.close()
    await model.close()


async def test_a_cancel_on_the_socket_closes_the_models_connection(user: User, double: OpenAIDouble) -> None:
    double.script(say("Eins ", "zwei", ending="hang"), say("Danach."))
    socket = await user.socket()
    await socket.send_json(HI)
    assert (await socket.receive_json(timeout=10))["type"] == "chunk"
    await socket.send_json({"type": "cancel"})
    assert (await frames(socket))[-1] == {"type": "cancelled"}
    await double.wait_aborted()
    await socket.send_json(HI)
    assert [frame["type"] for frame in await frames(socket)] == ["chunk", "done"]


async def test_a_cancel_while_a_tool_runs_ends_it_and_asks_the_model_no_more(
    user: User, double: OpenAIDouble, agent: TaskAgent
) -> None:
    double.script(call("wait"))
    socket = await user.socket()
    await socket.send_json(HI)
    await agent.entered.wait()
    await socket.send_json({"type": "cancel"})
    assert await frames(socket) == [{"type": "cancelled"}]
    agent.release.set()
    with pytest.raises(TimeoutError):
        await socket.receive(timeout=0.3)  # nothing follows
    assert agent.finished == 0
    assert len(double.requests) == 1


async def test_closing_the_socket_closes_the_models_connection(user: User, double: OpenAIDouble) -> None:
    double.script(say("Eins ", "zwei", ending="hang"))
    socket = await user.socket()
    await socket.send_json(HI)
    assert (await socket.receive_json(timeout=10))["type"] == "chunk"
    await socket.close()
    await double.wait_aborted()


async def test_a_rest_client_that_goes_away_closes_the_models_connection(user: User, double: OpenAIDouble) -> None:
    double.script(say("Eins", ending="hang"))
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(session.post(user.client.make_url(f"{API}/chat"), json=HI, headers=user.headers))
        await double.wait_requests(1)
        request.cancel()
    await double.wait_aborted()


async def test_a_passed_deadline_closes_the_models_connection(user: User, double: OpenAIDouble) -> None:
    double.script(say("Eins", ending="hang"), say("Eins ", "zwei", ending="hang"))
    status, problem = await user.post("/chat", HI)
    assert (status, problem["code"]) == (504, "llm_timeout")
    await double.wait_aborted(1)
    socket = await user.socket()
    await socket.send_json(HI)
    assert (await frames(socket))[-1]["code"] == "llm_timeout"
    await double.wait_aborted(2)


@pytest.mark.proof
async def test_a_cancel_at_any_moment_is_the_last_word_of_its_request(user: User, double: OpenAIDouble) -> None:
    double.respond = lambda _: say(*(f"Wort{n} " for n in range(30)))
    socket = await user.socket()
    for step in range(60):
        await socket.send_json(HI)
        await asyncio.sleep(step / 4000)
        await socket.send_json({"type": "cancel"})
        *_, last = await frames(socket)
        assert last["type"] in {"cancelled", "done"}
        if last["type"] == "done":
            assert last["response"] == "".join(f"Wort{n} " for n in range(30))
