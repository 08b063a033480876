"""On a socket the model is asked before the database has said who asks: until it has, nothing comes of the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse

from adiuva.auth import queries
from adiuva.database import Connection, Database
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import GatedModel, Start, TaskAgent, User, register
from tests.chat.test_socket import HI, close_code, frames

LONG = 0.2  # seconds, many times what an answer takes here

Held = Callable[[], AbstractAsyncContextManager[Connection]]


@pytest.fixture
def held(database: Database) -> Held:
    """Keeps the database from saying who has a login, until what is done inside has been committed."""

    @asynccontextmanager
    async def hold() -> AsyncIterator[Connection]:
        async with database.acquire() as conn, conn.transaction():
            await conn.execute("LOCK TABLE logins IN ACCESS EXCLUSIVE MODE")
            yield conn

    return hold


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)


async def silent(socket: ClientWebSocketResponse) -> bool:
    """Whether nothing comes for a while."""
    try:
        await socket.receive(LONG)
    except TimeoutError:
        return True
    return False


async def revoke(conn: Connection) -> None:
    await conn.execute("UPDATE logins SET revoked_at = now()")


async def test_what_the_model_says_and_wishes_waits_for_the_database(
    user: User, model: ScriptedModel, agent: TaskAgent, held: Held
) -> None:
    agent.release.set()
    model.add([turn(calling("wait"), calling("create_task", title="Milk"), text="I add it."), "Done."])
    socket = await user.socket()
    async with held():
        await socket.send_json(HI)
        await until(lambda: model.calls)
        assert await silent(socket)
        assert (len(model.calls), agent.entered.is_set()) == (1, False)
    got = await frames(socket)
    assert [frame["type"] for frame in got if frame["type"] != "chunk"] == ["action", "done"]
    assert got[-1]["response"] == "I add it.\n\nDone."
    assert (len(model.calls), agent.finished) == (2, 1)


async def test_a_login_that_was_revoked_gets_nothing_and_the_call_is_cut_off(
    start: Start, agent: TaskAgent, held: Held
) -> None:
    model = GatedModel()
    user = await register(await start(model, default_tier="pro"))
    socket = await user.socket()
    async with held() as conn:
        await socket.send_json(HI)
        await model.spoke.wait()
        await revoke(conn)
        assert not model.ended.is_set()
    message = await socket.receive(10)
    assert (message.type.name, message.data) == ("CLOSE", 4401)
    assert model.ended.is_set()


async def test_a_wish_of_a_login_that_was_revoked_is_not_carried_out(
    user: User, model: ScriptedModel, agent: TaskAgent, held: Held
) -> None:
    model.add([turn(calling("wait"), calling("create_task", title="Milk"))])
    socket = await user.socket()
    async with held() as conn:
        await socket.send_json(HI)
        await until(lambda: model.calls)
        await revoke(conn)
    message = await socket.receive(10)
    assert (message.type.name, message.data) == ("CLOSE", 4401)
    assert (len(model.calls), agent.entered.is_set()) == (1, False)


async def test_an_agent_that_the_tier_has_lost_meanwhile_says_nothing(
    start: Start, model: ScriptedModel, held: Held
) -> None:
    user = await register(await start())
    model.add(["The last word of the old tier.", "Hello."])
    async with held() as conn:
        await queries.set_tier(conn, user.email, "pro")
    socket = await user.socket()
    async with held() as conn:
        await socket.send_json({"message": "Plan it", "agents": ["checkpoint_agent"]})
        await until(lambda: model.calls)
        await queries.set_tier(conn, user.email, "free")
    assert [frame.get("code") for frame in await frames(socket)] == ["tier_required"]
    await socket.send_json(HI)
    assert (await frames(socket))[-1]["response"] == "Hello."


async def test_an_answer_for_the_old_tier_is_begun_anew_for_the_new_one(
    start: Start, model: ScriptedModel, held: Held
) -> None:
    user = await register(await start())
    model.add(["For the old tier.", "For the new one."])
    socket = await user.socket()
    async with held() as conn:
        await socket.send_json(HI)
        await until(lambda: model.calls)
        await queries.set_tier(conn, user.email, "team")
    got = await frames(socket)
    assert "".join(frame["text"] for frame in got if frame["type"] == "chunk") == "For the new one."
    assert (got[-1]["response"], len(model.calls)) == ("For the new one.", 2)


@pytest.mark.parametrize("body", [{"message": "Plan it"}, {"message": "Plan it", "mode": "plan"}])
async def test_only_the_router_is_asked_before(
    user: User, model: ScriptedModel, held: Held, body: dict[str, Any]
) -> None:
    model.add([orjson.dumps({"agents": ["task_agent"]}).decode(), "Hello."])
    socket = await user.socket()
    async with held():
        await socket.send_json(body)
        await until(lambda: model.calls)
        assert await silent(socket)
        assert len(model.calls) == 1
    assert (await frames(socket))[-1]["type"] == "done"


async def test_of_several_agents_none_is_asked_before(user: User, model: ScriptedModel, held: Held) -> None:
    model.add(["One.", "Two.", "Both."])
    socket = await user.socket()
    async with held():
        await socket.send_json({"message": "Hi", "agents": ["task_agent", "checkpoint_agent"]})
        assert await silent(socket)
        assert model.calls == []
    assert (await frames(socket))[-1]["response"] == "Both."


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_request_that_is_taken_back_meanwhile_ends(start: Start, held: Held, how: str) -> None:
    model = GatedModel()
    user = await register(await start(model, default_tier="pro"))
    socket = await user.socket()
    async with held():
        await socket.send_json(HI)
        await model.spoke.wait()
        if how == "cancel":
            await socket.send_json({"type": "cancel"})
        else:
            await socket.close()
        async with asyncio.timeout(5):
            await model.ended.wait()
    if how == "cancel":
        assert [frame["type"] for frame in await frames(socket)] == ["cancelled"]
        assert await silent(socket)


async def test_one_request_too_many_asks_no_model(start: Start, model: ScriptedModel) -> None:
    user = await register(await start(rate_limits={"free": 1, "pro": 1, "power": 1, "team": 1}))
    model.add(["Hello."])
    socket = await user.socket()
    for expected in ("done", "rate_limited", "rate_limited"):
        await socket.send_json(HI)
        last = (await frames(socket))[-1]
        assert last.get("code", last["type"]) == expected
    assert len(model.calls) == 1


async def test_after_a_refusal_the_database_is_asked_first(start: Start, model: ScriptedModel, held: Held) -> None:
    user = await register(await start(rate_limits={"free": 1, "pro": 3, "power": 3, "team": 3}))
    model.add(["Hello."] * 2)
    socket = await user.socket()
    for _ in range(2):
        await socket.send_json(HI)
        await frames(socket)
    async with held() as conn:
        await socket.send_json(HI)
        assert await silent(socket)
        assert len(model.calls) == 1
        await queries.set_tier(conn, user.email, "pro")
    assert (await frames(socket))[-1]["response"] == "Hello."


async def test_a_fault_of_the_request_is_told_only_to_whom_the_database_knows(
    user: User, model: ScriptedModel, held: Held
) -> None:
    socket = await user.socket()
    async with held() as conn:
        await socket.send_json({"message": "Hi", "agents": ["nobody"]})
        assert await silent(socket)
        await revoke(conn)
    assert await close_code(socket) == 4401
