"""``WS /chat/stream``."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from adiuva import clock
from adiuva.auth.socket_watch import SOCKETS
from adiuva.errors import LlmUnavailableError
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText, Usage
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import API, GatedModel, Start, TaskAgent, User, register

STREAM = f"{API}/chat/stream"
HI = {"message": "Hi", "agents": ["task_agent"]}


async def frames(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """The frames up to the one that ends the request."""
    got = []
    async with asyncio.timeout(10):
        while True:
            got.append(orjson.loads(await socket.receive_str()))
            if got[-1]["type"] in {"done", "error", "cancelled"}:
                return got


async def close_code(socket: ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(10):
        while (await socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}:
            pass
    return socket.close_code


async def test_text_comes_as_the_model_sends_it_and_actions_as_they_are_made(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("create_task", title="Buy milk"), text="Gerne sofort."), "Alles erledigt."])
    socket = await user.socket()
    await socket.send_json(HI)
    *events, done = await frames(socket)
    assert [event.get("text") or event["action"]["action"] for event in events] == [
        "Gerne ",
        "sofort.",
        "create_task",
        "\n\nAlles ",
        "erledigt.",
    ]
    assert done["response"] == "".join(event.get("text", "") for event in events)
    assert done["actions"] == [event["action"] for event in events if event["type"] == "action"]
    assert done["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}
    assert done["done"] is True


async def test_a_chunk_is_sent_before_the_model_has_finished(start: Start) -> None:
    model = GatedModel()
    socket = await (await register(await start(model))).socket()
    await socket.send_json(HI)
    assert await socket.receive_json(timeout=10) == {"type": "chunk", "text": "first"}
    model.gate.set()
    assert (await frames(socket))[-1]["response"] == "first"


async def test_requests_of_one_socket_run_one_at_a_time_in_order(
    user: User, model: ScriptedModel, agent: TaskAgent
) -> None:
    model.add([turn(calling("wait")), "one", "two", "three"])
    socket = await user.socket()
    for _ in range(3):
        await socket.send_json(HI)
    await agent.entered.wait()
    agent.release.set()
    assert [(await frames(socket))[-1]["response"] for _ in range(3)] == ["one", "two", "three"]


async def test_more_than_eight_waiting_requests_are_refused(user: User, model: ScriptedModel, agent: TaskAgent) -> None:
    model.add([turn(calling("wait")), *(["ok"] * 9)])
    socket = await user.socket()
    for _ in range(10):  # one runs, eight wait
        await socket.send_json(HI)
    [refusal] = await frames(socket)
    assert refusal["code"] == "overloaded"
    agent.release.set()
    assert [(await frames(socket))[-1]["type"] for _ in range(9)] == ["done"] * 9


async def test_cancel_stops_the_work_and_no_frame_follows(user: User, model: ScriptedModel, agent: TaskAgent) -> None:
    model.add([turn(calling("wait"), text="Wait."), "after"])
    socket = await user.socket()
    await socket.send_json(HI)
    await agent.entered.wait()
    await socket.send_json({"type": "cancel"})
    assert (await frames(socket))[-1] == {"type": "cancelled"}
    agent.release.set()
    await socket.send_json(HI)
    assert [frame["type"] for frame in await frames(socket)] == ["chunk", "done"]
    assert agent.finished == 0


async def test_cancel_without_a_running_request_is_ignored(user: User, model: ScriptedModel) -> None:
    model.add(["Hello."])
    socket = await user.socket()
    await socket.send_json({"type": "cancel"})
    await socket.send_json(HI)
    assert (await frames(socket))[-1]["type"] == "done"


async def test_closing_the_socket_stops_the_work(start: Start) -> None:
    model = GatedModel()
    socket = await (await register(await start(model))).socket()
    await socket.send_json(HI)
    await model.spoke.wait()
    await socket.close()
    async with asyncio.timeout(5):
        await model.ended.wait()


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "null", "5", '{"type": "dance"}', '{"type": 7}', '{"type": "tool_result"}', '"\\ud800"'],
)
async def test_a_frame_that_cannot_be_read_is_an_error_and_the_socket_goes_on(
    user: User, model: ScriptedModel, text: str
) -> None:
    model.add(["Hello."])
    socket = await user.socket()
    await socket.send_str(text)
    assert (await frames(socket))[-1]["code"] == "invalid_request"
    await socket.send_json(HI)
    assert (await frames(socket))[-1]["type"] == "done"


async def test_a_result_that_no_tool_call_waits_for_is_dropped(user: User, model: ScriptedModel) -> None:
    model.add(["Hello."])
    socket = await user.socket()
    await socket.send_json({"type": "tool_result", "id": "x", "result": []})
    await socket.send_json(HI)
    assert [frame["type"] for frame in await frames(socket)] == ["chunk", "done"]


async def test_a_wrong_request_is_an_error_that_names_the_field(user: User) -> None:
    socket = await user.socket()
    await socket.send_json({"message": 5})
    [error] = await frames(socket)
    assert error == {"type": "error", "code": "validation_failed", "message": "message: must be a string"}


async def test_a_failing_model_is_an_error_and_the_socket_goes_on(user: User, model: ScriptedModel) -> None:
    model.add([LlmUnavailableError(), RuntimeError("secret"), "Hello."])
    socket = await user.socket()
    codes = []
    for _ in range(3):
        await socket.send_json(HI)
        codes.append((await frames(socket))[-1].get("code"))
    assert codes == ["llm_unavailable", "internal_error", None]


async def test_an_answer_that_cannot_be_written_is_an_error_and_the_socket_goes_on(
    user: User, model: ScriptedModel
) -> None:
    model.add([ModelTurn(text="Hi", usage=Usage(prompt_tokens=2**64, completion_tokens=1)), "Wieder da."])
    socket = await user.socket()
    for ending in ("error", "done"):
        await socket.send_json(HI)
        assert (await frames(socket))[-1]["type"] == ending


async def test_a_binary_frame_closes_with_1003(user: User) -> None:
    socket = await user.socket()
    await socket.send_bytes(b"{}")
    assert await close_code(socket) == 1003


async def test_a_frame_over_a_mebibyte_closes_with_1009(user: User) -> None:
    socket = await user.socket()
    await socket.send_str("x" * (1024 * 1024 + 1))
    assert await close_code(socket) == 1009


async def test_the_rate_limit_holds_for_each_request_on_a_socket(start: Start, model: ScriptedModel) -> None:
    client = await start(rate_limits={"free": 2, "pro": 2, "power": 2, "team": 2})
    user = await register(client)
    model.add(["one", "two"])
    socket = await user.socket()
    outcomes = []
    for _ in range(3):
        await socket.send_json(HI)
        outcomes.append((await frames(socket))[-1].get("code", "done"))
    assert outcomes == ["done", "done", "rate_limited"]


# Opening


async def open_status(user: User, url: str, **kwargs: Any) -> int:
    try:
        socket = await user.client.ws_connect(url, **kwargs)
    except WSServerHandshakeError as error:
        return error.status
    await socket.close()
    return 101


async def test_a_ticket_opens_one_socket_once(user: User) -> None:
    ticket = (await user.post("/auth/ticket"))[1]["ticket"]
    url = f"{STREAM}?ticket={ticket}"
    assert sorted(await asyncio.gather(*(open_status(user, url) for _ in range(20)))) == [101, *([401] * 19)]


async def test_the_access_token_opens_sockets_as_header_and_as_query(user: User) -> None:
    token = user.tokens["access_token"]
    assert await open_status(user, STREAM, headers=user.headers) == 101
    assert await open_status(user, f"{STREAM}?token={token}") == 101


@pytest.mark.parametrize("query", ["", "?ticket=nonsense", "?token=nonsense", "?token=", "?ticket=%00", "?token=%FF"])
async def test_without_a_valid_token_the_upgrade_is_refused(user: User, query: str) -> None:
    assert await open_status(user, STREAM + query) == 401


@pytest.mark.parametrize(
    "origin, status",
    [
        ("app://.", 101),
        ("http://localhost:3000", 101),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost:3001", 403),
    ],
)
async def test_the_origin_of_a_page_must_be_known(user: User, origin: str, status: int) -> None:
    assert await open_status(user, STREAM, headers={**user.headers, "Origin": origin}) == status


async def test_the_servers_own_origin_is_known(user: User) -> None:
    origin = str(user.client.make_url("/")).rstrip("/")
    assert await open_status(user, STREAM, headers={**user.headers, "Origin": origin}) == 101


async def test_a_plain_get_is_a_problem(user: User) -> None:
    status, problem = await user.get("/chat/stream")
    assert (status, problem["code"]) == (400, "invalid_request")


# Closing


async def test_a_revoked_login_closes_the_socket_with_4401_also_in_mid_request(
    user: User, model: ScriptedModel, agent: TaskAgent
) -> None:
    model.add([turn(calling("wait"))])
    idle, busy = await user.socket(), await user.socket()
    await busy.send_json(HI)
    await agent.entered.wait()
    await user.client.post(f"{API}/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})
    async with asyncio.timeout(5):  # PROOFS.md, WS4
        assert tuple(await asyncio.gather(close_code(idle), close_code(busy))) == (4401, 4401)
    assert agent.finished == 0


async def test_a_password_change_closes_the_sockets_of_other_logins_only(user: User, model: ScriptedModel) -> None:
    async with user.client.post(
        f"{API}/auth/login", json={"email": user.email, "password": "correct horse battery"}
    ) as answer:
        other = User(user.client, user.email, await answer.json())
    mine, theirs = await user.socket(), await other.socket()
    body = {"current_password": "correct horse battery", "new_password": "another horse battery"}
    async with user.client.post(f"{API}/auth/password", json=body, headers=user.headers) as answer:
        assert answer.status == 204
    async with asyncio.timeout(5):  # PROOFS.md, SE5
        assert await close_code(theirs) == 4401
    model.add(["Hello."])
    await mine.send_json(HI)
    assert (await frames(mine))[-1]["type"] == "done"


async def test_a_request_after_the_revocation_is_not_begun(user: User, model: ScriptedModel) -> None:
    socket = await user.socket()
    await user.client.post(f"{API}/auth/logout", json={"refresh_token": user.tokens["refresh_token"]})
    await socket.send_json(HI)
    assert await close_code(socket) == 4401
    assert model.calls == []


async def test_an_expired_token_closes_the_socket_after_the_running_request(
    user: User, model: ScriptedModel, agent: TaskAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.add([turn(calling("wait")), "Finished.", "never said"])
    socket = await user.socket()
    await socket.send_json(HI)
    await socket.send_json(HI)
    await agent.entered.wait()
    later = clock.now() + timedelta(minutes=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    agent.release.set()
    assert (await frames(socket))[-1]["response"] == "Finished."
    assert await close_code(socket) == 4401
    assert len(model.calls) == 2


async def test_a_client_that_answers_no_ping_is_dropped(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = user.client.app[SOCKETS]
    socket = await user.client.ws_connect(STREAM, headers=user.headers, autoping=False)
    [ours] = watch._sockets
    for expected in (1, 2):
        watch._sockets[ours] = 0.0
        await watch.tick()
        assert ours.unanswered_pings == expected
        assert (await socket.receive()).type is WSMsgType.PING
    watch._sockets[ours] = 0.0
    await watch.tick()
    assert (await socket.receive()).type in {WSMsgType.CLOSED, WSMsgType.ERROR}


async def test_a_client_that_answers_pings_stays(user: User) -> None:
    watch = user.client.app[SOCKETS]
    socket = await user.socket()
    [ours] = watch._sockets
    reading = asyncio.create_task(socket.receive())
    for _ in range(4):
        watch._sockets[ours] = 0.0
        await watch.tick()
        async with asyncio.timeout(5):
            while ours.unanswered_pings:
                await asyncio.sleep(0.001)
    assert not reading.done()
    reading.cancel()


async def test_a_stopping_server_says_goodbye(start: Start, model: ScriptedModel, agent: TaskAgent) -> None:
    client = await start()
    user = await register(client)
    model.add([turn(calling("wait"))])
    socket = await user.socket()
    await socket.send_json(HI)
    await agent.entered.wait()
    stopping = asyncio.create_task(client.app.shutdown())
    assert (await frames(socket))[-1]["code"] == "going_away"
    assert await close_code(socket) == 1001
    await stopping


async def test_a_client_that_does_not_read_is_closed_with_a_clear_code_and_others_go_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adiuva.chat.tool_loop.MAX_RESPONSE_CHARACTERS", 10**9)

    class Flood:
        async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
            assert on_text is not None
            if "others" in call.messages[-1].content:
                return ModelTurn(text="")
            while True:
                await on_text("x" * 10_000)

    user = await register(await start(Flood()))
    watch = user.client.app[SOCKETS]
    deaf, other = await user.socket(), await user.socket()
    assert isinstance(deaf._response.connection.transport, asyncio.Transport)  # type: ignore[union-attr]
    deaf._response.connection.transport.pause_reading()  # type: ignore[union-attr]
    await deaf.send_json(HI)
    ours = next(iter(watch._sockets))
    async with asyncio.timeout(10):
        while ours.stalled_seconds(time.monotonic()) < 0.2:
            await asyncio.sleep(0.01)
        buffered = -1
        while (size := ours.transport.get_write_buffer_size()) != buffered:
            buffered = size
            await asyncio.sleep(0.2)
    assert buffered < 1024 * 1024  # PROOFS.md, WS5
    ours._sending_since = time.monotonic() - 21
    await watch.tick()
    async with asyncio.timeout(5):
        while ours in watch._sockets:
            await asyncio.sleep(0.01)
    deaf._response.connection.transport.resume_reading()  # type: ignore[union-attr]
    assert await close_code(deaf) == 4408
    await other.send_json({**HI, "message": "others"})
    assert (await frames(other))[-1]["type"] == "done"


async def test_a_client_that_is_always_busy_is_closed_when_its_token_expires(
    user: User, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.add(["eins", "zwei"])
    socket = await user.socket()
    await socket.send_json(HI)
    assert (await frames(socket))[-1]["type"] == "done"
    later = clock.now() + timedelta(minutes=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    await socket.send_json(HI)
    assert await close_code(socket) == 4401
    assert len(model.calls) == 1


async def test_a_cancel_that_comes_with_its_request_stops_it(user: User, model: ScriptedModel) -> None:
    model.add(["nie gesagt"])
    socket = await user.socket()
    await asyncio.gather(socket.send_json(HI), socket.send_json({"type": "cancel"}))
    assert await frames(socket) == [{"type": "cancelled"}]


@pytest.mark.parametrize("origin", ["http://[", "http://a\u2100b", "", "file://", "http://localhost:3000.evil.example"])
async def test_a_malformed_origin_is_refused(user: User, origin: str) -> None:
    assert await open_status(user, STREAM, headers={**user.headers, "Origin": origin}) == 403


async def test_a_frame_of_exactly_a_mebibyte_is_read(user: User) -> None:
    socket = await user.socket()
    await socket.send_str("x" * (1024 * 1024))
    assert (await frames(socket))[-1]["code"] == "invalid_request"
